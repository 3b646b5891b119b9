//! The connection to the server that carries a client's streams.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::{Session, line};
use crate::authorize::Permit;
use crate::limits;
use crate::refusal::Refusal;
use crate::stream::Upward;
use crate::tls::{Protocol, negotiated};
use crate::vet::recheck;

/// One connection that takes requests, made when the first stream needs it, and again when it is
/// gone.
pub(super) struct Upstream<'a> {
    session: &'a Session<'a>,
    held: Mutex<Held>,
}

struct Held {
    open: Option<Open>,
    /// Drive connections whose server said goodbye, for as long as streams are open on them.
    leaving: Vec<AbortOnDropHandle<()>>,
}

struct Open {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
    /// Drives it for as long as it is wanted.
    driver: AbortOnDropHandle<()>,
}

impl<'a> Upstream<'a> {
    /// With a connection that is there, if there is one.
    pub(super) async fn new(session: &'a Session<'a>, own: Option<(Upward, SocketAddr)>) -> Self {
        let open = match own {
            Some((upward, address)) => start(upward, address).await.ok(),
            None => None,
        };
        Self { session, held: Mutex::new(Held { open, leaving: Vec::new() }) }
    }

    /// A connection that can take a request, whose address is checked under the permit.
    pub(super) async fn ready(
        &self,
        permit: Permit,
    ) -> Result<(SendRequest<Bytes>, SocketAddr, Permit), Refusal> {
        let mut held = self.held.lock().await;
        if let Some(Open { requests, address, .. }) = &held.open {
            let (requests, address) = (requests.clone(), *address);
            recheck(&permit, address.ip(), &*self.session.context.seams.host)?;
            // It takes a request, or waits for room, as long as the server did not say goodbye.
            if let Ok(Ok(requests)) = timeout(limits::DIAL_TIMEOUT, requests.ready()).await {
                return Ok((requests, address, permit));
            }
        }
        let session = self.session;
        let (upward, address, permit) = line::dial(session, permit, session.alpn()).await?;
        let speaks = match &upward {
            Upward::Secure(stream) => negotiated(stream) == Some(Protocol::Http2),
            // SECURITY: C12; a server that does not know HTTP/2 fails the handshake below.
            Upward::Plain(_) => true,
        };
        if !speaks {
            let detail = format!("`{}` no longer speaks HTTP/2", session.to.host);
            return Err(Refusal::bad_answer(detail));
        }
        let fresh = start(upward, address).await?;
        let requests = fresh.requests.clone();
        held.leaving.retain(|driver| !driver.is_finished());
        if let Some(Open { driver, .. }) = held.open.replace(fresh) {
            held.leaving.push(driver);
        }
        drop(held);
        let requests = requests.ready().await.map_err(|error| broken(&error))?;
        Ok((requests, address, permit))
    }
}

async fn start(upward: Upward, address: SocketAddr) -> Result<Open, Refusal> {
    let handshake = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_send_buffer_size(limits::STREAM_SENT)
        .max_header_list_size(super::HEAD)
        .handshake(upward);
    let (requests, connection) = timeout(limits::H2_HANDSHAKE, handshake)
        .await
        .map_err(|_| Refusal::bad_answer("the server did not begin HTTP/2 in time".to_owned()))?
        .map_err(|error| broken(&error))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "A server's HTTP/2 connection broke");
        }
    });
    Ok(Open { requests, address, driver: AbortOnDropHandle::new(driver) })
}

/// The server's side of HTTP/2 failed.
pub(super) fn broken(error: &h2::Error) -> Refusal {
    Refusal::bad_answer(format!("the server gave no usable answer: {error}"))
}
