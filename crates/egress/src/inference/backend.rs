//! Connections to backends, which outlive a call.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use crate::accept::Context;
use crate::authorize::Permit;
use crate::heads::{Head, Heads};
use crate::limits;
use crate::refusal::Refusal;
use crate::sending::InFlight;
use crate::stream::Upward;
use crate::tls::{Alpn, Protocol, negotiated};
use crate::upstream_proxy::{Use, reach};

/// The connections that wait for their next call.
pub(crate) struct Backends {
    waiting: Mutex<HashMap<Place, Vec<Waiting>>>,
    /// One for each call over HTTP/2 that may be under way.
    calls: Arc<Semaphore>,
}

/// A backend's server.
type Place = (bool, openshell_types::Authority);

struct Waiting {
    wire: Wire,
    since: Instant,
}

/// A connection to a backend.
pub(super) enum Wire {
    /// With what drives it, which ends with it: what was not sent yet is held no longer.
    Http1 { own: http1::SendRequest<Full<Bytes>>, heads: Heads, _driver: AbortOnDropHandle<()> },
    /// Shared by several calls to its server.
    Http2(Shared),
}

/// A connection of HTTP/2. SECURITY: N1, N2; there are so few calls over it at once that answers which
/// nobody reads never take the whole window of it.
pub(super) struct Shared {
    own: http2::SendRequest<Full<Bytes>>,
    heads: Heads,
    /// One for each call more that may be under way over it.
    calls: Arc<Semaphore>,
    /// The place of one call among those, and among those of all connections.
    call: Option<[OwnedSemaphorePermit; 2]>,
}

impl Shared {
    fn new(own: http2::SendRequest<Full<Bytes>>, heads: Heads) -> Self {
        Self { own, heads, calls: Arc::new(Semaphore::new(limits::WIRE_CALLS)), call: None }
    }

    /// The same connection for one call more, if there is room for it there and among `all`.
    fn for_call(&self, all: &Arc<Semaphore>) -> Option<Self> {
        let (own, heads) = (self.own.clone(), self.heads.clone());
        let calls = Arc::clone(&self.calls);
        let place = Arc::clone(&calls).try_acquire_owned().ok()?;
        let call = Some([place, Arc::clone(all).try_acquire_owned().ok()?]);
        Some(Self { own, heads, calls, call })
    }

    fn is_idle(&self) -> bool {
        self.calls.available_permits() == limits::WIRE_CALLS
    }
}

/// A call was not sent.
pub(super) enum Unsent {
    /// The connection had ended before; another may take it.
    Again,
    /// It may have been sent.
    Failed(Failure),
}

