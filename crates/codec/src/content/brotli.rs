//! Brotli (RFC 7932).

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::ContentError;
use super::decode::{Room, STEP};
use super::stream::Give;

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

/// The same of a body that comes in parts.
pub(super) struct BrotliStream {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    is_over: bool,
}

impl BrotliStream {
    /// Most bytes that it holds: the largest window, and tables.
    pub(super) const MEMORY: usize = 17 * 1024 * 1024;

    pub(super) fn new() -> Self {
        let allocator = StandardAlloc::default;
        Self {
            state: BrotliState::new_strict(allocator(), allocator(), allocator()),
            is_over: false,
        }
    }

    pub(super) fn push(&mut self, input: &[u8], give: &mut Give<'_>) -> Result<(), ContentError> {
        let mut step = vec![0; STEP];
        let (mut left, mut at, mut total) = (input.len(), 0, 0);
        loop {
            if self.is_over {
                return if left == 0 { Ok(()) } else { Err(ContentError::Trailing) };
            }
            let (mut free, mut given) = (step.len(), 0);
            let before = left;
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                input,
                &mut free,
                &mut given,
                &mut step,
                &mut total,
                &mut self.state,
            );
            if given > 0 {
                give(step.get(..given).ok_or(ContentError::Malformed)?)?;
            }
            match result {
                BrotliResult::ResultSuccess => self.is_over = true,
                BrotliResult::NeedsMoreInput if left == 0 => return Ok(()),
                BrotliResult::NeedsMoreInput if left < before => {}
                BrotliResult::NeedsMoreOutput if given > 0 || left < before => {}
                BrotliResult::NeedsMoreInput
                | BrotliResult::NeedsMoreOutput
                | BrotliResult::ResultFailure => return Err(ContentError::Malformed),
            }
        }
    }
}

impl fmt::Debug for BrotliStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrotliStream").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
