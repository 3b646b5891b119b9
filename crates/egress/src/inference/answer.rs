//! What a backend answers, passed on as it comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use openshell_credential::{Echoes, Misuse};
use openshell_inference::{Call, Observer, is_passed_back};
use openshell_types::Route;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::backend::Wire;
use super::cost::Cost;
use super::failure::Failure;
use super::record::CallRecord;
use crate::accept::Context;
use crate::http::body::kib;
use crate::http::echo::{AnswerSearch, masked, named};
use crate::http::searched::shared;
use crate::refusal::Refusal;

/// What a caller gets.
pub(super) type Reply = Response<Either<Full<Bytes>, Answer>>;

/// The body of a backend's answer.
pub(super) struct Answer {
    from: Incoming,
    /// Looks through it.
    search: Option<Search>,
    /// Trailers that follow what the search gave last.
    next: Option<Frame<Bytes>>,
    /// What is told of the call at its end; `None`: it was.
    account: Option<Account>,
    silence: Pin<Box<Sleep>>,
    idle: Duration,
}

struct Account {
    record: CallRecord,
    observer: Observer,
    /// For what the observer holds.
    room: Option<OwnedSemaphorePermit>,
    cost: Cost,
    kept: Kept,
}

impl Account {
    /// Looks at a part of the answer, as long as there is room for what has to be held of it.
    /// SECURITY: N6; a caller that does not read would have us hold it for as long as it likes.
    fn see(&mut self, data: &[u8]) {
        self.observer.see(data);
        let held = match self.observer.held() {
            0 => return,
            octets => kib(octets),
        };
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = held.saturating_sub(u32::try_from(has).unwrap_or(u32::MAX));
        if more == 0 {
            return;
        }
        match (Arc::clone(&self.kept.context.answers).try_acquire_many_owned(more), &mut self.room)
        {
            (Ok(room), Some(own)) => own.merge(room),
            (Ok(room), own) => *own = Some(room),
            (Err(_), own) => {
                self.observer.give_up();
                *own = None;
            }
        }
    }
}

/// The connection that the answer comes over, the route that it is for, and where it is kept afterwards.
pub(super) struct Kept {
    pub(super) context: Arc<Context>,
    pub(super) route: Arc<Route>,
    pub(super) wire: Wire,
}

/// A search through an answer for what authenticated its call. SECURITY: I3.
pub(super) struct Search {
    echoes: Arc<Echoes>,
    body: AnswerSearch,
    /// For what a decoder holds.
    _room: Option<OwnedSemaphorePermit>,
}

impl Search {
    /// Of an answer with this head; a refusal when its body cannot be searched.
    pub(super) fn new(
        context: &Context,
        echoes: &Arc<Echoes>,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        // Backends are asked for none, and some that stand before them do not care.
        let codings: Vec<&[u8]> =
            headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
        let body = AnswerSearch::new(echoes, &codings, !headers.contains_key(CONTENT_LENGTH))
            .map_err(|misuse| Refusal::credential(&misuse))?;
        let room = match body.memory() {
            0 => None,
            octets => {
                let room = Arc::clone(&context.decoders).try_acquire_many_owned(kib(octets));
                let full = |_| {
                    let detail = "too many answers with a content coding are being read";
                    Refusal::unreachable("decoders", detail.to_owned())
                };
                Some(room.map_err(full)?)
            }
        };
        Ok(Self { echoes: Arc::clone(echoes), body, _room: room })
    }

    /// Masks what is found in fields.
    fn mask(&self, fields: &mut HeaderMap, record: &mut CallRecord) {
        let is_named = |name: &[u8]| self.echoes.stands_in(name);
        for name in named(fields, is_named) {
            fields.remove(name);
        }
        for value in fields.values_mut() {
            if let Some((masked, name)) = masked(&self.echoes, value) {
                record.echoed(&name);
                *value = masked;
            }
        }
    }
}

