//! When the head of a request is on the wire, which the libraries that send requests do not say.
//!
//! What they write to a connection passes a [`Watched`] stream, which reads the ends of heads in it
//! and tells [`Heads`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::limits;
use crate::sending::InFlight;

/// The heads of requests that go over one connection.
#[derive(Clone)]
pub(crate) struct Heads(Arc<Shared>);

struct Shared {
    handed: Mutex<Handed>,
    /// The number of the last that was written; when the connection is gone, the greatest there is.
    written: watch::Sender<u64>,
}

/// The requests that a library was given which does not say how it numbers them.
#[derive(Default)]
struct Handed {
    /// The number of the last of them.
    last: u64,
    /// How many have no answer yet.
    open: usize,
}

/// One head, which may not be written yet. Their numbers begin with 1.
pub(crate) struct Head {
    of: Heads,
    number: u64,
    is_handed: bool,
}

impl Heads {
    /// Of a connection over which requests go one after the other in HTTP/1.
    pub(crate) fn of_http1<S>(stream: S) -> (Self, Watched<S>) {
        Self::of(stream, Scan::Http1 { seen: 0 })
    }

    /// Of a connection over which a client speaks HTTP/2.
    pub(crate) fn of_http2<S>(stream: S) -> (Self, Watched<S>) {
        Self::of(stream, Scan::Http2(Frames::new()))
    }

    fn of<S>(stream: S, scan: Scan) -> (Self, Watched<S>) {
        let shared = Shared { handed: Mutex::default(), written: watch::Sender::new(0) };
        let heads = Self(Arc::new(shared));
        (heads.clone(), Watched { stream, scan, heads })
    }

    /// Gives a library a request, and says which head that is: it writes them in their order. One
    /// that it never writes, since nobody wants its answer any more, has no number; until no other
    /// is open, those behind it count as written too late, and never too early.
    pub(crate) fn hand<T>(&self, give: impl FnOnce() -> T) -> (T, Head) {
        let mut handed = self.lock();
        if handed.open == 0 {
            handed.last = *self.0.written.borrow();
        }
        let given = give();
        handed.last = handed.last.saturating_add(1);
        handed.open = handed.open.saturating_add(1);
        (given, Head { of: self.clone(), number: handed.last, is_handed: true })
    }

    /// The head of the stream of this number: the client's have odd ones (RFC 9113, section 5.1.1).
    pub(crate) fn of_stream(&self, stream: u32) -> Head {
        Head { of: self.clone(), number: u64::from(stream.div_ceil(2)), is_handed: false }
    }

    fn lock(&self) -> MutexGuard<'_, Handed> {
        self.0.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, number: u64) {
        self.0.written.send_if_modified(|last| {
            let is_later = number > *last;
            *last = number.max(*last);
            is_later
        });
    }
}

impl Head {
    /// Waits until it is written, or its connection is gone; not for ever.
    pub(crate) async fn written(&self) {
        let mut written = self.of.0.written.subscribe();
        let _late =
            timeout(limits::CREDENTIAL_SENT, written.wait_for(|last| *last >= self.number)).await;
    }

    /// Counts a request as being sent until then.
    pub(crate) fn until_written(self, sending: InFlight) {
        tokio::spawn(async move {
            self.written().await;
            drop(sending);
        });
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        if self.is_handed {
            let mut handed = self.of.lock();
            handed.open = handed.open.saturating_sub(1);
        }
    }
}

/// A connection whose written heads are told.
pub(crate) struct Watched<S> {
    stream: S,
    scan: Scan,
    heads: Heads,
}