impl Default for Backends {
    fn default() -> Self {
        let calls = Arc::new(Semaphore::new(limits::BACKEND_CALLS));
        Self { waiting: Mutex::default(), calls }
    }
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
        prune(waiting);
        for Waiting { wire, since } in waiting.iter_mut() {
            if let Wire::Http2(shared) = wire
                && let Some(call) = shared.for_call(&self.calls)
            {
                *since = Instant::now();
                return Some(Wire::Http2(call));
            }
        }
        let last = waiting.iter().rposition(|own| matches!(own.wire, Wire::Http1 { .. }))?;
        Some(waiting.remove(last).wire)
    }

    /// Keeps a connection for the next call; one that is shared is kept already.
    pub(super) fn put(&self, base: &BaseUrl, wire: Wire) {
        if !matches!(&wire, Wire::Http2(Shared { call: Some(_), .. })) {
            self.keep(base, wire);
        }
    }

    /// Shares a new connection, and takes the first call's place on it.
    fn share(&self, base: &BaseUrl, shared: Shared) -> Result<Wire, Refusal> {
        let call = shared.for_call(&self.calls).ok_or_else(|| {
            let detail = format!("{} calls are under way", limits::BACKEND_CALLS);
            Refusal::unreachable("calls", detail)
        })?;
        self.keep(base, Wire::Http2(shared));
        Ok(Wire::Http2(call))
    }

    fn keep(&self, base: &BaseUrl, wire: Wire) {
        if wire.is_closed() {
            return;
        }
        let mut all = self.lock();
        all.retain(|_, waiting| {
            prune(waiting);
            !waiting.is_empty()
        });
        let waiting = all.entry(place(base)).or_default();
        if waiting.len() < limits::LINES_EACH {
            waiting.push(Waiting { wire, since: Instant::now() });
        }
    }

    /// One for each call over HTTP/2 that may be under way.
    #[cfg(test)]
    pub(crate) const fn calls(&self) -> &Arc<Semaphore> {
        &self.calls
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the connections that are of no more use. One of HTTP/2 stays for as long as it is open; more
/// than one do while they are used.
fn prune(waiting: &mut Vec<Waiting>) {
    let mut has_one = false;
    waiting.retain(|Waiting { wire, since }| {
        let is_fresh = since.elapsed() < limits::LINE_IDLE;
        !wire.is_closed()
            && match wire {
                Wire::Http1 { .. } => is_fresh,
                Wire::Http2(shared) => {
                    !std::mem::replace(&mut has_one, true) || is_fresh || !shared.is_idle()
                }
            }
    });
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
    if is_http2 {
        let (heads, stream) = Heads::of_http2(upward);
        let mut client = http2::Builder::new(TokioExecutor::new());
        client
            .initial_stream_window_size(limits::WIRE_STREAM_WINDOW)
            .initial_connection_window_size(limits::WIRE_WINDOW);
        let (wire, connection) = client.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            let _place = place;
            connection.await
        });
        context.backends.share(base, Shared::new(wire, heads))
    } else {
        let (heads, stream) = Heads::of_http1(upward);
        let mut client = http1::Builder::new();
        // A body is written from where it is: its copy would take room that nobody counts.
        client.writev(true);
        let (wire, connection) = client.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "A connection to a backend broke");
            }
        });
        Ok(Wire::Http1 { own: wire, heads, _driver: AbortOnDropHandle::new(driver) })
    }
}

impl Wire {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1 { own, .. } => own.is_closed(),
            Self::Http2(shared) => shared.own.is_closed(),
        }
    }

    /// Whether it takes a call, now or in a moment.
    async fn is_ready(&mut self) -> bool {
        let ready = async {
            match self {
                Self::Http1 { own, .. } => own.ready().await,
                Self::Http2(shared) => shared.own.ready().await,
            }
        };
        matches!(timeout(limits::WIRE_READY, ready).await, Ok(Ok(())))
    }

    /// Sends a call, which is being sent until its head is on the wire, and waits for the head of its
    /// answer.
    pub(super) async fn send(
        &mut self,
        base: &BaseUrl,
        outgoing: Outgoing,
        sending: InFlight,
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
        match self {
            Self::Http1 { own, heads, .. } => {
                let (answer, head) = heads.hand(|| own.try_send_request(request));
                Sent::new(head, sending).and(answer).await
            }
            Self::Http2(Shared { own, heads, .. }) => {
                let (answer, head) = heads.hand(|| own.try_send_request(request));
                Sent::new(head, sending).and(answer).await
            }
        }
        .map_err(unsent)
    }
}

/// A call whose head may not be on the wire yet.
struct Sent(Option<(Head, InFlight)>);

impl Sent {
    const fn new(head: Head, sending: InFlight) -> Self {
        Self(Some((head, sending)))
    }

    /// Waits for the answer.
    async fn and<T>(mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        if let Some((head, _)) = &self.0 {
            tokio::select! {
                biased;
                answer = answer.as_mut() => {
                    self.0 = None;
                    return answer;
                }
                () = head.written() => {}
            }
        }
        self.0 = None;
        answer.await
    }
}

impl Drop for Sent {
    /// SECURITY: I13; the caller went away, and the head may go out all the same.
    fn drop(&mut self) {
        if let Some((head, sending)) = self.0.take()
            && Handle::try_current().is_ok()
        {
            head.until_written(sending);
        }
    }
}

fn unsent(mut error: TrySendError<Request<Full<Bytes>>>) -> Unsent {
    match error.take_message() {
        // Nothing of it is on the wire.
        Some(_) => Unsent::Again,
        None => Unsent::Failed(Failure::Broken(error.into_error().to_string())),
    }
}
