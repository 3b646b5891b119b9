//! A connection that leads to a server, whatever carries it there.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::ledger::Meter;
use crate::relay::{self, Stop};
use crate::stream::{Stream, stream_of_either};
use crate::{exchange, limits};

/// A connection that leads to a server.
#[derive(Debug)]
pub enum Outbound {
    /// TCP, to the server or to a proxy that passes the bytes on.
    Direct(TcpStream),
    /// TLS with a proxy that passes on what is within.
    ToProxy(Box<TlsStream<TcpStream>>),
}

impl Outbound {
    /// Reads what is there; safe to cancel.
    pub(crate) async fn read_some(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Direct(stream) => exchange::read_some(stream, into).await,
            Self::ToProxy(stream) => stream.read_buf(into).await,
        }
    }

    /// Relays; see [`relay::tunnel`].
    pub(crate) async fn relay(
        &mut self,
        client: &mut TcpStream,
        held: &[u8],
        meter: Meter,
    ) -> Result<(), Stop> {
        match self {
            Self::Direct(server) => relay::tunnel(client, server, held, meter).await,
            Self::ToProxy(server) => within_tls(client, server, held, meter).await,
        }
    }
}

/// The same as [`relay::tunnel`], where the kernel cannot move the bytes.
async fn within_tls(
    client: &mut TcpStream,
    server: &mut TlsStream<TcpStream>,
    held: &[u8],
    mut meter: Meter,
) -> Result<(), Stop> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = split(server);
    let moved = AtomicU64::new(0);
    let down = copy(&mut from_server, &mut to_client, &moved, meter.clone());
    let up = async {
        meter.charge(held.len()).map_err(Stop::UsedUp)?;
        to_server.write_all(held).await?;
        to_server.flush().await?;
        copy(&mut from_client, &mut to_server, &moved, meter).await
    };
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => { end?; relay::half_closed(down, &moved).await }
        end = &mut down => { end?; relay::half_closed(up, &moved).await }
    }
}

/// Moves bytes one way until its end, and passes the end on.
async fn copy<R, W>(
    from: &mut R,
    to: &mut W,
    moved: &AtomicU64,
    mut meter: Meter,
) -> Result<(), Stop>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let bytes = poll_fn(|context| poll_some(from, context)).await?;
        if bytes.is_empty() {
            return Ok(to.shutdown().await?);
        }
        let granted = meter.take(bytes.len());
        to.write_all(bytes.get(..granted).unwrap_or_default()).await?;
        to.flush().await?;
        relay::unspent(&meter)?;
        moved.fetch_add(u64::try_from(bytes.len()).unwrap_or(1), Ordering::Relaxed);
    }
}

/// What is there. The buffer is held only when there is something, so idle tunnels cost no memory.
fn poll_some<R: AsyncRead + Unpin>(
    from: &mut R,
    context: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut bytes = vec![0; limits::PROXY_RELAY_BUFFER];
    let mut buffer = ReadBuf::new(&mut bytes);
    ready!(Pin::new(from).poll_read(context, &mut buffer))?;
    let read = buffer.filled().len();
    bytes.truncate(read);
    Poll::Ready(Ok(bytes))
}

impl From<TcpStream> for Outbound {
    fn from(stream: TcpStream) -> Self {
        Self::Direct(stream)
    }
}

impl Stream for Outbound {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Direct(stream) => stream,
            Self::ToProxy(stream) => stream.get_ref().0,
        }
    }

    fn bare(&self) -> Option<&TcpStream> {
        match self {
            Self::Direct(stream) => Some(stream),
            Self::ToProxy(_) => None,
        }
    }
}

stream_of_either!(Outbound { Direct, ToProxy });
