//! The two directions of one stream, each with an owner of its own. Other than the halves of a
//! library, these still lead to the TCP connection beneath.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::stream::Stream;

/// What may be nothing but a TCP connection.
pub(crate) trait Bare {
    /// Looks at the connection; `None` when anything else carries the bytes.
    fn bare<T>(&self, look: impl FnOnce(&TcpStream) -> T) -> Option<T>;
}

impl Bare for TcpStream {
    fn bare<T>(&self, look: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        Some(look(self))
    }
}

/// What a stream is read by.
pub(crate) struct ReadHalf<S>(Arc<Mutex<S>>);

/// What a stream is written by.
pub(crate) struct WriteHalf<S>(Arc<Mutex<S>>);

/// Parts a stream.
pub(crate) fn split<S>(stream: S) -> (ReadHalf<S>, WriteHalf<S>) {
    let stream = Arc::new(Mutex::new(stream));
    (ReadHalf(Arc::clone(&stream)), WriteHalf(stream))
}

impl<S> ReadHalf<S> {
    /// The stream; `None` when `write` is the half of another one.
    pub(crate) fn unsplit(self, write: WriteHalf<S>) -> Option<S> {
        drop(write);
        let stream = Arc::into_inner(self.0)?;
        Some(stream.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Held for one look at the stream, never while anything is awaited.
fn lock<S>(stream: &Mutex<S>) -> MutexGuard<'_, S> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Stream> Bare for ReadHalf<S> {
    fn bare<T>(&self, look: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        lock(&self.0).bare().map(look)
    }
}

impl<S: Stream> Bare for WriteHalf<S> {
    fn bare<T>(&self, look: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        lock(&self.0).bare().map(look)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadHalf<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteHalf<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(context)
    }
}
