//! Moving what follows a head: exactly one body, framed by us.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use openshell_codec::http1::{Body, ChunkedReader, ResponseBody};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use tokio::time::timeout;

use super::Session;
use super::inbox::Inbox;
use super::searched::{Search, Sieve, in_time};
use crate::counted::used_up;
use crate::halves::Bare;
use crate::limits;
use crate::pipe::Pipe;
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

    /// How many bytes are to come, when that is known.
    const fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Notes data that did not come by an inbox; says whether the body ends there.
    fn passed(&mut self, count: usize) -> bool {
        let Self::Length(left) = self else { return false };
        *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        *left == 0
    }

    /// What the end of the stream means in the middle of it.
    fn end(&self) -> Result<(), Broken> {
        match self {
            Self::UntilClose => Ok(()),
            // SECURITY: E12; a body that was cut short is not passed on as whole.
            _ => Err(Broken::Source(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Moves one body, and nothing that follows it. What was written is flushed whenever nothing more
/// is there, so that a stream of events is never held back. `search` lets pass what may.
pub(crate) async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, S: Sieve>(
    from: &mut Inbox<R>,
    mut incoming: Incoming,
    to: &mut W,
    outgoing: Outgoing,
    mut search: Option<S>,
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
                Outgoing::Plain => {
                    let until = search.as_ref().and_then(Sieve::until);
                    in_time(until, to.write_all(&data)).await.map_err(|_| Broken::Sink)?;
                }
                Outgoing::Chunked => put_chunk(&mut framed, &data),
            }
            from.take(taken);
            ended = done;
        }
        if ended && outgoing == Outgoing::Chunked {
            framed.extend_from_slice(LAST_CHUNK);
        }
        let until = search.as_ref().and_then(Sieve::until);
        let sent = async {
            to.write_all(&framed).await?;
            to.flush().await
        };
        in_time(until, sent).await.map_err(|_| Broken::Sink)?;
        if let Some(search) = &mut search {
            search.sent();
        }
        if ended {
            return Ok(());
        }
        // Buffers are not kept while nothing comes.
        framed = Vec::new();
        if more(from, to, outgoing, &mut search).await? > 0 {
            continue;
        }
        incoming.end()?;
        return end(to, outgoing, search).await;
    }
}

/// Waits for more of a body. A few octets that wait for what follows them pass when nothing does.
async fn more<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, S: Sieve>(
    from: &mut Inbox<R>,
    to: &mut W,
    outgoing: Outgoing,
    search: &mut Option<S>,
) -> Result<usize, Broken> {
    if let Some(search) = search.as_mut().filter(|search| search.is_short()) {
        if let Ok(more) = timeout(limits::ANSWER_WAITS, from.much_more()).await {
            return more.map_err(Broken::Source);
        }
        let late = search.late();
        let mut framed = Vec::new();
        match outgoing {
            Outgoing::Plain => framed.extend_from_slice(&late),
            Outgoing::Chunked => put_chunk(&mut framed, &late),
        }
        to.write_all(&framed).await.map_err(|_| Broken::Sink)?;
        to.flush().await.map_err(|_| Broken::Sink)?;
    }
    let until = search.as_ref().and_then(Sieve::until);
    in_time(until, from.much_more()).await.map_err(Broken::Source)
}

/// Ends a body whose end is that of its connection: with what waits of it.
async fn end<W: AsyncWrite + Unpin, S: Sieve>(
    to: &mut W,
    outgoing: Outgoing,
    search: Option<S>,
) -> Result<(), Broken> {
    let mut rest = Vec::new();
    if let Some(mut search) = search {
        let last = search.pass(&[], true).map_err(Broken::Denied)?;
        match outgoing {
            Outgoing::Plain => rest.extend_from_slice(&last),
            Outgoing::Chunked => put_chunk(&mut rest, &last),
        }
    }
    if outgoing == Outgoing::Chunked {
        rest.extend_from_slice(LAST_CHUNK);
    }
    to.write_all(&rest).await.map_err(|_| Broken::Sink)?;
    to.flush().await.map_err(|_| Broken::Sink)
}

/// The same. A long body is not copied through this process where TCP alone carries it on both
/// sides and its frame stays as it is.
pub(crate) async fn pass<R: AsyncRead + Unpin + Bare, W: AsyncWrite + Unpin + Bare>(
    from: &mut Inbox<R>,
    incoming: Incoming,
    to: &mut W,
    outgoing: Outgoing,
) -> Result<(), Broken> {
    let is_long = match incoming {
        Incoming::Length(length) => length >= limits::BULK,
        Incoming::UntilClose => true,
        Incoming::Chunked(_) => false,
    };
    let are_bare = from.source().bare(|_| ()).is_some() && to.bare(|_| ()).is_some();
    if is_long && are_bare && outgoing == Outgoing::Plain {
        carry(from, incoming, to).await
    } else {
        relay(from, incoming, to, outgoing, None::<Search>).await
    }
}

/// Moves a long body by a pipe, and by copying while it comes slowly.
async fn carry<R: AsyncRead + Unpin + Bare, W: AsyncWrite + Unpin + Bare>(
    from: &mut Inbox<R>,
    mut incoming: Incoming,
    to: &mut W,
) -> Result<(), Broken> {
    // What is known to be long is worth a pipe at once.
    let mut streak = if incoming.left().is_some() { limits::BULK } else { 0 };
    loop {
        let (data, taken, ended) = incoming.step(from.bytes()).map_err(Broken::Source)?;
        to.write_all(data).await.map_err(|_| Broken::Sink)?;
        from.take(taken);
        if ended {
            return Ok(());
        }
        // Out of descriptors: copying goes on.
        if streak >= limits::BULK
            && let Ok(pipe) = Pipe::new()
        {
            streak = 0;
            if !drain(&pipe, from, &mut incoming, to).await? {
                return Ok(());
            }
        }
        let more = from.much_more().await.map_err(Broken::Source)?;
        if more == 0 {
            return incoming.end();
        }
        streak = streak.saturating_add(u64::try_from(more).unwrap_or(1));
    }
}

/// Moves what comes of a body, and nothing that follows it, until its end or until nothing comes
/// for a while: then it says that more is to come. Nothing of it may be in the inbox.
async fn drain<R: AsyncRead + Unpin + Bare, W: Bare>(
    pipe: &Pipe,
    from: &mut Inbox<R>,
    incoming: &mut Incoming,
    to: &W,
) -> Result<bool, Broken> {
    loop {
        let left = incoming.left().and_then(|left| usize::try_from(left).ok());
        let filled = pipe.fill(from.source(), left.unwrap_or(usize::MAX)).await;
        let taken = match filled.map_err(Broken::Source)? {
            Some(taken @ 1..) => taken,
            Some(_) => return incoming.end().map(|()| false),
            None => return Ok(true),
        };
        // SECURITY: what a budget has no room for stays in the pipe, and goes with it.
        let granted = from.charge(taken);
        pipe.empty(to, granted, |_| ()).await.map_err(|_| Broken::Sink)?;
        if granted < taken {
            return Err(Broken::Source(used_up()));
        }
        if incoming.passed(taken) {
            return Ok(false);
        }
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
        Ok(Err(_)) | Err(_) => Err(too_many()),
    }
}

/// The same, that outlives the request's own task.
pub(crate) async fn owned_room(
    session: &Session<'_>,
    octets: usize,
) -> Result<OwnedSemaphorePermit, Refusal> {
    let room = Arc::clone(&session.context.bodies).acquire_many_owned(kib(octets));
    let room = timeout(limits::BODY_TIMEOUT, room).await;
    room.ok().and_then(Result::ok).ok_or_else(too_many)
}

/// Waits for room for a decoder that holds so many octets.
pub(crate) async fn room_for_decoder(
    session: &Session<'_>,
    octets: usize,
) -> Result<OwnedSemaphorePermit, Refusal> {
    let room = Arc::clone(&session.context.decoders).acquire_many_owned(kib(octets));
    let room = timeout(limits::BODY_TIMEOUT, room).await;
    room.ok().and_then(Result::ok).ok_or_else(|| {
        Refusal::no_request("body_timeout", "too many answers with a content coding are being read")
    })
}

fn too_many() -> Refusal {
    Refusal::no_request("body_timeout", "too many bodies are being read")
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

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::counted::is_used_up;
    use crate::halves::split;
    use crate::ledger::Meter;
    use crate::tests::world::policy;

    #[tokio::test]
    async fn n02_a_body_that_no_longer_comes_is_broken_off_and_not_ended() {
        let (mut client, read) = tokio::io::duplex(64);
        client.write_all(b"abc").await.unwrap();
        let mut inbox = Inbox::new(read, b"").with_idle(Duration::from_millis(50));
        let mut out = Vec::new();
        let incoming = Incoming::of_request(Body::Length(4));
        let moved = relay(&mut inbox, incoming, &mut out, Outgoing::Chunked, None::<Search>).await;
        assert!(
            matches!(moved, Err(Broken::Source(error)) if error.kind() == io::ErrorKind::TimedOut)
        );
        assert_eq!(out, b"3\r\nabc\r\n");
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    /// Passes a body of so many bytes on, of which some were read already; returns how that ended,
    /// how many came, and how many stayed behind.
    async fn passed(length: usize, meter: Option<Meter>) -> (Result<(), Broken>, usize, usize) {
        const HELD: usize = 1000;
        let ((mut source, from), (to, mut sink)) = (pair().await, pair().await);
        let writing = tokio::spawn(async move {
            let _gone = source.write_all(&vec![1; length - HELD]).await;
            let _gone = source.write_all(b"next").await;
            let _gone = source.shutdown().await;
        });
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            sink.read_to_end(&mut got).await.unwrap();
            assert!(got.iter().all(|byte| *byte == 1));
            got.len()
        });
        let (read, _write) = split(from);
        let (_read, mut write) = split(to);
        let mut inbox = Inbox::new(read, &[1; HELD]);
        inbox.meter = meter;
        let incoming = Incoming::Length(length as u64);
        let end = pass(&mut inbox, incoming, &mut write, Outgoing::Plain).await;
        drop((write, _read));
        let came = reading.await.unwrap();
        let mut rest = inbox.bytes().to_vec();
        if end.is_ok() {
            let mut from = inbox.into_inner();
            from.read_to_end(&mut rest).await.unwrap();
        } else {
            drop((inbox, _write));
        }
        writing.await.unwrap();
        (end, came, rest.len())
    }

    #[tokio::test]
    async fn a_long_body_passes_to_the_byte_and_what_follows_stays() {
        for length in [limits::PIPE, limits::PIPE + 1001, 3_000_000] {
            let (end, came, rest) = passed(length, None).await;
            assert!(end.is_ok());
            assert_eq!((came, rest), (length, 4));
        }
    }

    #[tokio::test]
    async fn h12_of_a_long_body_passes_what_a_budget_has_room_for() {
        // What was read before counted before.
        for (room, came) in [(2_999_000, 3_000_000), (2_998_999, 2_999_999), (7, 1007)] {
            let endpoint =
                format!("{{ host: a.example.com, port: 443, budget: {{ bytes: {room} }} }}");
            let passed = passed(3_000_000, Some(Meter::under(policy(&endpoint)))).await;
            let is_cut = came < 3_000_000;
            assert_eq!((passed.1, passed.0.is_err()), (came, is_cut));
            if let Err(broken) = passed.0 {
                assert!(matches!(broken, Broken::Source(error) if is_used_up(&error)));
            }
        }
    }
}
