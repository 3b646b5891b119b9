//! Moving what follows a head: exactly one body, framed by us.

use std::borrow::Cow;
use std::io;

use openshell_codec::http1::{Body, ChunkedReader, ResponseBody};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::Session;
use super::inbox::Inbox;
use super::searched::Search;
use crate::limits;
use crate::refusal::Refusal;

/// How the body that is read ends.
pub(crate) enum Incoming {
    Length(u64),
    Chunked(ChunkedReader),
    UntilClose,
}

/// How the body that is written shows its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// By what the head says, or by the connection's end.
    Plain,
    Chunked,
}

/// Which side broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The one that is read.
    Source(io::Error),
    /// The one that is written.
    Sink,
    /// Neither: something is in the body that must not pass.
    Denied(Box<Refusal>),
}

impl Incoming {
    pub(crate) fn of_request(body: Body) -> Self {
        match body {
            Body::None => Self::Length(0),
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(ChunkedReader::new()),
        }
    }

    pub(crate) fn of_response(body: ResponseBody) -> Self {
        match body {
            ResponseBody::None => Self::Length(0),
            ResponseBody::Length(length) => Self::Length(length),
            ResponseBody::Chunked => Self::Chunked(ChunkedReader::new()),
            ResponseBody::UntilClose => Self::UntilClose,
        }
    }

    const fn is_empty(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// What of `bytes` is data, how many of them that took, and whether the body ends there.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> io::Result<(&'a [u8], usize, bool)> {
        match self {
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                Ok((bytes.get(..take).unwrap_or_default(), take, *left == 0))
            }
            Self::Chunked(reader) => {
                let chunk = reader
                    .read(bytes)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok((chunk.data, chunk.consumed, chunk.done))
            }
            Self::UntilClose => Ok((bytes, bytes.len(), false)),
        }
    }
}

/// Moves one body, and nothing that follows it. What was written is flushed whenever nothing more
/// is there, so that a stream of events is never held back. Of a request `search` lets pass what may.
pub(crate) async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    from: &mut Inbox<R>,
    mut incoming: Incoming,
    to: &mut W,
    outgoing: Outgoing,
    mut search: Option<Search>,
) -> Result<(), Broken> {
    if incoming.is_empty() {
        return Ok(());
    }
    let mut framed = Vec::new();
    loop {
        let mut ended = false;
        framed.clear();
        while !from.bytes().is_empty() && !ended {
            let step = incoming.step(from.bytes()).map_err(Broken::Source)?;
            let (data, taken, done) = step;
            let data = match &mut search {
                Some(search) => search.pass(data, done).map_err(Broken::Denied)?,
                None => Cow::Borrowed(data),
            };
            match outgoing {
                Outgoing::Plain => to.write_all(&data).await.map_err(|_| Broken::Sink)?,
                Outgoing::Chunked => put_chunk(&mut framed, &data),
            }
            from.take(taken);
            ended = done;
        }
        if ended && outgoing == Outgoing::Chunked {
            framed.extend_from_slice(LAST_CHUNK);
        }
        to.write_all(&framed).await.map_err(|_| Broken::Sink)?;
        to.flush().await.map_err(|_| Broken::Sink)?;
        if ended {
            return Ok(());
        }
        // Buffers are not kept while nothing comes.
        framed = Vec::new();
        if from.much_more().await.map_err(Broken::Source)? > 0 {
            continue;
        }
        // SECURITY: E12; a body that was cut short is not passed on as whole.
        if !matches!(incoming, Incoming::UntilClose) {
            return Err(Broken::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        if outgoing == Outgoing::Chunked {
            to.write_all(LAST_CHUNK).await.map_err(|_| Broken::Sink)?;
            to.flush().await.map_err(|_| Broken::Sink)?;
        }
        return Ok(());
    }
}

/// Room for a body that is held.
pub(crate) type Room<'a> = SemaphorePermit<'a>;

/// Waits for room for a body of so many octets.
/// SECURITY: N6; what a client can make us hold is bounded over all its connections and streams.
pub(crate) async fn room<'a>(session: &Session<'a>, octets: usize) -> Result<Room<'a>, Refusal> {
    let room = session.context.bodies.acquire_many(kib(octets));
    match timeout(limits::BODY_TIMEOUT, room).await {
        Ok(Ok(room)) => Ok(room),
        Ok(Err(_)) | Err(_) => {
            Err(Refusal::no_request("body_timeout", "too many bodies are being read"))
        }
    }
}

/// Gives back what a body of so many octets does not need.
pub(crate) fn shrink<'a>(mut room: Room<'a>, octets: usize) -> Room<'a> {
    room.split(kib(octets) as usize).unwrap_or(room)
}

/// How many KiB so many octets take of what all bodies share.
pub(crate) fn kib(octets: usize) -> u32 {
    let most = u32::try_from(limits::BODIES).unwrap_or(u32::MAX);
    u32::try_from(octets.div_ceil(1024)).unwrap_or(most).clamp(1, most)
}

/// Reads a whole body of at most `longest` octets; `None` when it is longer.
pub(crate) async fn collect<R: AsyncRead + Unpin>(
    from: &mut Inbox<R>,
    mut incoming: Incoming,
    longest: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    if incoming.is_empty() {
        return Ok(Some(body));
    }
    if matches!(incoming, Incoming::Length(length) if length > longest as u64) {
        return Ok(None);
    }
    loop {
        while !from.bytes().is_empty() {
            let (data, taken, done) = incoming.step(from.bytes())?;
            if body.len().saturating_add(data.len()) > longest {
                return Ok(None);
            }
            body.extend_from_slice(data);
            from.take(taken);
            if done {
                return Ok(Some(body));
            }
        }
        if from.much_more().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn n02_a_body_that_no_longer_comes_is_broken_off_and_not_ended() {
        let (mut client, read) = tokio::io::duplex(64);
        client.write_all(b"abc").await.unwrap();
        let mut inbox = Inbox::new(read, b"").with_idle(Duration::from_millis(50));
        let mut out = Vec::new();
        let incoming = Incoming::of_request(Body::Length(4));
        let moved = relay(&mut inbox, incoming, &mut out, Outgoing::Chunked, None).await;
        assert!(
            matches!(moved, Err(Broken::Source(error)) if error.kind() == io::ErrorKind::TimedOut)
        );
        assert_eq!(out, b"3\r\nabc\r\n");
    }
}
