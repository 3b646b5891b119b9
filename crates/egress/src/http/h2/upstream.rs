//! The connection to the server that carries a client's streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::{Session, line};
use crate::authorize::Permit;
use crate::heads::Heads;
use crate::limits;
use crate::refusal::Refusal;
use crate::stream::Upward;
use crate::tls::{Protocol, negotiated};
use crate::upstream_proxy::Reached;
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
    heads: Heads,
    reached: Reached,
    room: Arc<Room>,
    /// Drives it for as long as it is wanted.
    driver: AbortOnDropHandle<()>,
}

impl<'a> Upstream<'a> {
    /// With a connection that is there, if there is one.
    pub(super) async fn new(session: &'a Session<'a>, own: Option<(Upward, Reached)>) -> Self {
        let open = match own {
            Some((upward, reached)) => start(upward, reached).await.ok(),
            None => None,
        };
        Self { session, held: Mutex::new(Held { open, leaving: Vec::new() }) }
    }

    /// A connection that takes a request at once, whose address is checked under the permit. It may
    /// wait long for the server to have room: the permit may be an old one then.
    /// SECURITY: E10; what waits within the connection would be sent whatever the policy says then.
    pub(super) async fn ready(&self, mut permit: Permit) -> Result<(Ready, Permit), Refusal> {
        loop {
            let found: Found;
            (found, permit) = self.connection(permit).await?;
            let Found { requests, heads, reached, room } = found;
            let most = requests.current_max_send_streams();
            if let Some(place) = Place::take(&room, most) {
                return Ok((Ready { requests, heads, reached, place }, permit));
            }
            // Now and then the connection is looked at, too: the server may have said goodbye.
            let _late = timeout(limits::ROOM_TICK, room.freed.notified()).await;
        }
    }

    async fn connection(&self, permit: Permit) -> Result<(Found, Permit), Refusal> {
        let mut held = self.held.lock().await;
        if let Some(open) = &held.open {
            let Found { requests, heads, reached, room } = open.found();
            recheck(&permit, reached, &*self.session.context.seams.host)?;
            // It takes requests as long as the server did not say goodbye.
            if let Ok(Ok(requests)) = timeout(limits::DIAL_TIMEOUT, requests.ready()).await {
                return Ok((Found { requests, heads, reached, room }, permit));
            }
        }
        let session = self.session;
        let (upward, reached, permit) = line::dial(session, permit, session.alpn()).await?;
        let speaks = match &upward {
            Upward::Secure(stream) => negotiated(stream) == Some(Protocol::Http2),
            // SECURITY: C12; a server that does not know HTTP/2 fails the handshake below.
            Upward::Plain(_) => true,
        };
        if !speaks {
            let detail = format!("`{}` no longer speaks HTTP/2", session.to.host);
            return Err(Refusal::bad_answer(detail));
        }
        let fresh = start(upward, reached).await?;
        let Found { requests, heads, reached, room } = fresh.found();
        held.leaving.retain(|driver| !driver.is_finished());
        if let Some(Open { driver, .. }) = held.open.replace(fresh) {
            held.leaving.push(driver);
        }
        drop(held);
        let requests = requests.ready().await.map_err(|error| broken(&error))?;
        Ok((Found { requests, heads, reached, room }, permit))
    }
}

/// A connection, and how many requests are open on it.
struct Found {
    requests: SendRequest<Bytes>,
    heads: Heads,
    reached: Reached,
    room: Arc<Room>,
}

impl Open {
    fn found(&self) -> Found {
        let Self { requests, heads, reached, room, .. } = self;
        let (requests, heads) = (requests.clone(), heads.clone());
        Found { requests, heads, reached: *reached, room: Arc::clone(room) }
    }
}

/// A connection for one request.
pub(super) struct Ready {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) heads: Heads,
    pub(super) reached: Reached,
    /// Is given back when the request is over.
    pub(super) place: Place,
}

/// The requests that are open on a connection.
#[derive(Default)]
struct Room {
    open: AtomicUsize,
    freed: Notify,
}

/// Room for one of them.
pub(super) struct Place(Arc<Room>);

impl Place {
    fn take(room: &Arc<Room>, most: usize) -> Option<Self> {
        let one_more = |open: usize| (open < most).then_some(open + 1);
        let taken = room.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Self(Arc::clone(room)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

async fn start(upward: Upward, reached: Reached) -> Result<Open, Refusal> {
    let (heads, upward) = Heads::of_http2(upward);
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
            tracing::debug!(error = told(&error), "A server's HTTP/2 connection broke");
        }
    });
    let room = Arc::default();
    Ok(Open { requests, heads, reached, room, driver: AbortOnDropHandle::new(driver) })
}

/// The server's side of HTTP/2 failed.
pub(super) fn broken(error: &h2::Error) -> Refusal {
    Refusal::bad_answer(format!("the server gave no usable answer: {}", told(error)))
}

/// What is told of an error. SECURITY: I3; not what a server says beside its goodbye (RFC 9113,
/// section 6.8), which would be told and logged as it is.
fn told(error: &h2::Error) -> String {
    match error.reason() {
        Some(reason) if error.is_go_away() => format!("it ended the connection: {reason}"),
        Some(_) | None => error.to_string(),
    }
}
