//! gzip (RFC 1952) and zlib (RFC 1950).

use flate2::{Decompress, FlushDecompress, Status};

use super::ContentError;
use super::decode::{Room, STEP};
use super::stream::Give;

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

/// The same of a body that comes in parts.
#[derive(Debug)]
pub(super) struct ZlibStream {
    decoder: Decompress,
    is_gzip: bool,
    /// Whether what comes begins another member.
    is_over: bool,
}

impl ZlibStream {
    /// Most bytes that it holds: a window, and what is given at once.
    pub(super) const MEMORY: usize = 64 * 1024;

    pub(super) fn gzip() -> Self {
        Self { decoder: Decompress::new_gzip(WINDOW_BITS), is_gzip: true, is_over: false }
    }

    pub(super) fn deflate() -> Self {
        Self { decoder: Decompress::new(true), is_gzip: false, is_over: false }
    }

    pub(super) fn push(
        &mut self,
        mut input: &[u8],
        give: &mut Give<'_>,
    ) -> Result<(), ContentError> {
        let mut step = vec![0; STEP];
        loop {
            if self.is_over {
                match (input, self.is_gzip) {
                    ([], _) => return Ok(()),
                    // RFC 1952, section 2.2: a file is a series of members.
                    (_, true) => *self = Self::gzip(),
                    (_, false) => return Err(ContentError::Trailing),
                }
            }
            let (read, written) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self
                .decoder
                .decompress(input, &mut step, FlushDecompress::None)
                .map_err(|_| ContentError::Malformed)?;
            let taken = progress(read, self.decoder.total_in())?;
            let given = progress(written, self.decoder.total_out())?;
            input = input.get(taken..).ok_or(ContentError::Malformed)?;
            if given > 0 {
                give(step.get(..given).ok_or(ContentError::Malformed)?)?;
            }
            self.is_over = status == Status::StreamEnd;
            // Room was left: everything that the input makes is there.
            if !self.is_over && given < step.len() {
                return if input.is_empty() { Ok(()) } else { Err(ContentError::Malformed) };
            }
        }
    }
}

fn progress(before: u64, after: u64) -> Result<usize, ContentError> {
    usize::try_from(after.saturating_sub(before)).map_err(|_| ContentError::Malformed)
}

/// The largest window there is: 32 KiB.
const WINDOW_BITS: u8 = 15;
