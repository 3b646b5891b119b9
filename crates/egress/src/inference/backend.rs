//! Connections to backends, which outlive a call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use openshell_inference::Outgoing;
use openshell_types::BaseUrl;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use crate::accept::Context;
use crate::authorize::Permit;
use crate::limits;
use crate::refusal::Refusal;
use crate::stream::Upward;
use crate::tls::{Alpn, Protocol, negotiated};
use crate::upstream_proxy::{Use, reach};

/// The connections that wait for their next call.
#[derive(Default)]
pub(crate) struct Backends(Mutex<HashMap<Place, Vec<Waiting>>>);

/// A backend's server.
type Place = (bool, openshell_types::Authority);

struct Waiting {
    wire: Wire,
    since: Instant,
}

/// A connection to a backend.
pub(super) enum Wire {
    /// With what drives it, which ends with it: what was not sent yet is held no longer.
    Http1 { own: http1::SendRequest<Full<Bytes>>, _driver: AbortOnDropHandle<()> },
    /// Shared by all calls to its server.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A call was not sent.
pub(super) enum Unsent {
    /// The connection had ended before; another may take it.
    Again,
    /// It may have been sent.
    Failed(Failure),
}

impl Backends {
    /// A connection that waits for a call.
    pub(super) async fn take(&self, base: &BaseUrl) -> Option<Wire> {
        loop {
            let mut wire = self.pop(&place(base))?;
            if wire.is_ready().await {
                return Some(wire);
            }
        }
    }

    fn pop(&self, place: &Place) -> Option<Wire> {
        let mut all = self.lock();
        let waiting = all.get_mut(place)?;
        loop {
            let Waiting { wire, since } = waiting.pop()?;
            match &wire {
                Wire::Http2(own) if !own.is_closed() => {
                    let shared = Wire::Http2(own.clone());
                    waiting.push(Waiting { wire: shared, since });
                    return Some(wire);
                }
                Wire::Http1 { own, .. }
                    if !own.is_closed() && since.elapsed() < limits::LINE_IDLE =>
                {
                    return Some(wire);
                }
                _ => {}
            }
        }
    }

    /// Keeps a connection for the next call.
    pub(super) fn put(&self, base: &BaseUrl, wire: Wire) {
        if wire.is_closed() {
            return;
        }
        let mut all = self.lock();
        all.retain(|_, waiting| {
            waiting.retain(|own| match &own.wire {
                Wire::Http1 { own: wire, .. } => {
                    !wire.is_closed() && own.since.elapsed() < limits::LINE_IDLE
                }
                Wire::Http2(wire) => !wire.is_closed(),
            });
            !waiting.is_empty()
        });
        let waiting = all.entry(place(base)).or_default();
        if waiting.len() < limits::LINES_EACH {
            waiting.push(Waiting { wire, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(base: &BaseUrl) -> Place {
    (base.is_secure, base.authority.clone())
}

/// Connects to a backend that `permit` is for.
pub(super) async fn dial(
    context: &Context,
    permit: Permit,
    base: &BaseUrl,
) -> Result<Wire, Refusal> {
    // SECURITY: N1; streams of one caller's connection may each have a connection here.
    let place = context.place().ok_or_else(|| {
        Refusal::unreachable("connections", "too many connections are open".to_owned())
    })?;
    let (dialled, permit) = reach(context, permit, Use::Tunnel).await?;
    let upward = if base.is_secure {
        let tls = &context.seams.tls.outward;
        let secured = tls.connect(dialled.stream, &permit.to().host, Alpn::Http2Http1).await;
        Upward::Secure(Box::new(secured.map_err(|error| Refusal::outward(&error))?))
    } else {
        Upward::Plain(dialled.stream)
    };
    let is_http2 = match &upward {
        Upward::Secure(stream) => negotiated(stream) == Some(Protocol::Http2),
        Upward::Plain(_) => false,
    };
    let broken = |error: hyper::Error| {
        Refusal::unreachable("backend", format!("the backend does not speak HTTP: {error}"))
    };
    let stream = TokioIo::new(upward);
    if is_http2 {
        let mut client = http2::Builder::new(TokioExecutor::new());
        client
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW);
        let (wire, connection) = client.handshake(stream).await.map_err(broken)?;
        tokio::spawn(async move {
            let _place = place;
            connection.await
        });
        Ok(Wire::Http2(wire))
    } else {
        let mut client = http1::Builder::new();
        // A body is written from where it is: its copy would take room that nobody counts.
        client.writev(true);
        let (wire, connection) = client.handshake(stream).await.map_err(broken)?;
        let driver = tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "A connection to a backend broke");
            }
        });
        Ok(Wire::Http1 { own: wire, _driver: AbortOnDropHandle::new(driver) })
    }
}

impl Wire {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1 { own, .. } => own.is_closed(),
            Self::Http2(own) => own.is_closed(),
        }
    }

    /// Whether it takes a call, now or in a moment.
    async fn is_ready(&mut self) -> bool {
        let ready = async {
            match self {
                Self::Http1 { own, .. } => own.ready().await,
                Self::Http2(own) => own.ready().await,
            }
        };
        matches!(timeout(limits::WIRE_READY, ready).await, Ok(Ok(())))
    }

    /// What others can use of it while a call is under way.
    pub(super) fn shared(&self) -> Option<Self> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2(own) => Some(Self::Http2(own.clone())),
        }
    }

    /// Sends a call and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        base: &BaseUrl,
        outgoing: Outgoing,
    ) -> Result<Response<Incoming>, Unsent> {
        let failed = |why: String| Unsent::Failed(Failure::Broken(why));
        let Outgoing { method, target, mut headers, body } = outgoing;
        let path = PathAndQuery::try_from(target).map_err(|error| failed(error.to_string()))?;
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(path);
        if matches!(self, Self::Http2(_)) {
            headers.remove(HOST);
            let authority = base.host().parse().map_err(|_| failed("its name".to_owned()))?;
            uri.authority = Some(authority);
            uri.scheme = Some(if base.is_secure { Scheme::HTTPS } else { Scheme::HTTP });
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| failed(error.to_string()))?;
        *request.headers_mut() = headers;
        let sent = match self {
            Self::Http1 { own, .. } => own.try_send_request(request).await,
            Self::Http2(own) => own.try_send_request(request).await,
        };
        sent.map_err(unsent)
    }
}

fn unsent(mut error: TrySendError<Request<Full<Bytes>>>) -> Unsent {
    match error.take_message() {
        // Nothing of it is on the wire.
        Some(_) => Unsent::Again,
        None => Unsent::Failed(Failure::Broken(error.into_error().to_string())),
    }
}
