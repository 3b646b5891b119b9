//! The hash chain: each line carries the digest of the line before it.

use jiff::Timestamp;
use openshell_types::{Digest, SandboxId, SandboxName};
use thiserror::Error;

use crate::event::{Event, Record};
use crate::limits::LINE_BYTES;

/// The end of a sandbox's log, to which the next line is tied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    seq: u64,
    digest: Digest,
}

/// One encoded line, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its sequence number.
    pub seq: u64,
    /// The JSON text; it has no line break inside.
    pub text: String,
}

impl Chain {
    /// The chain of a log without lines.
    pub const fn new() -> Self {
        Self::resume(0, Digest::ZERO)
    }

    /// The chain of a log whose last line has this number and this digest of its text.
    pub const fn resume(last_seq: u64, last_digest: Digest) -> Self {
        Self { seq: last_seq, digest: last_digest }
    }

    /// The sequence number of the last line, 0 when there is none.
    pub const fn last_seq(&self) -> u64 {
        self.seq
    }

    /// The digest of the last line, [`Digest::ZERO`] when there is none.
    pub const fn last_digest(&self) -> Digest {
        self.digest
    }

    /// Encodes the next line. Texts of the event are cut to their bounds first.
    pub fn append(
        &mut self,
        time: Timestamp,
        sandbox: &SandboxName,
        sandbox_id: &SandboxId,
        event: Event,
    ) -> Line {
        let seq = self.seq.saturating_add(1);
        let record = Record {
            v: Record::VERSION,
            seq,
            prev: self.digest,
            time,
            sandbox: sandbox.clone(),
            sandbox_id: sandbox_id.clone(),
            event: event.bounded(),
        };
        let text = record.encode();
        self.seq = seq;
        self.digest = Digest::of(text.as_bytes());
        Line { seq, text }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    /// The version of this format.
    pub const VERSION: u32 = 1;

    /// The record as one line of JSON. Control characters, line breaks included, are escaped.
    pub fn encode(&self) -> String {
        // A record has string keys and no foreign Serialize, so encoding it cannot fail; the empty
        // line that would stand for a failure breaks the chain visibly.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads one line strictly: unknown keys, other versions and over-long lines are refused.
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        if line.len() > LINE_BYTES {
            return Err(RecordError::TooLong);
        }
        let record: Self = serde_json::from_str(line)?;
        if record.v != Self::VERSION {
            return Err(RecordError::Version(record.v));
        }
        Ok(record)
    }
}

/// Why a line is not a record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Longer than any line that this build writes.
    #[error("the line is longer than {LINE_BYTES} bytes")]
    TooLong,
    /// Not JSON, or not the JSON of a record.
    #[error("not a record")]
    Json(#[from] serde_json::Error),
    /// A version that this build does not read.
    #[error("version {0} of the format is not known")]
    Version(u32),
}

/// What a verified log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many lines.
    pub lines: u64,
    /// Number of the last line, 0 when there is none.
    pub last_seq: u64,
    /// Digest of the last line, [`Digest::ZERO`] when there is none.
    pub last_digest: Digest,
}

/// Where a chain breaks. `seq` is the number that the line should have had.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The line is not a record.
    #[error("line {seq} cannot be read")]
    Unreadable {
        /// The number that it should have had.
        seq: u64,
        /// What is wrong with it.
        #[source]
        cause: RecordError,
    },
    /// Lines are missing, repeated or out of order.
    #[error("line {seq} is missing: number {found} stands in its place")]
    Gap {
        /// The number that was expected.
        seq: u64,
        /// The number that was found.
        found: u64,
    },
    /// The line does not continue the line before it: one of the two was changed.
    #[error("line {seq} does not follow from the line before it")]
    Broken {
        /// The line whose `prev` does not fit.
        seq: u64,
    },
    /// The line belongs to another sandbox.
    #[error("line {seq} belongs to another sandbox")]
    Foreign {
        /// The line in question.
        seq: u64,
    },
}

/// Checks that `lines` are an unbroken log from number 1 on. A changed last line, and lines cut
/// from the end, show only against a `last_seq` and `last_digest` that are kept elsewhere.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Summary, ChainError> {
    let mut summary = Summary { lines: 0, last_seq: 0, last_digest: Digest::ZERO };
    let mut owner: Option<SandboxId> = None;
    for line in lines {
        let seq = summary.last_seq.saturating_add(1);
        let record = Record::parse(line).map_err(|cause| ChainError::Unreadable { seq, cause })?;
        if record.seq != seq {
            return Err(ChainError::Gap { seq, found: record.seq });
        }
        if record.prev != summary.last_digest {
            return Err(ChainError::Broken { seq });
        }
        if owner.get_or_insert_with(|| record.sandbox_id.clone()) != &record.sandbox_id {
            return Err(ChainError::Foreign { seq });
        }
        summary = Summary {
            lines: summary.lines.saturating_add(1),
            last_seq: seq,
            last_digest: Digest::of(line.as_bytes()),
        };
    }
    Ok(summary)
}
