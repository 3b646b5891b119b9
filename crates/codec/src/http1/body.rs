//! Finding the end of a chunked body (RFC 9112, section 7.1).

use thiserror::Error;

/// Reads a chunked body strictly, however it is split. Yields the data alone: extensions and
/// trailers end here, so what is forwarded is framed by us.
#[derive(Clone, Debug, Default)]
pub struct ChunkedReader {
    state: State,
    /// Octets of the current line, or of the trailers, for their bounds.
    seen: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// In a size that has digits.
    Digits(u64),
    /// In an extension.
    Extension(u64),
    /// After the CR of the size line.
    SizeEnd(u64),
    /// In data, of which so many octets remain.
    Data(u64),
    /// After the data.
    DataCr,
    /// After the CR that follows the data.
    DataLf,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// After the CR of a trailer line.
    TrailerEnd,
    /// After the CR of the last, empty line.
    LastLf,
    /// Behind the body.
    Done,
}

/// What a step through a chunked body found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Octets of the input that belong to the body and were read.
    pub consumed: usize,
    /// Data among them; may be empty.
    pub data: &'a [u8],
    /// Whether the body ends behind them.
    pub done: bool,
}

/// Why a chunked body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// The size is not 1 to 16 hexadecimal digits.
    #[error("a chunk size is malformed")]
    Size,
    /// An extension or the trailers are too long.
    #[error("chunk extensions or trailers are too long")]
    TooLong,
    /// A line does not end in CR LF, or has a control character.
    #[error("a line of a chunked body is malformed")]
    Line,
}

impl ChunkedReader {
    /// The longest size line, in octets.
    const LONGEST_LINE: usize = 1024;
    /// The longest trailers, in octets.
    const LONGEST_TRAILERS: usize = 16 * 1024;

    /// At the beginning of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on until data, the end of the body or the end of `input`.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> Result<Chunk<'a>, ChunkError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if let State::Data(left) = self.state {
                let rest = input.get(at..).unwrap_or_default();
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let data = rest.get(..take).unwrap_or_default();
                let left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                return Ok(Chunk { consumed: at + take, data, done: false });
            }
            if self.state == State::Done {
                break;
            }
            self.step(byte)?;
            at += 1;
        }
        Ok(Chunk { consumed: at, data: &[], done: self.state == State::Done })
    }

    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.seen += 1;
        let (state, longest) = match self.state {
            State::Size | State::Digits(_) => (self.in_size(byte)?, Self::LONGEST_LINE),
            State::Extension(size) => match byte {
                b'\r' => (State::SizeEnd(size), Self::LONGEST_LINE),
                _ if is_text(byte) => (State::Extension(size), Self::LONGEST_LINE),
                _ => return Err(ChunkError::Line),
            },
            State::SizeEnd(0) if byte == b'\n' => {
                self.seen = 0;
                (State::TrailerStart, Self::LONGEST_TRAILERS)
            }
            State::SizeEnd(size) if byte == b'\n' => (State::Data(size), Self::LONGEST_LINE),
            State::DataCr if byte == b'\r' => (State::DataLf, Self::LONGEST_LINE),
            State::DataLf if byte == b'\n' => {
                self.seen = 0;
                (State::Size, Self::LONGEST_LINE)
            }
            State::TrailerStart if byte == b'\r' => (State::LastLf, Self::LONGEST_TRAILERS),
            State::TrailerStart | State::Trailer => match byte {
                b'\r' => (State::TrailerEnd, Self::LONGEST_TRAILERS),
                _ if is_text(byte) => (State::Trailer, Self::LONGEST_TRAILERS),
                _ => return Err(ChunkError::Line),
            },
            State::TrailerEnd if byte == b'\n' => (State::TrailerStart, Self::LONGEST_TRAILERS),
            State::LastLf if byte == b'\n' => (State::Done, Self::LONGEST_TRAILERS),
            _ => return Err(ChunkError::Line),
        };
        // SECURITY: E3; neither extensions nor trailers may go on for ever.
        if self.seen > longest {
            return Err(ChunkError::TooLong);
        }
        self.state = state;
        Ok(())
    }

    fn in_size(&self, byte: u8) -> Result<State, ChunkError> {
        let (size, begun) = match self.state {
            State::Digits(size) => (size, true),
            _ => (0, false),
        };
        match (char::from(byte).to_digit(16), byte) {
            // SECURITY: E3; a seventeenth digit could wrap the number.
            (Some(digit), _) if self.seen <= 16 => {
                let size = size.checked_mul(16).and_then(|s| s.checked_add(u64::from(digit)));
                size.map(State::Digits).ok_or(ChunkError::Size)
            }
            (None, b'\r') if begun => Ok(State::SizeEnd(size)),
            (None, b';') if begun => Ok(State::Extension(size)),
            _ => Err(ChunkError::Size),
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 127)
}
