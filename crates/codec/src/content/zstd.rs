//! Zstandard (RFC 8878, RFC 9659).

use std::fmt;

use ruzstd::decoding::errors::{BlockHeaderReadError, FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::ContentError;
use super::decode::Room;
use super::stream::Give;

/// One frame without a dictionary. Skippable frames are refused: not every decoder skips them.
pub(super) fn decode(body: &[u8], room: Room) -> Result<Vec<u8>, ContentError> {
    // RFC 8878, section 3.1.1.1.1.4: the library does not look at the reserved bit.
    if body.get(4).is_some_and(|descriptor| descriptor & 0b1000 != 0) {
        return Err(ContentError::Malformed);
    }
    let mut input = body;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    decoder.init(&mut input).map_err(failed)?;
    let announced = usize::try_from(decoder.content_size()).map_err(|_| ContentError::TooLong)?;
    room.holds(announced)?;
    let mut out = Vec::new();
    loop {
        // A block is at most 128 KiB; what is not yet in `out` is within the window.
        let finished = decoder
            .decode_blocks(&mut input, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(failed)?;
        room.holds(out.len().saturating_add(decoder.can_collect()))?;
        decoder.collect_to_writer(&mut out).map_err(|_| ContentError::Malformed)?;
        if finished {
            break;
        }
    }
    // No size is announced as zero, too.
    if announced != 0 && announced != out.len() {
        return Err(ContentError::Malformed);
    }
    if let Some(sum) = decoder.get_checksum_from_data()
        && decoder.get_calculated_checksum() != Some(sum)
    {
        return Err(ContentError::Malformed);
    }
    if input.is_empty() { Ok(out) } else { Err(ContentError::Trailing) }
}

fn failed(error: FrameDecoderError) -> ContentError {
    match error {
        FrameDecoderError::ReadFrameHeaderError(
            ReadFrameHeaderError::BadMagicNumber(_) | ReadFrameHeaderError::SkipFrame { .. },
        ) => ContentError::Malformed,
        FrameDecoderError::ReadFrameHeaderError(_)
        | FrameDecoderError::FailedToReadBlockHeader(BlockHeaderReadError::ReadError(_))
        | FrameDecoderError::FailedToReadChecksum(_) => ContentError::Truncated,
        _ => ContentError::Malformed,
    }
}

/// The same of a body that comes in parts.
pub(super) struct ZstdStream {
    decoder: FrameDecoder,
    /// What has not been decoded: the beginning of a frame's head, or of a block.
    held: Vec<u8>,
    /// Whether a frame has begun, and whether four bytes of checksum follow it.
    frame: Option<bool>,
}

impl ZstdStream {
    /// Most bytes that it holds: the largest window, twice as it grows, and a block.
    pub(super) const MEMORY: usize = 17 * 1024 * 1024;

    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { decoder, held: Vec::new(), frame: None }
    }

    /// Whether nothing waits for what follows it.
    pub(super) const fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn push(&mut self, input: &[u8], give: &mut Give<'_>) -> Result<(), ContentError> {
        self.held.extend_from_slice(input);
        let mut at = 0;
        while let Some(taken) = self.step(at, give)? {
            at = at.saturating_add(taken);
        }
        self.held.drain(..at.min(self.held.len()));
        Ok(())
    }

    /// Decodes a head, or a block, when it is there; says how long it was.
    fn step(&mut self, at: usize, give: &mut Give<'_>) -> Result<Option<usize>, ContentError> {
        let rest = self.held.get(at..).unwrap_or_default();
        let Some(has_sum) = self.frame else {
            let Some(length) = head_length(rest).filter(|length| rest.len() >= *length) else {
                return Ok(None);
            };
            let descriptor = rest.get(4).copied().unwrap_or_default();
            // RFC 8878, section 3.1.1.1.1.4: the library does not look at the reserved bit.
            if descriptor & 0b1000 != 0 {
                return Err(ContentError::Malformed);
            }
            self.decoder.init(rest.get(..length).unwrap_or_default()).map_err(failed)?;
            self.frame = Some(descriptor & 0b100 != 0);
            return Ok(Some(length));
        };
        let Some(length) = block_length(rest, has_sum).filter(|length| rest.len() >= *length)
        else {
            return Ok(None);
        };
        let mut block = rest.get(..length).unwrap_or_default();
        let is_last = self
            .decoder
            .decode_blocks(&mut block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(failed)?;
        if let Some(given) = self.decoder.collect().filter(|given| !given.is_empty()) {
            give(&given)?;
        }
        if is_last {
            self.frame = None;
        }
        if block.is_empty() { Ok(Some(length)) } else { Err(ContentError::Malformed) }
    }
}

impl fmt::Debug for ZstdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZstdStream").field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// How long the head of a frame is that begins here, once that can be told (RFC 8878, section
/// 3.1.1.1).
fn head_length(bytes: &[u8]) -> Option<usize> {
    let descriptor = *bytes.get(4)?;
    let is_single = descriptor & 0b10_0000 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 0b11)).copied()?;
    let size = match descriptor >> 6 {
        0 => usize::from(is_single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    Some(5 + usize::from(!is_single) + dictionary + size)
}

/// How long the block is that begins here, with what follows the last one (RFC 8878, section
/// 3.1.1.2).
fn block_length(bytes: &[u8], has_sum: bool) -> Option<usize> {
    const HEAD: usize = 3;
    let [first, second, third, ..] = *bytes else { return None };
    let head = u32::from_le_bytes([first, second, third, 0]);
    let is_repeated = head >> 1 & 0b11 == 1;
    let size = if is_repeated { 1 } else { usize::try_from(head >> 3).ok()? };
    let sum = if head & 1 == 1 && has_sum { 4 } else { 0 };
    // A longer one than there may be is not waited for: the decoder refuses it.
    Some(HEAD + size.min(LONGEST_BLOCK) + sum)
}

/// The longest block, in bytes (RFC 8878, section 3.1.1.2.4), and one that is longer.
const LONGEST_BLOCK: usize = 128 * 1024 + 1;

/// The largest window that RFC 9659 lets a sender use, in bytes; it is taken before anything is
/// decoded. A frame that is one segment needs a window of its whole content.
const WINDOW: u64 = 8 * 1024 * 1024;
