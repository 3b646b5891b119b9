//! What was read of a stream and not taken yet.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::counted::used_up;
use crate::ledger::Meter;
use crate::limits;

/// One side's bytes, in order.
pub(crate) struct Inbox<R> {
    from: R,
    bytes: BytesMut,
    /// How long bulk may not come.
    idle: Option<Duration>,
    /// What counts that which comes, when it is counted.
    pub(crate) meter: Option<Meter>,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    /// Of a stream of which `held` was read already.
    pub(crate) fn new(from: R, held: &[u8]) -> Self {
        Self { from, bytes: BytesMut::from(held), idle: None, meter: None }
    }

    /// The same, of a side that may be silent for so long while it sends in bulk.
    pub(crate) fn with_idle(mut self, longest: Duration) -> Self {
        self.idle = Some(longest);
        self
    }

    /// What is there.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the first bytes.
    pub(crate) fn take(&mut self, count: usize) {
        self.bytes.advance(count.min(self.bytes.len()));
        if self.bytes.is_empty() && self.bytes.capacity() > limits::HEAD_READ {
            // Idle connections hold no buffers that one large message needed.
            self.bytes = BytesMut::new();
        }
    }

    /// Waits for more; 0 at the end. Nothing is lost when it is dropped.
    pub(crate) async fn more(&mut self) -> io::Result<usize> {
        self.read(limits::HEAD_READ).await
    }

    /// The same, for what comes in bulk.
    pub(crate) async fn much_more(&mut self) -> io::Result<usize> {
        match self.idle {
            Some(longest) => timeout(longest, self.read(limits::RELAY_BUFFER))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => self.read(limits::RELAY_BUFFER).await,
        }
    }

    async fn read(&mut self, room: usize) -> io::Result<usize> {
        if self.meter.as_ref().is_some_and(|meter| meter.spent().is_some()) {
            return Err(used_up());
        }
        self.bytes.reserve(room);
        let read = self.from.read_buf(&mut self.bytes).await?;
        let Some(meter) = &mut self.meter else { return Ok(read) };
        let granted = meter.take(read);
        self.bytes.truncate(self.bytes.len().saturating_sub(read.saturating_sub(granted)));
        if granted == 0 && read > 0 { Err(used_up()) } else { Ok(granted) }
    }

    /// The stream itself. What was read of it and not taken is lost.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// The stream, and what was read of it.
    pub(crate) fn into_parts(self) -> (R, BytesMut) {
        (self.from, self.bytes)
    }

    /// Counts what was taken of the stream beside this inbox, as if it had been read here, and says
    /// how much of it may pass. When it is less, [`Meter::spent`] says why.
    pub(crate) fn charge(&mut self, taken: usize) -> usize {
        self.meter.as_mut().map_or(taken, |meter| meter.take(taken))
    }

    /// The stream, for looking at it.
    pub(crate) const fn stream(&mut self) -> &mut R {
        &mut self.from
    }

    /// The stream, for what is taken of it without being read here; what was read goes first.
    pub(crate) const fn source(&self) -> &R {
        &self.from
    }
}