impl<S> Watched<S> {
    fn note(&mut self, bytes: &[u8]) {
        match &mut self.scan {
            Scan::Http1 { seen } => {
                let awaited = self.heads.lock().last;
                // What follows a head is its body.
                if awaited > *self.heads.0.written.borrow() && ends_within(seen, bytes) {
                    self.heads.wrote(awaited);
                }
            }
            Scan::Http2(frames) => {
                if let Some(number) = frames.read(bytes) {
                    self.heads.wrote(number);
                }
            }
        }
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.heads.wrote(u64::MAX);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.note(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Where in what is written the end of a head is looked for.
enum Scan {
    /// How much of the empty line that ends a head was seen.
    Http1 {
        seen: usize,
    },
    Http2(Frames),
}

/// Whether a head ends in these bytes, of whose end `seen` octets came before.
fn ends_within(seen: &mut usize, bytes: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    for byte in bytes {
        *seen = match END.get(*seen) {
            Some(next) if next == byte => seen.saturating_add(1),
            _ => usize::from(*byte == b'\r'),
        };
        if *seen == END.len() {
            *seen = 0;
            return true;
        }
    }
    false
}

/// Reads along which streams' heads a client of HTTP/2 has written (RFC 9113, section 4.1).
struct Frames {
    /// Octets until the next frame begins.
    skipped: usize,
    /// The head of a frame, as far as it was written.
    head: Vec<u8>,
    /// The number of the stream whose head ends where the next frame begins.
    ends: Option<u64>,
}

impl Frames {
    /// Before the first are the octets of the client's preface (section 3.4).
    fn new() -> Self {
        const PREFACE: usize = 24;
        Self { skipped: PREFACE, head: Vec::with_capacity(FRAME_HEAD), ends: None }
    }

    /// Takes what was written, and gives the number of the last head that ends in it.
    fn read(&mut self, mut bytes: &[u8]) -> Option<u64> {
        let mut last = None;
        while !bytes.is_empty() {
            let (skipped, rest) = bytes.split_at(self.skipped.min(bytes.len()));
            self.skipped = self.skipped.saturating_sub(skipped.len());
            let missing = FRAME_HEAD.saturating_sub(self.head.len()).min(rest.len());
            let (head, rest) = rest.split_at(missing);
            self.head.extend_from_slice(head);
            bytes = rest;
            last = last.max(self.next_frame());
        }
        last
    }

    /// Notes the end of a frame, and a head that is whole.
    fn next_frame(&mut self) -> Option<u64> {
        if self.skipped > 0 {
            return None;
        }
        let ended = self.ends.take();
        if let Ok([a, b, c, kind, flags, stream @ ..]) = <[u8; FRAME_HEAD]>::try_from(&*self.head) {
            self.head.clear();
            self.skipped = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            let stream = u32::from_be_bytes(stream) & !RESERVED;
            let is_last = [HEADERS, CONTINUATION].contains(&kind) && flags & END_HEADERS != 0;
            self.ends = is_last.then_some(u64::from(stream.div_ceil(2)));
            if self.skipped == 0 {
                return self.ends.take().or(ended);
            }
        }
        ended
    }
}

const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
/// The bit before a stream's number.
const RESERVED: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn last(heads: &Heads) -> u64 {
        *heads.0.written.borrow()
    }

    fn frame(kind: u8, flags: u8, stream: u32, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(vec![b'x'; length.into()]);
        frame
    }

    #[tokio::test]
    async fn i13_a_head_of_http1_is_written_with_its_last_octet() {
        let (heads, mut stream) = Heads::of_http1(tokio::io::sink());
        stream.write_all(b"before\r\n\r\n").await.unwrap();
        for number in 1..=3 {
            let ((), head) = heads.hand(|| ());
            for part in ["POST / HTTP/1.1\r\nA: b\r", "\n\r", "\r\n\r"] {
                stream.write_all(part.as_bytes()).await.unwrap();
                assert_eq!(last(&heads), number - 1, "{part:?}");
            }
            assert!(timeout(Duration::ZERO, head.written()).await.is_err());
            stream.write_all(b"\nbody\r\n\r\nbody").await.unwrap();
            assert_eq!(last(&heads), number);
            head.written().await;
        }
    }

    #[tokio::test]
    async fn i13_a_head_of_http2_is_written_with_its_last_octet_however_it_is_cut() {
        let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        wire.extend(frame(4, 0, 0, 6));
        let mut ends = Vec::new();
        let frames = [
            (frame(HEADERS, 0, 1, 20), false),
            (frame(CONTINUATION, END_HEADERS, 1, 3), true),
            (frame(HEADERS, END_HEADERS | 1, 3, 200), true),
            // Data, and a window.
            (frame(0, END_HEADERS, 3, 9), false),
            (frame(8, END_HEADERS, 0, 4), false),
            (frame(HEADERS, END_HEADERS, 5, 0), true),
            // Trailers of an earlier one.
            (frame(HEADERS, END_HEADERS | 1, 3, 8), false),
        ];
        for (frame, is_end) in frames {
            wire.extend(frame);
            if is_end {
                ends.push(wire.len());
            }
        }
        for size in [1, 2, 7, 9, 10, 64, wire.len()] {
            let (heads, mut stream) = Heads::of_http2(tokio::io::sink());
            let mut written = 0;
            for part in wire.chunks(size) {
                stream.write_all(part).await.unwrap();
                written += part.len();
                let whole = ends.iter().filter(|end| **end <= written).count();
                assert_eq!(last(&heads), u64::try_from(whole).unwrap(), "{size} {written}");
            }
            heads.of_stream(5).written().await;
        }
    }

    #[tokio::test]
    async fn i13_what_was_never_written_counts_as_it_until_no_other_is_open() {
        let (heads, mut stream) = Heads::of_http1(tokio::io::sink());
        let ((), first) = heads.hand(|| ());
        let ((), gone) = heads.hand(|| ());
        assert_eq!((first.number, gone.number), (1, 2));
        drop((first, gone));
        let ((), next) = heads.hand(|| ());
        assert_eq!(next.number, 1);
        stream.write_all(b"\r\n\r\n").await.unwrap();
        next.written().await;
    }

    #[tokio::test]
    async fn i13_nothing_more_is_written_to_a_connection_that_is_gone() {
        let (heads, stream) = Heads::of_http2(tokio::io::sink());
        let head = heads.of_stream(1);
        drop(stream);
        head.written().await;
    }
}
