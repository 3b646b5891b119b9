//! Writing answers.

use std::net::IpAddr;

use super::query::{Query, QueryError};

/// What a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One address, which must be of the family that was asked for, and how long it may be kept.
    Address(IpAddr, u32),
    /// The name exists, but not with such a record.
    NoData,
    /// There is no such name; `prohibited` says that a policy made it so (EDE 18, RFC 8914).
    NxDomain {
        /// Whether to add the extended error.
        prohibited: bool,
    },
    /// We cannot tell at the moment.
    ServFail,
}

impl Query {
    /// The message that answers this question.
    pub fn answer(&self, answer: &Answer) -> Vec<u8> {
        let code = match answer {
            Answer::Address(..) | Answer::NoData => NOERROR,
            Answer::ServFail => SERVFAIL,
            Answer::NxDomain { .. } => NXDOMAIN,
        };
        let record = match answer {
            Answer::Address(address, ttl) => Some((address, ttl)),
            _ => None,
        };
        let mut out = Vec::with_capacity(HEADER + self.question.len() + 64);
        let counts = [1, u16::from(record.is_some()), 0, u16::from(self.edns.is_some())];
        put_header(&mut out, (self.id, 0, self.recursion_desired, code), counts);
        out.extend_from_slice(&self.question);
        if let Some((address, ttl)) = record {
            put_address(&mut out, *address, *ttl);
        }
        if self.edns.is_some() {
            put_opt(&mut out, *answer == Answer::NxDomain { prohibited: true });
        }
        out
    }
}

impl QueryError {
    /// The message that answers a bad question; `None` when it gets none.
    pub fn answer(self) -> Option<Vec<u8>> {
        let header = match self {
            Self::NotAQuestion => return None,
            Self::Malformed { id } => (id, 0, false, FORMERR),
            Self::Operation { id, operation } => (id, operation, false, NOTIMP),
        };
        let mut out = Vec::with_capacity(HEADER);
        put_header(&mut out, header, [0; 4]);
        Some(out)
    }
}

/// Id, operation, "recursion desired" and response code; then the counts of the four sections.
fn put_header(
    out: &mut Vec<u8>,
    (id, operation, recursion, code): (u16, u8, bool, u8),
    counts: [u16; 4],
) {
    const ANSWER: u8 = 0x80;
    const RECURSION_AVAILABLE: u8 = 0x80;
    out.extend_from_slice(&id.to_be_bytes());
    out.push(ANSWER | operation << 3 | u8::from(recursion));
    out.push(RECURSION_AVAILABLE | code);
    for count in counts {
        out.extend_from_slice(&count.to_be_bytes());
    }
}

fn put_address(out: &mut Vec<u8>, address: IpAddr, ttl: u32) {
    // A pointer to the name of the question, which stands right behind the header.
    out.extend_from_slice(&[0xc0, 12]);
    let (kind, length) = match address {
        IpAddr::V4(_) => (1u16, 4u16),
        IpAddr::V6(_) => (28, 16),
    };
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}

fn put_opt(out: &mut Vec<u8>, prohibited: bool) {
    const PAYLOAD: u16 = 1232;
    const EXTENDED_ERROR: u16 = 15;
    const PROHIBITED: u16 = 18;
    const TEXT: &[u8] = b"not in the sandbox's policy";
    out.extend_from_slice(&[0, 0, 41]);
    out.extend_from_slice(&PAYLOAD.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    if !prohibited {
        out.extend_from_slice(&[0; 2]);
        return;
    }
    // The text is a short constant: both lengths fit.
    let text = u16::try_from(TEXT.len()).unwrap_or_default();
    out.extend_from_slice(&(text + 6).to_be_bytes());
    out.extend_from_slice(&EXTENDED_ERROR.to_be_bytes());
    out.extend_from_slice(&(text + 2).to_be_bytes());
    out.extend_from_slice(&PROHIBITED.to_be_bytes());
    out.extend_from_slice(TEXT);
}

const HEADER: usize = 12;
const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;
