//! Ending the handshake of a client whose first bytes were read already.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits;

/// Accepts `client`, of which `held` was read already, with `config`. A client that is refused, by
/// its offer or its hello, has been sent the alert that says so.
pub async fn accept(
    held: Vec<u8>,
    client: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<Rewound>> {
    let handshake = TlsAcceptor::from(config).accept(Rewound::new(held, client));
    timeout(limits::ACCEPT_TIMEOUT, handshake).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, "the client's handshake did not end")
    })?
}

/// A connection that gives some bytes again before those that are still to come.
#[derive(Debug)]
pub struct Rewound {
    held: Vec<u8>,
    given: usize,
    stream: TcpStream,
}

impl Rewound {
    /// Gives `held` first, then what comes from `stream`.
    pub const fn new(held: Vec<u8>, stream: TcpStream) -> Self {
        Self { held, given: 0, stream }
    }

    /// The connection itself, to end it.
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What was not given again yet, and the connection.
    pub fn into_parts(mut self) -> (Vec<u8>, TcpStream) {
        self.held.drain(..self.given.min(self.held.len()));
        (self.held, self.stream)
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = this.held.get(this.given..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let length = left.len().min(into.remaining());
        into.put_slice(left.get(..length).unwrap_or_default());
        this.given += length;
        if this.given >= this.held.len() {
            this.held = Vec::new();
            this.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
