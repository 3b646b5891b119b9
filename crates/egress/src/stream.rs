//! A connection as bytes, whether TLS carries it or not.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::tls::{Rewound, Verified};
use crate::upstream_proxy::Outbound;

/// A stream that stands on a TCP connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The connection beneath.
    fn tcp(&self) -> &TcpStream;

    /// The same, if nothing is between it and the stream: what is read of one is read of the other.
    fn bare(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn bare(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Stream for Rewound {
    fn tcp(&self) -> &TcpStream {
        self.stream()
    }
}

impl Stream for TlsStream<Rewound> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.stream()
    }
}

/// Makes an enum of streams a stream: whichever it holds is read and written.
macro_rules! stream_of_either {
    ($name:ident { $($variant:ident),+ }) => {
        impl tokio::io::AsyncRead for $name {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                into: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => std::pin::Pin::new(stream).poll_read(context, into),)+
                }
            }
        }

        impl tokio::io::AsyncWrite for $name {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => std::pin::Pin::new(stream).poll_write(context, bytes),)+
                }
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => std::pin::Pin::new(stream).poll_flush(context),)+
                }
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => std::pin::Pin::new(stream).poll_shutdown(context),)+
                }
            }
        }
    };
}

pub(crate) use stream_of_either;

/// A connection to an upstream.
pub(crate) enum Upward {
    Plain(Outbound),
    Secure(Box<Verified>),
}

stream_of_either!(Upward { Plain, Secure });

impl Stream for Upward {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.tcp(),
            Self::Secure(stream) => stream.get_ref().0.tcp(),
        }
    }

    fn bare(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => stream.bare(),
            Self::Secure(_) => None,
        }
    }
}
