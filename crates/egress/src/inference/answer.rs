//! What a backend answers, passed on as it comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use openshell_inference::{Call, Observer, is_passed_back};
use openshell_types::Route;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::backend::Wire;
use super::failure::Failure;
use super::record::CallRecord;
use crate::accept::Context;
use crate::http::body::kib;

/// What a caller gets.
pub(super) type Reply = Response<Either<Full<Bytes>, Answer>>;

/// The body of a backend's answer.
pub(super) struct Answer {
    from: Incoming,
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

/// Passes on an answer to `call`.
pub(super) fn pass_on(
    call: &Call,
    answer: Response<Incoming>,
    (mut record, kept): (CallRecord, Kept),
) -> Reply {
    let (mut head, from) = answer.into_parts();
    record.answered(head.status.as_u16());
    let kind = head.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let observer = Observer::new(call.operation, kind.unwrap_or_default());
    head.headers = std::mem::take(&mut head.headers)
        .iter()
        .filter(|(name, _)| is_passed_back(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // The version and what else came with it belong to the other connection.
    let mut reply = Response::new(());
    *reply.status_mut() = head.status;
    *reply.headers_mut() = head.headers;
    let idle = kept.route.idle;
    let account = Account { record, observer, room: None, kept };
    let mut answer = Answer { from, account: Some(account), silence: Box::pin(sleep(idle)), idle };
    if answer.from.is_end_stream() {
        answer.end();
    }
    reply.map(|()| Either::Right(answer))
}

impl Answer {
    /// The answer is whole.
    fn end(&mut self) {
        if let Some(Account { record, observer, kept, .. }) = self.account.take() {
            let Kept { context, route, wire } = kept;
            context.backends.put(&route.base, wire);
            record.done(observer.tokens());
        }
    }

    /// The answer is not whole. SECURITY: E12; nor does it look so.
    fn broken(&mut self, failure: Failure) -> io::Error {
        let detail = failure.reason().detail;
        if let Some(Account { record, observer, .. }) = self.account.take() {
            record.cut(observer.tokens(), &failure);
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
        match Pin::new(&mut this.from).poll_frame(polling) {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(account)) = (frame.data_ref(), &mut this.account) {
                    account.see(data);
                }
                let next = Instant::now().checked_add(this.idle);
                this.silence.as_mut().reset(next.unwrap_or_else(Instant::now));
                if this.from.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = Failure::Broken(error.to_string());
                Poll::Ready(Some(Err(this.broken(failure))))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(polling));
                let failure = Failure::Silent(this.idle.as_secs());
                Poll::Ready(Some(Err(this.broken(failure))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.from.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.from.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // What is dropped with it is the connection to the backend, which so learns of it.
        if let Some(Account { record, observer, .. }) = self.account.take() {
            record.left(observer.tokens());
        }
    }
}
