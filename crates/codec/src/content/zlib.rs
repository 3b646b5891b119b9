//! gzip (RFC 1952) and zlib (RFC 1950).

use flate2::{Decompress, FlushDecompress, Status};

use super::ContentError;
use super::decode::{Room, STEP};

pub(super) fn gzip(body: &[u8], room: Room) -> Result<Vec<u8>, ContentError> {
    // RFC 1952, section 2.3.1.2: a reserved bit may announce a field that is not known here, and
    // what is read behind it would be wrong.
    if body.get(3).is_some_and(|flags| flags & 0b1110_0000 != 0) {
        return Err(ContentError::Malformed);
    }
    inflate(Decompress::new_gzip(WINDOW_BITS), body, room)
}

pub(super) fn deflate(body: &[u8], room: Room) -> Result<Vec<u8>, ContentError> {
    inflate(Decompress::new(true), body, room)
}

fn inflate(mut decoder: Decompress, body: &[u8], room: Room) -> Result<Vec<u8>, ContentError> {
    let mut out = Vec::new();
    let mut step = vec![0; STEP];
    let mut input = body;
    loop {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(input, &mut step, FlushDecompress::None)
            .map_err(|_| ContentError::Malformed)?;
        let taken = progress(read, decoder.total_in())?;
        let given = progress(written, decoder.total_out())?;
        input = input.get(taken..).ok_or(ContentError::Malformed)?;
        out.extend_from_slice(step.get(..given).ok_or(ContentError::Malformed)?);
        room.holds(out.len())?;
        match status {
            Status::StreamEnd if input.is_empty() => return Ok(out),
            Status::StreamEnd => return Err(ContentError::Trailing),
            Status::Ok | Status::BufError if taken == 0 && given == 0 => {
                return Err(ContentError::Truncated);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

fn progress(before: u64, after: u64) -> Result<usize, ContentError> {
    usize::try_from(after.saturating_sub(before)).map_err(|_| ContentError::Malformed)
}

/// The largest window there is: 32 KiB.
const WINDOW_BITS: u8 = 15;
