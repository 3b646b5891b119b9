//! Zstandard (RFC 8878, RFC 9659).

use ruzstd::decoding::errors::{BlockHeaderReadError, FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::ContentError;
use super::decode::Room;

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

/// The largest window that RFC 9659 lets a sender use, in bytes; it is taken before anything is
/// decoded. A frame that is one segment needs a window of its whole content.
const WINDOW: u64 = 8 * 1024 * 1024;