/// Passes on an answer to `call`.
pub(super) fn pass_on(
    call: &Call,
    (answer, search): (Response<Incoming>, Option<Search>),
    (mut record, mut cost, kept): (CallRecord, Cost, Kept),
) -> Reply {
    let (mut head, from) = answer.into_parts();
    record.answered(head.status.as_u16());
    cost.answered(head.status);
    let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // What has a coding, for which nobody asked, is not read.
    let kind = kind.filter(|_| !head.headers.contains_key(CONTENT_ENCODING));
    let observer = Observer::new(call.operation, kind.unwrap_or_default());
    head.headers = std::mem::take(&mut head.headers)
        .iter()
        .filter(|(name, _)| is_passed_back(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(search) = &search {
        search.mask(&mut head.headers, &mut record);
    }
    // The version and what else came with it belong to the other connection.
    let mut reply = Response::new(());
    *reply.status_mut() = head.status;
    *reply.headers_mut() = head.headers;
    let idle = kept.route.idle;
    let account = Account { record, observer, room: None, cost, kept };
    let (account, silence) = (Some(account), Box::pin(sleep(idle)));
    let mut answer = Answer { from, search, next: None, account, silence, idle };
    if answer.from.is_end_stream() {
        answer.end();
    }
    reply.map(|()| Either::Right(answer))
}

impl Answer {
    /// What passes of a frame; `None`: nothing until there is more.
    fn searched(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Misuse> {
        let ends = self.from.is_end_stream();
        let Some(search) = &mut self.search else { return Ok(Some(frame)) };
        let (data, trailers) = match frame.into_data() {
            Ok(data) => (data, None),
            Err(frame) => (Bytes::new(), frame.into_trailers().ok()),
        };
        let passed = shared(&data, search.body.pass(&data, ends || trailers.is_some())?);
        let Some(Account { record, .. }) = &mut self.account else { return Ok(None) };
        if let Some(name) = search.body.found() {
            record.echoed(name);
        }
        let trailers = trailers.map(|mut fields| {
            search.mask(&mut fields, record);
            Frame::trailers(fields)
        });
        if passed.is_empty() {
            return Ok(trailers.or_else(|| ends.then(|| Frame::data(passed))));
        }
        self.next = trailers;
        Ok(Some(Frame::data(passed)))
    }

    /// The answer is whole.
    fn end(&mut self) {
        if let Some(Account { record, mut observer, mut cost, kept, .. }) = self.account.take() {
            let Kept { context, route, wire } = kept;
            context.backends.put(&route.base, wire);
            let tokens = observer.tokens();
            cost.settle(&observer, true);
            record.done(tokens);
        }
    }

    /// What is left when nothing more comes.
    fn last(&mut self) -> Option<Result<Frame<Bytes>, io::Error>> {
        match self.search.as_mut().map(|search| search.body.pass(&[], true)) {
            Some(Ok(rest)) if !rest.is_empty() => {
                Some(Ok(Frame::data(Bytes::from(rest.into_owned()))))
            }
            Some(Err(misuse)) => Some(Err(self.disclosed(&misuse))),
            Some(Ok(_)) | None => {
                self.end();
                None
            }
        }
    }

    fn disclosed(&mut self, misuse: &Misuse) -> io::Error {
        self.broken(Failure::Refusal(Refusal::credential(misuse)))
    }

    /// Counts a part of the answer before it passes.
    fn count(&mut self, data: &[u8]) -> Result<(), Failure> {
        let Some(account) = &mut self.account else { return Ok(()) };
        account.see(data);
        let part = (data.len(), self.from.is_end_stream());
        Ok(account.cost.passes(part, &account.observer)?)
    }

    /// The answer is not whole. SECURITY: E12; nor does it look so.
    fn broken(&mut self, failure: Failure) -> io::Error {
        let detail = failure.reason().detail;
        // What is dropped with it is the connection to the backend, which so learns of it.
        if let Some(Account { record, mut observer, mut cost, .. }) = self.account.take() {
            let tokens = observer.tokens();
            cost.settle(&observer, false);
            record.cut(tokens, &failure);
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, detail)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(frame) = this.next.take() {
            this.end();
            return Poll::Ready(Some(Ok(frame)));
        }
        loop {
            let frame = match Pin::new(&mut this.from).poll_frame(polling) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    let failure = Failure::Broken(error.to_string());
                    return Poll::Ready(Some(Err(this.broken(failure))));
                }
                Poll::Ready(None) => return Poll::Ready(this.last()),
                Poll::Pending => {
                    ready!(this.silence.as_mut().poll(polling));
                    let failure = Failure::Silent(this.idle.as_secs());
                    return Poll::Ready(Some(Err(this.broken(failure))));
                }
            };
            if let Some(data) = frame.data_ref()
                && let Err(failure) = this.count(data)
            {
                return Poll::Ready(Some(Err(this.broken(failure))));
            }
            let next = Instant::now().checked_add(this.idle);
            this.silence.as_mut().reset(next.unwrap_or_else(Instant::now));
            match this.searched(frame) {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    if this.is_end_stream() {
                        this.end();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Err(misuse) => return Poll::Ready(Some(Err(this.disclosed(&misuse)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.from.is_end_stream() && self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let waits = self.search.as_ref().is_some_and(|search| search.body.waiting() > 0);
        if waits { SizeHint::new() } else { self.from.size_hint() }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // What is dropped with it is the connection to the backend, which so learns of it.
        if let Some(Account { record, mut observer, mut cost, .. }) = self.account.take() {
            let tokens = observer.tokens();
            cost.settle(&observer, false);
            record.left(tokens);
        }
    }
}
