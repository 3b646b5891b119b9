//! Reading what a client sends.

use super::extension::Deflate;
use super::frame::{Header, Opcode, Order, Sender, apply_mask};
use super::inflate::{InflateError, Inflater, append};
use super::{Message, Violation};

/// Reads the frames of a client to whole messages, however the stream is split.
///
/// Its memory is the message that is being read, as far as it came, one chunk for inflating, the
/// window, and [`ClientReader::BUFFER`] octets of frames; what a header promises is not set aside.
#[derive(Debug)]
pub struct ClientReader {
    /// Octets that were fed. Those before `at` were read.
    buffer: Vec<u8>,
    at: usize,
    order: Order,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The data message that is being read.
    partial: Option<Partial>,
    /// The payload of the control frame that is being read.
    control: Vec<u8>,
    deflate: Option<Deflate>,
    /// Made for the first compressed message.
    inflater: Option<Inflater>,
    end: Option<End>,
}

/// A frame whose header was read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    /// Octets of its payload that were read.
    read: u64,
}

/// A data message that has begun.
#[derive(Debug)]
struct Partial {
    text: bool,
    compressed: bool,
    fragments: usize,
    /// Octets of its frames, as their headers say.
    framed: u64,
    /// What it says so far, inflated.
    content: Vec<u8>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Broken(Violation),
}

impl ClientReader {
    /// The longest text message, in octets, inflated; a longer one is refused.
    pub const LONGEST_TEXT: usize = 4 << 20;
    /// The longest binary message, in octets, inflated; a longer one is refused.
    pub const LONGEST_BINARY: usize = 16 << 20;
    /// The most fragments of a message; one with more is refused.
    pub const MOST_FRAGMENTS: usize = 4096;
    /// Octets that can be fed before messages are taken.
    pub const BUFFER: usize = 64 * 1024;

