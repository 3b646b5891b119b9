//! Brotli (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::ContentError;
use super::decode::{Room, STEP};

/// The window, of at most 16 MiB, grows with what comes out; the format's later extension to larger
/// windows is refused.
pub(super) fn decode(body: &[u8], room: Room) -> Result<Vec<u8>, ContentError> {
    let allocator = StandardAlloc::default;
    let mut state = BrotliState::new_strict(allocator(), allocator(), allocator());
    let mut out = Vec::new();
    let mut step = vec![0; STEP];
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    loop {
        let (mut free, mut given) = (step.len(), 0);
        let before = left;
        let result = BrotliDecompressStream(
            &mut left, &mut at, body, &mut free, &mut given, &mut step, &mut total, &mut state,
        );
        out.extend_from_slice(step.get(..given).ok_or(ContentError::Malformed)?);
        room.holds(out.len())?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(out),
            BrotliResult::ResultSuccess => return Err(ContentError::Trailing),
            BrotliResult::NeedsMoreInput => return Err(ContentError::Truncated),
            BrotliResult::NeedsMoreOutput if given > 0 || left < before => {}
            BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => {
                return Err(ContentError::Malformed);
            }
        }
    }
}
