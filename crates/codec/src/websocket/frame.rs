//! Headers of frames (RFC 6455, section 5.2), and the order in which frames may come.

use super::Violation;

/// The longest payload of a control frame, in octets (RFC 6455, section 5.5).
pub(super) const LONGEST_CONTROL: usize = 125;

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The header of a frame; each rule that it can break by itself holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the message ends with this frame.
    pub(super) last: bool,
    /// Whether the first reserved bit is set: the message is compressed (RFC 7692, section 6).
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    /// The key; of zeros, which change nothing, when the sender is a server.
    pub(super) mask: [u8; 4],
    /// Octets of payload.
    pub(super) length: u64,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Header {
    /// Reads a header at the beginning of `bytes`: the header and its length, or `None` when more
    /// bytes are needed. What cannot become a legal one is refused as soon as it is seen.
    pub(super) fn parse(bytes: &[u8], from: Sender) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first & 0x30 != 0 {
            return Err(Violation::Reserved);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::Opcode)?;
        let (last, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        if opcode.is_control() && !last {
            return Err(Violation::Control);
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        match (from, second & 0x80 != 0) {
            (Sender::Client, false) => return Err(Violation::Unmasked),
            (Sender::Server, true) => return Err(Violation::Masked),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > LONGEST_CONTROL {
            return Err(Violation::Control);
        }
        if opcode == Opcode::Close && short == 1 {
            return Err(Violation::Close);
        }
        let rest = bytes.get(2..).unwrap_or_default();
        let Some((length, rest)) = read_length(short, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = match (from, rest.split_first_chunk()) {
            (Sender::Server, _) => ([0; 4], rest),
            (Sender::Client, Some((mask, rest))) => (*mask, rest),
            (Sender::Client, None) => return Ok(None),
        };
        let header = Self { last, compressed, opcode, mask, length };
        Ok(Some((header, bytes.len().saturating_sub(rest.len()))))
    }
}

/// The length that `short` says, or that follows it, and what follows that.
fn read_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((octets, rest)) => (u64::from(u16::from_be_bytes(*octets)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((octets, rest)) => (u64::from_be_bytes(*octets), rest, 1 << 16),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    // SECURITY: F8; a length with a second spelling is one that another reader may misread.
    if length < least || length > MOST_LENGTH {
        return Err(Violation::Length);
    }
    Ok(Some((length, rest)))
}

/// The highest bit of a length must be zero (RFC 6455, section 5.2).
const MOST_LENGTH: u64 = u64::MAX >> 1;

/// Which frames may come next.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Whether messages may be compressed.
    deflate: bool,
    /// Whether a message has begun whose last frame has not come.
    open: bool,
}

impl Order {
    pub(super) const fn new(deflate: bool) -> Self {
        Self { deflate, open: false }
    }

    /// Whether a fragmented message has not ended.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Admits the next frame (RFC 6455, section 5.4; RFC 7692, section 6.1).
    pub(super) const fn admit(&mut self, header: &Header) -> Result<(), Violation> {
        let begins = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if header.compressed && !(self.deflate && begins) {
            return Err(Violation::Reserved);
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        if begins == self.open {
            return Err(Violation::Order);
        }
        self.open = !header.last;
        Ok(())
    }
}

/// Masks or unmasks the octets of a payload from the place `at` on (RFC 6455, section 5.3).
pub(super) fn apply_mask(bytes: &mut [u8], mut key: [u8; 4], at: usize) {
    key.rotate_left(at % 4);
    // Four copies of the key side by side, in either order of octets.
    let word = u128::from(u32::from_ne_bytes(key)) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
    let (words, rest) = bytes.as_chunks_mut::<16>();
    for octets in words {
        *octets = (u128::from_ne_bytes(*octets) ^ word).to_ne_bytes();
    }
    for (octet, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *octet ^= key;
    }
}