    /// At the beginning of a stream, right behind the handshake.
    pub fn new(deflate: Option<Deflate>) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            order: Order::new(deflate.is_some()),
            frame: None,
            partial: None,
            control: Vec::new(),
            deflate,
            inflater: None,
            end: None,
        }
    }

    /// Takes the next octets of the stream, as many as there is room for, and says how many. There
    /// is always room for some once [`Self::next_message`] gave `None`. What follows a close frame
    /// or a violation is taken and forgotten.
    #[must_use = "what was not taken must be fed again"]
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        if self.end.is_some() {
            return bytes.len();
        }
        // Only moved when as much was read as is left at most: small messages in a full buffer
        // must not move it each time.
        if self.at >= Self::BUFFER / 2 {
            self.compact();
        }
        let room = Self::BUFFER.saturating_sub(self.buffer.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next whole message; `None` when it takes more octets, and for ever after a close frame.
    /// A violation stays.
    pub fn next_message(&mut self) -> Result<Option<Message>, Violation> {
        match self.end {
            Some(End::Closed) => return Ok(None),
            Some(End::Broken(violation)) => return Err(violation),
            None => {}
        }
        let result = self.advance();
        match &result {
            Ok(Some(Message::Close { .. })) => self.stop(End::Closed),
            Ok(Some(_)) => {}
            Ok(None) => self.compact(),
            Err(violation) => self.stop(End::Broken(*violation)),
        }
        result
    }

    /// Whether a message or a frame has begun and not ended: the time that it takes counts.
    pub fn is_mid_message(&self) -> bool {
        self.end.is_none()
            && (self.order.is_open() || self.frame.is_some() || self.at < self.buffer.len())
    }

    /// Whether a close frame was read.
    pub const fn is_closed(&self) -> bool {
        matches!(self.end, Some(End::Closed))
    }

    fn advance(&mut self) -> Result<Option<Message>, Violation> {
        loop {
            if self.frame.is_none() && !self.begin_frame()? {
                return Ok(None);
            }
            let Some(mut frame) = self.frame else {
                return Ok(None);
            };
            let ended = self.read_payload(&mut frame)?;
            self.frame = if ended { None } else { Some(frame) };
            if !ended {
                return Ok(None);
            }
            if let Some(message) = self.end_frame(&frame.header)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads a header, when it is there.
    fn begin_frame(&mut self) -> Result<bool, Violation> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((header, length)) = Header::parse(rest, Sender::Client)? else {
            return Ok(false);
        };
        self.order.admit(&header)?;
        if !header.opcode.is_control() {
            self.begin_fragment(&header)?;
        }
        self.at += length;
        self.frame = Some(Frame { header, read: 0 });
        Ok(true)
    }

    fn begin_fragment(&mut self, header: &Header) -> Result<(), Violation> {
        let partial = self.partial.get_or_insert_with(|| Partial {
            text: header.opcode == Opcode::Text,
            compressed: header.compressed,
            fragments: 0,
            framed: 0,
            content: Vec::new(),
        });
        partial.fragments += 1;
        if partial.fragments > Self::MOST_FRAGMENTS {
            return Err(Violation::Fragments);
        }
        partial.framed = partial.framed.saturating_add(header.length);
        // SECURITY: F8, N6; the end of a message that is too long is not waited for, and compressed
        // octets that make no output have an end, too.
        let most = if partial.compressed {
            partial.limit().saturating_add(partial.limit() / 8)
        } else {
            partial.limit()
        };
        if partial.framed > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(partial.too_long());
        }
        Ok(())
    }

    /// Reads what is there of a frame's payload, and whether that is all of it.
    fn read_payload(&mut self, frame: &mut Frame) -> Result<bool, Violation> {
        let left = frame.header.length.saturating_sub(frame.read);
        let there = self.buffer.len().saturating_sub(self.at);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let octets = self.buffer.get_mut(self.at..self.at + taken).unwrap_or_default();
        let offset = usize::try_from(frame.read % 4).unwrap_or_default();
        apply_mask(octets, frame.header.mask, offset);
        self.at += taken;
        frame.read = frame.read.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        match &mut self.partial {
            _ if frame.header.opcode.is_control() => self.control.extend_from_slice(octets),
            Some(partial) if partial.compressed => {
                let deflate = self.deflate;
                let forgets = deflate.is_some_and(|agreed| agreed.client_no_context_takeover);
                let inflater = self.inflater.get_or_insert_with(|| Inflater::new(forgets));
                let limit = partial.limit();
                let pushed = inflater.push(octets, &mut partial.content, limit);
                pushed.map_err(|error| partial.refusal(error))?;
            }
            Some(partial) => {
                let limit = partial.limit();
                append(&mut partial.content, octets, limit);
            }
            None => {}
        }
        Ok(frame.read == frame.header.length)
    }

    /// The message that ends with a frame, if one does.
    fn end_frame(&mut self, header: &Header) -> Result<Option<Message>, Violation> {
        match header.opcode {
            Opcode::Ping => return Ok(Some(Message::Ping(std::mem::take(&mut self.control)))),
            Opcode::Pong => return Ok(Some(Message::Pong(std::mem::take(&mut self.control)))),
            Opcode::Close => return Message::close(&self.control).map(Some),
            Opcode::Continuation | Opcode::Text | Opcode::Binary if !header.last => {
                return Ok(None);
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        let Some(mut partial) = self.partial.take() else {
            return Ok(None);
        };
        if let (true, Some(inflater)) = (partial.compressed, &mut self.inflater) {
            let finished = inflater.finish(&mut partial.content);
            finished.map_err(|error| partial.refusal(error))?;
        }
        if partial.text {
            String::from_utf8(partial.content)
                .map(|text| Some(Message::Text(text)))
                .map_err(|_| Violation::Utf8)
        } else {
            Ok(Some(Message::Binary(partial.content)))
        }
    }

    /// Moves what was not read to the front.
    fn compact(&mut self) {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
    }

    /// Lets go of everything: the stream has ended.
    fn stop(&mut self, end: End) {
        *self = Self { end: Some(end), ..Self::new(None) };
    }
}

impl Partial {
    const fn limit(&self) -> usize {
        if self.text { ClientReader::LONGEST_TEXT } else { ClientReader::LONGEST_BINARY }
    }

    const fn too_long(&self) -> Violation {
        if self.text { Violation::TextTooLong } else { Violation::BinaryTooLong }
    }

    const fn refusal(&self, error: InflateError) -> Violation {
        match error {
            InflateError::Malformed => Violation::Deflate,
            InflateError::TooLong => self.too_long(),
        }
    }
}
