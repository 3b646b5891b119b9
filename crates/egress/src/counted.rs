//! A server's side whose bytes are counted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::ledger::Meter;
use crate::limits;

/// What is written, counted for as long as there is a meter. When a budget is used up, writing fails
/// with [`used_up`].
pub(crate) struct Counted<W> {
    inner: W,
    pub(crate) meter: Option<Meter>,
}

impl<W> Counted<W> {
    pub(crate) const fn new(inner: W) -> Self {
        Self { inner, meter: None }
    }

    /// Whether the last write was cut short.
    pub(crate) fn is_spent(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.spent().is_some())
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, meter } = self.get_mut();
        let Some(meter) = meter else { return Pin::new(inner).poll_write(context, bytes) };
        let wanted = bytes.len().min(limits::RELAY_BUFFER);
        let granted = meter.take(wanted);
        if granted == 0 && wanted > 0 {
            return Poll::Ready(Err(used_up()));
        }
        let polled = Pin::new(inner).poll_write(context, bytes.get(..granted).unwrap_or_default());
        let written = match &polled {
            Poll::Ready(Ok(written)) => *written,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        meter.give_back(granted.saturating_sub(written));
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

/// Reading or writing ended since a budget is used up.
pub(crate) fn used_up() -> io::Error {
    io::ErrorKind::QuotaExceeded.into()
}

/// Whether it is that error.
pub(crate) fn is_used_up(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded
}
