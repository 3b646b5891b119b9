//! Inflating the messages of one direction (RFC 7692, section 7.2.2), never further than a limit.

use flate2::{Decompress, FlushDecompress, Status};

/// Inflates message after message.
///
/// It always has the largest window. One that is smaller than agreed is enough for every message
/// that keeps to it, but whether a longer look back fails would depend on how the stream is cut;
/// and nothing is lost, because messages are not forwarded in their compressed form.
#[derive(Debug)]
pub(super) struct Inflater {
    state: Decompress,
    /// Whether each message begins with an empty window.
    forgets: bool,
    /// Where in a message it is.
    stage: Stage,
    /// Where what is inflated goes first; one chunk.
    chunk: Box<[u8; CHUNK]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first octet.
    Start,
    /// In blocks.
    Blocks,
    /// Behind a block that says it is the last (RFC 7692, section 7.2.3.4).
    Last,
    /// Behind the octet that may follow it.
    Padded,
}

/// Why inflating stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// Not well-formed.
    Malformed,
    /// Longer than the limit.
    TooLong,
}

impl Inflater {
    pub(super) fn new(forgets: bool) -> Self {
        let chunk = Box::new([0; CHUNK]);
        Self { state: Decompress::new(false), forgets, stage: Stage::Start, chunk }
    }

    /// Inflates the next octets of a message to the end of `out`, which does not get longer than
    /// `limit` octets.
    pub(super) fn push(
        &mut self,
        mut octets: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        if let (Stage::Start, false) = (self.stage, octets.is_empty()) {
            self.stage = Stage::Blocks;
        }
        if self.stage == Stage::Blocks {
            octets = self.run(octets, out, limit)?;
        }
        match (self.stage, octets) {
            (_, []) => Ok(()),
            (Stage::Last, [0]) => {
                self.stage = Stage::Padded;
                Ok(())
            }
            _ => Err(InflateError::Malformed),
        }
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), InflateError> {
        let restarts = match self.stage {
            // Not even the octet that an empty message compresses to: it is one all the same.
            Stage::Start => self.forgets,
            Stage::Blocks => {
                // A sender ends with an empty block and leaves its last four octets out. They make
                // no output, unless they stand in another block that should have gone on.
                let length = out.len();
                match self.run(&TAIL, out, length) {
                    Ok([]) if self.stage == Stage::Blocks => self.forgets,
                    _ => return Err(InflateError::Malformed),
                }
            }
            Stage::Last | Stage::Padded => true,
        };
        if restarts {
            self.state.reset(false);
        }
        self.stage = Stage::Start;
        Ok(())
    }

    /// Inflates until the input, a last block or the limit ends; what is left of the input.
    fn run<'a>(
        &mut self,
        mut octets: &'a [u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<&'a [u8], InflateError> {
        loop {
            // One octet above the limit and no more, so that of a limit and an error behind it the
            // limit comes first however the stream is cut.
            let room = limit.saturating_add(1).saturating_sub(out.len()).min(CHUNK);
            let chunk = self.chunk.get_mut(..room).unwrap_or_default();
            let before = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(octets, chunk, FlushDecompress::None)
                .map_err(|_| InflateError::Malformed)?;
            let taken = octets_since(before.0, self.state.total_in());
            let made = octets_since(before.1, self.state.total_out());
            octets = octets.get(taken..).unwrap_or_default();
            append(out, chunk.get(..made).unwrap_or_default(), limit.saturating_add(1));
            if out.len() > limit {
                return Err(InflateError::TooLong);
            }
            match status {
                Status::StreamEnd => {
                    self.stage = Stage::Last;
                    return Ok(octets);
                }
                // Room was left: everything that the input makes is there.
                Status::Ok | Status::BufError if made < room => {
                    return if octets.is_empty() {
                        Ok(octets)
                    } else {
                        Err(InflateError::Malformed)
                    };
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// Appends to a message. Its memory doubles as it grows, but never beyond `most` octets.
pub(super) fn append(out: &mut Vec<u8>, octets: &[u8], most: usize) {
    let needed = out.len().saturating_add(octets.len());
    if needed > out.capacity() {
        let capacity = out.capacity().saturating_mul(2).max(SMALLEST).min(most).max(needed);
        out.reserve_exact(capacity.saturating_sub(out.len()));
    }
    out.extend_from_slice(octets);
}

fn octets_since(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

/// Octets that are inflated at once.
const CHUNK: usize = 16 * 1024;

/// Octets that a message has room for at first.
const SMALLEST: usize = 256;

/// What a sender leaves out at a message's end (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
