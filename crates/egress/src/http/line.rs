//! Connections to upstreams. One outlives a request: it is kept for the next one to the same
//! server, by whoever may send that.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use openshell_types::Authority;
use tokio::io::{AsyncRead, ReadBuf};

use super::Session;
use super::inbox::Inbox;
use crate::authorize::{Permit, authorize};
use crate::counted::Counted;
use crate::exchange::Dialled;
use crate::halves::{ReadHalf, WriteHalf, split};
use crate::ledger::Meter;
use crate::limits;
use crate::refusal::Refusal;
use crate::stream::Upward;
use crate::tls::Alpn;
use crate::upstream_proxy::{Reached, Use, reach};
use crate::vet::recheck;

/// A connection to an upstream that speaks HTTP/1.
pub(crate) struct Line {
    pub(crate) inbox: Inbox<ReadHalf<Upward>>,
    pub(crate) write: Counted<WriteHalf<Upward>>,
    pub(crate) reached: Reached,
    /// Whether it ends at a proxy that takes requests for the server.
    pub(crate) is_forward: bool,
    /// Whether it has carried a request before.
    pub(crate) is_used: bool,
    /// Whether the server authenticated the connection rather than a request, so that it is its
    /// client's alone.
    pub(crate) is_private: bool,
    idle_since: Instant,
}

impl Line {
    pub(crate) fn new(stream: Upward, reached: Reached) -> Self {
        let (read, write) = split(stream);
        Self {
            inbox: Inbox::new(read, &[]),
            write: Counted::new(write),
            reached,
            is_forward: false,
            is_used: false,
            is_private: false,
            idle_since: Instant::now(),
        }
    }

    /// Counts what passes over it until it rests.
    pub(crate) fn count(&mut self, meter: &Meter) {
        (self.inbox.meter, self.write.meter) = (Some(meter.clone()), Some(meter.clone()));
    }

    /// The budget that cut off what passes over it.
    pub(crate) fn spent(&self) -> Option<&Refusal> {
        let meters = [&self.inbox.meter, &self.write.meter];
        meters.into_iter().flatten().find_map(Meter::spent)
    }

    /// Notes that it waits for its next request.
    pub(crate) fn rest(&mut self) {
        (self.inbox.meter, self.write.meter) = (None, None);
        self.is_used = true;
        self.idle_since = Instant::now();
    }

    /// Whether it leads where such use needs to.
    fn serves(&self, wanted: Use) -> bool {
        !self.is_forward || wanted == Use::PlainRequests
    }

    /// Whether it can be expected to carry another request. One that must not be sent twice goes
    /// over a line that rested only shortly: the server may be closing it right now.
    async fn is_fit(&mut self, may_repeat: bool) -> bool {
        let longest = if may_repeat { limits::LINE_IDLE } else { limits::LINE_IDLE_ONCE };
        self.idle_since.elapsed() < longest
            && self.inbox.bytes().is_empty()
            && is_quiet(self.inbox.stream()).await
    }
}

/// Whether nothing can be read: neither data, which nobody asked for, nor the end.
async fn is_quiet(stream: &mut ReadHalf<Upward>) -> bool {
    poll_fn(|context| {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer).is_pending())
    })
    .await
}

/// Lines that wait, by where they lead.
#[derive(Default)]
pub(crate) struct Lines(Mutex<HashMap<Key, Vec<Line>>>);

/// The server, and whether TLS carries the connection.
type Key = (Authority, bool);

impl Lines {
    /// Keeps a line for the next request, unless there are many.
    pub(crate) fn put(&self, session: &Session<'_>, line: Line) {
        if line.is_private {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|_, waiting| {
            waiting.retain(|line| line.idle_since.elapsed() < limits::LINE_IDLE);
            !waiting.is_empty()
        });
        let total: usize = lines.values().map(Vec::len).sum();
        let waiting = lines.entry((session.to.clone(), session.is_secure())).or_default();
        if total < limits::LINES && waiting.len() < limits::LINES_EACH {
            waiting.push(line);
        }
    }

    fn take(&self, session: &Session<'_>, wanted: Use) -> Option<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = lines.get_mut(&(session.to.clone(), session.is_secure()))?;
        let at = waiting.iter().rposition(|line| line.serves(wanted))?;
        Some(waiting.remove(at))
    }
}

/// A connection for one request: the client's own, one that waits, or a new one. Where it leads is
/// checked under the permit in every case.
pub(crate) async fn line(
    session: &Session<'_>,
    permit: Permit,
    own: Option<Line>,
    (may_repeat, wanted): (bool, Use),
) -> Result<(Line, Permit), Refusal> {
    let host = &*session.context.seams.host;
    // SECURITY: B1; where the policy lists addresses, nobody but us looks the name up.
    let must_tunnel = session.is_secure() || permit.lists_addresses();
    let wanted = if must_tunnel { Use::Tunnel } else { wanted };
    let own = own.filter(|line| line.serves(wanted));
    let mut next = own.or_else(|| session.context.lines.take(session, wanted));
    while let Some(mut line) = next {
        if line.is_fit(may_repeat).await && recheck(&permit, line.reached, host).is_ok() {
            return Ok((line, permit));
        }
        next = session.context.lines.take(session, wanted);
    }
    let (dialled, permit) = reach_now(session, permit, wanted).await?;
    let is_forward = dialled.is_forward;
    let (upward, reached) = secure(session, dialled, session.alpn()).await?;
    Ok((Line { is_forward, ..Line::new(upward, reached) }, permit))
}

/// A new connection to the server itself, with TLS where the session has it.
pub(crate) async fn dial(
    session: &Session<'_>,
    permit: Permit,
    offer: Alpn,
) -> Result<(Upward, Reached, Permit), Refusal> {
    let (dialled, permit) = reach_now(session, permit, Use::Tunnel).await?;
    let (upward, reached) = secure(session, dialled, offer).await?;
    Ok((upward, reached, permit))
}

/// A new connection that the policy allows which is in force when it stands.
async fn reach_now(
    session: &Session<'_>,
    permit: Permit,
    wanted: Use,
) -> Result<(Dialled, Permit), Refusal> {
    let context = session.context;
    let (dialled, mut permit) = reach(context, permit, wanted).await?;
    permit.refresh(&mut context.policy.clone(), dialled.reached)?;
    Ok((dialled, permit))
}

async fn secure(
    session: &Session<'_>,
    dialled: Dialled,
    offer: Alpn,
) -> Result<(Upward, Reached), Refusal> {
    let Dialled { stream, reached, .. } = dialled;
    let upward = if session.is_secure() {
        let host = &session.to.host;
        let secured = session.context.seams.tls.outward.connect(stream, host, offer).await;
        Upward::Secure(Box::new(secured.map_err(|error| Refusal::outward(&error))?))
    } else {
        Upward::Plain(stream)
    };
    Ok((upward, reached))
}

/// A permit for the session's connection under the policy that is in force.
pub(crate) fn permit(session: &Session<'_>) -> Result<Permit, Refusal> {
    let policy = Arc::clone(&session.context.policy.borrow());
    authorize(policy, session.to.clone(), Arc::clone(&session.who.caller))
}

/// Whether an error on a line that was used before may mean that the server had closed it.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
    )
}
