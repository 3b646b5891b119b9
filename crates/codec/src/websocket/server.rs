//! Checking what a server sends.

use super::Violation;
use super::extension::Deflate;
use super::frame::{Header, Opcode, Order, Sender};

/// Checks the frames of a server, which pass on unchanged, or piece by piece for whoever writes them
/// anew. Keeps no octet of them.
#[derive(Clone, Debug)]
pub struct ServerReader {
    order: Order,
    /// Octets of the current frame's payload that have not passed.
    left: u64,
    /// Whether the current frame is a close frame, or the last one was.
    closing: bool,
    /// Whether the current frame's message ends with it.
    last: bool,
}

/// A piece of what a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A control frame.
    Control {
        /// Its header.
        header: &'a [u8],
        /// All of its payload.
        payload: &'a [u8],
    },
    /// The beginning of a message, or more of the one that has begun.
    Message {
        /// Of a message that begins here: whether it is a text.
        begins: Option<bool>,
        /// So much of its payload; there may be nothing of it yet.
        payload: &'a [u8],
        /// Whether the message ends here.
        ends: bool,
    },
}

/// What may pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// So many octets at the beginning of those that were shown. The others, when the stream goes
    /// on, must be shown again together with what follows them.
    pub bytes: usize,
    /// Whether a close frame ends with them: whatever follows must not pass.
    pub closed: bool,
}

impl ServerReader {
    /// The longest header, in octets: of legal frames, [`Self::pass`] leaves fewer at the end.
    pub const LONGEST_HEADER: usize = 10;

    /// At the beginning of a stream, right behind the handshake.
    pub const fn new(deflate: Option<Deflate>) -> Self {
        Self { order: Order::new(deflate.is_some()), left: 0, closing: false, last: false }
    }

    /// Looks at the next octets of the stream: how many of them may pass. A header passes as a
    /// whole, so a violation, which is told once nothing stands before it, never comes inside a
    /// frame that has passed in part.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Passed, Violation> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
            at += payload;
            self.left = self.left.saturating_sub(u64::try_from(payload).unwrap_or(u64::MAX));
            if self.left > 0 || self.closing {
                return Ok(Passed { bytes: at, closed: self.is_closed() });
            }
            let rest = bytes.get(at..).unwrap_or_default();
            match self.begin_frame(rest) {
                Ok(Some(length)) => at += length,
                Err(violation) if at == 0 => return Err(violation),
                Ok(None) | Err(_) => return Ok(Passed { bytes: at, closed: false }),
            }
        }
    }

    /// The next piece, and how many of the octets it took; `None` when more of them are needed. Those
    /// that were not taken must be shown again. A stream is read so from its beginning or not at all.
    pub fn piece<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Piece<'a>, usize)>, Violation> {
        if self.is_closed() || bytes.is_empty() && self.left > 0 {
            return Ok(None);
        }
        let (mut begins, mut at) = (None, 0);
        if self.left == 0 {
            let Some((header, length)) = Header::parse(bytes, Sender::Server)? else {
                return Ok(None);
            };
            if header.opcode.is_control() {
                return self.control(&header, bytes.split_at(length));
            }
            self.order.admit(&header)?;
            (self.left, self.last, at) = (header.length, header.last, length);
            let is_text = header.opcode == Opcode::Text;
            begins = (header.opcode != Opcode::Continuation).then_some(is_text);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        let payload = rest.get(..length).unwrap_or_default();
        self.left = self.left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        let ends = self.left == 0 && self.last;
        Ok(Some((Piece::Message { begins, payload, ends }, at.saturating_add(length))))
    }

    fn control<'a>(
        &mut self,
        header: &Header,
        (own, rest): (&'a [u8], &'a [u8]),
    ) -> Result<Option<(Piece<'a>, usize)>, Violation> {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        self.order.admit(header)?;
        self.closing = header.opcode == Opcode::Close;
        let taken = own.len().saturating_add(length);
        Ok(Some((Piece::Control { header: own, payload }, taken)))
    }

    /// Whether a close frame has passed.
    pub const fn is_closed(&self) -> bool {
        self.closing && self.left == 0
    }

    /// Whether all frames that have passed did so as a whole: only here may another be put between
    /// them.
    pub const fn is_between_frames(&self) -> bool {
        self.left == 0
    }

    /// Reads a header, when it is there; its length.
    fn begin_frame(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let Some((header, length)) = Header::parse(bytes, Sender::Server)? else {
            return Ok(None);
        };
        self.order.admit(&header)?;
        self.left = header.length;
        self.closing = header.opcode == Opcode::Close;
        Ok(Some(length))
    }
}
