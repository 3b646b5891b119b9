//! Reading one question.

use std::fmt;

use openshell_types::HostName;
use thiserror::Error;

/// A message with one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Chosen by the client, repeated in the answer.
    pub id: u16,
    /// Whether the client asked for recursion.
    pub recursion_desired: bool,
    /// The labels of the name asked for, as they were written.
    pub labels: Vec<Vec<u8>>,
    /// The type of record.
    pub record_type: RecordType,
    /// The class; 1 is the Internet.
    pub class: u16,
    /// The client's extensions, when it has any.
    pub edns: Option<Edns>,
    /// The question as it was written, for the answer.
    pub(super) question: Vec<u8>,
}

/// Extensions of a client (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest answer that it takes, in octets.
    pub payload: u16,
}

/// A type of DNS record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// An IPv6 address.
    pub const AAAA: Self = Self(28);
    /// A name for an address.
    pub const PTR: Self = Self(12);
    /// How to reach a service over HTTP.
    pub const HTTPS: Self = Self(65);
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "A",
            2 => "NS",
            5 => "CNAME",
            6 => "SOA",
            10 => "NULL",
            12 => "PTR",
            15 => "MX",
            16 => "TXT",
            28 => "AAAA",
            33 => "SRV",
            64 => "SVCB",
            65 => "HTTPS",
            255 => "ANY",
            other => return write!(f, "TYPE{other}"),
        };
        f.write_str(name)
    }
}

/// Why a message was not taken as a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Not even a header, or itself an answer: it gets no answer, or two servers could play
    /// ping-pong for ever.
    #[error("not a DNS question")]
    NotAQuestion,
    /// A question whose format is wrong.
    #[error("a malformed DNS question")]
    Malformed {
        /// Its id.
        id: u16,
    },
    /// Another operation than a standard query.
    #[error("a DNS operation that is not a query")]
    Operation {
        /// Its id.
        id: u16,
        /// The number of the operation.
        operation: u8,
    },
}

impl Query {
    /// The longest message that is taken, in octets.
    pub const LONGEST: usize = 4096;

    /// Reads a message with exactly one question.
    pub fn parse(message: &[u8]) -> Result<Self, QueryError> {
        let Some((&[id0, id1, flags0, _flags1, q0, q1, an0, an1, ns0, ns1, ar0, ar1], body)) =
            message.split_first_chunk::<12>()
        else {
            return Err(QueryError::NotAQuestion);
        };
        if flags0 & 0x80 != 0 {
            return Err(QueryError::NotAQuestion);
        }
        let id = u16::from_be_bytes([id0, id1]);
        let operation = (flags0 >> 3) & 0x0f;
        if operation != 0 {
            return Err(QueryError::Operation { id, operation });
        }
        let malformed = QueryError::Malformed { id };
        let one_question = u16::from_be_bytes([q0, q1]) == 1;
        let records = [an0, an1, ns0, ns1] != [0; 4];
        // SECURITY: A11; a question has no records but its OPT and perhaps a signature.
        if message.len() > Self::LONGEST || !one_question || records {
            return Err(malformed);
        }
        let (labels, rest) = read_name(body).ok_or(malformed)?;
        let (&[t0, t1, c0, c1], additional) = rest.split_first_chunk::<4>().ok_or(malformed)?;
        let question = body.get(..body.len() - additional.len()).ok_or(malformed)?.to_vec();
        let edns = read_additional(additional, u16::from_be_bytes([ar0, ar1])).ok_or(malformed)?;
        Ok(Self {
            id,
            recursion_desired: flags0 & 1 != 0,
            labels,
            record_type: RecordType(u16::from_be_bytes([t0, t1])),
            class: u16::from_be_bytes([c0, c1]),
            edns,
            question,
        })
    }

    /// The name as a host name; `None` when it is not one (A1: foreign bytes never match a rule).
    pub fn host(&self) -> Option<HostName> {
        let mut text = String::new();
        for label in &self.labels {
            // A dot within a label would move the borders of labels.
            if label.contains(&b'.') {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(std::str::from_utf8(label).ok()?);
        }
        HostName::parse(&text).ok()
    }

    /// The name for people and logs: foreign bytes as `\DDD` (RFC 4343), at most 253 characters.
    pub fn display_name(&self) -> String {
        let mut text = String::new();
        for label in &self.labels {
            if !text.is_empty() {
                text.push('.');
            }
            for &byte in label {
                if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                    text.push(char::from(byte.to_ascii_lowercase()));
                } else {
                    text.push_str(&format!("\\{byte:03}"));
                }
            }
        }
        if text.is_empty() {
            text.push('.');
        }
        text.truncate(253);
        text
    }
}

/// Reads labels up to the root. SECURITY: A11; a pointer is refused, so there is no loop.
fn read_name(mut rest: &[u8]) -> Option<(Vec<Vec<u8>>, &[u8])> {
    const LONGEST: usize = 255;
    let mut labels = Vec::new();
    let mut length = 1;
    loop {
        let (&size, after) = rest.split_first()?;
        if size == 0 {
            return Some((labels, after));
        }
        if size > 63 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(size))?;
        length += label.len() + 1;
        if length > LONGEST {
            return None;
        }
        labels.push(label.to_vec());
        rest = after;
    }
}

/// Walks the additional records and finds the OPT record, of which there is at most one.
fn read_additional(mut rest: &[u8], count: u16) -> Option<Option<Edns>> {
    const MOST: u16 = 4;
    const OPT: u16 = 41;
    if count > MOST {
        return None;
    }
    let mut edns = None;
    for _ in 0..count {
        let (labels, after) = read_name(rest)?;
        let (&[t0, t1, c0, c1, _, _, _, _, l0, l1], after) = after.split_first_chunk::<10>()?;
        let (_, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        if u16::from_be_bytes([t0, t1]) == OPT {
            if edns.is_some() || !labels.is_empty() {
                return None;
            }
            edns = Some(Edns { payload: u16::from_be_bytes([c0, c1]) });
        }
        rest = after;
    }
    if rest.is_empty() { Some(edns) } else { None }
}
