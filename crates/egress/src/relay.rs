//! Moving bytes between a client and its upstream.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use openshell_codec::http1::{Body, ChunkedReader};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

use crate::limits;
use crate::pipe::{Pause, Pipe};

/// Relays both ways until both ended; an end of one way is passed on and the other goes on. An
/// error means that one side broke off: the caller resets both, so that neither takes it for a
/// regular end (E12).
pub(crate) async fn tunnel(
    client: &mut TcpStream,
    server: &mut TcpStream,
    held: &[u8],
) -> io::Result<()> {
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let moved = AtomicU64::new(0);
    let up = async {
        to_server.write_all(held).await?;
        pump(&from_client, &mut to_server, &moved).await
    };
    let down = pump(&from_server, &mut to_client, &moved);
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => { end?; half_closed(down, &moved).await }
        end = &mut down => { end?; half_closed(up, &moved).await }
    }
}

/// Lets the other way go on, unless it is silent for too long: its peer may be gone for good.
async fn half_closed(
    way: impl Future<Output = io::Result<()>>,
    moved: &AtomicU64,
) -> io::Result<()> {
    tokio::pin!(way);
    loop {
        let before = moved.load(Ordering::Relaxed);
        tokio::select! {
            end = &mut way => return end,
            () = sleep(limits::HALF_CLOSED_IDLE) => {
                if moved.load(Ordering::Relaxed) == before {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

/// Moves bytes one way until its end, and passes the end on. A buffer is held only while there is
/// something to move, so idle tunnels cost no memory. Much at a time is not copied any more.
async fn pump(from: &ReadHalf<'_>, to: &mut WriteHalf<'_>, moved: &AtomicU64) -> io::Result<()> {
    let mut streak = 0;
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(limits::RELAY_BUFFER);
        loop {
            buffer.clear();
            match from.try_read_buf(&mut buffer) {
                Ok(0) => return to.shutdown().await,
                Ok(read) => {
                    to.write_all(&buffer).await?;
                    let read = u64::try_from(read).unwrap_or(1);
                    moved.fetch_add(read, Ordering::Relaxed);
                    streak += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        drop(buffer);
        if streak >= limits::BULK {
            streak = 0;
            // Out of descriptors: copying goes on.
            if let Ok(pipe) = Pipe::new()
                && pipe.carry(from.as_ref(), to.as_ref(), moved).await? == Pause::End
            {
                return to.shutdown().await;
            }
        }
    }
}

/// One request as it goes upstream.
pub(crate) struct Request {
    /// Its head, made by us.
    pub(crate) head: Vec<u8>,
    /// How its body is framed.
    pub(crate) body: Body,
    /// Bytes that followed the client's head.
    pub(crate) early: Vec<u8>,
}

/// Sends one request, framed by us, and relays the response until the server ends it. Whatever the
/// client sends behind its request goes nowhere (E5).
pub(crate) async fn one_request(
    client: &mut TcpStream,
    server: &mut TcpStream,
    request: Request,
) -> io::Result<()> {
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let moved = AtomicU64::new(0);
    let up = async {
        to_server.write_all(&request.head).await?;
        send_body(&from_client, &mut to_server, request.body, &request.early).await?;
        watch_client(&from_client).await
    };
    let down = pump(&from_server, &mut to_client, &moved);
    tokio::select! {
        end = down => end,
        error = up => Err(error.err().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())),
    }
}

/// Sends exactly the body.
async fn send_body(
    from: &ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    body: Body,
    early: &[u8],
) -> io::Result<()> {
    let mut framing = match body {
        Body::None => return Ok(()),
        Body::Length(left) => Framing::Length(left),
        Body::Chunked => Framing::Chunked(ChunkedReader::new()),
    };
    if framing.forward(early, to).await? {
        return Ok(());
    }
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(limits::RELAY_BUFFER);
        loop {
            buffer.clear();
            match from.try_read_buf(&mut buffer) {
                // SECURITY: E12; a body that was cut short is not passed on as whole.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if framing.forward(&buffer, to).await? => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

enum Framing {
    Length(u64),
    Chunked(ChunkedReader),
}

impl Framing {
    /// Passes on what of `bytes` belongs to the body; `true` at its end.
    async fn forward(&mut self, bytes: &[u8], to: &mut WriteHalf<'_>) -> io::Result<bool> {
        match self {
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                to.write_all(bytes.get(..take).unwrap_or_default()).await?;
                *left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                Ok(*left == 0)
            }
            Self::Chunked(reader) => {
                let mut rest = bytes;
                loop {
                    let chunk = reader
                        .read(rest)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    if !chunk.data.is_empty() {
                        to.write_all(format!("{:x}\r\n", chunk.data.len()).as_bytes()).await?;
                        to.write_all(chunk.data).await?;
                        to.write_all(b"\r\n").await?;
                    }
                    if chunk.done {
                        to.write_all(b"0\r\n\r\n").await?;
                        return Ok(true);
                    }
                    rest = rest.get(chunk.consumed..).unwrap_or_default();
                    if rest.is_empty() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

/// Waits for the client to break off. Its regular end is none: it may still read the response.
async fn watch_client(from: &ReadHalf<'_>) -> io::Result<()> {
    let mut left = limits::FAREWELL_BYTES;
    let mut excess = Vec::with_capacity(1024);
    while left > 0 {
        from.readable().await?;
        excess.clear();
        match from.try_read_buf(&mut excess) {
            Ok(0) => break,
            Ok(read) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    std::future::pending().await
}
