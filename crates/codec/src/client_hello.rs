//! Reading the server name of a TLS client, however its hello is split over segments and records
//! (RFC 8446, section 4.1.2; RFC 6066, section 3).
//!
//! What a server might still take for TLS, but this reader cannot follow, is [`Progress::Malformed`]
//! and never [`Progress::NotTls`]: a client that begins with an alert or in the form of SSL 2 must
//! not get past the check of its name.

mod parse;
#[cfg(test)]
mod tests;

use openshell_types::HostName;
use thiserror::Error;

/// Reads the beginning of a client's stream until its hello is complete.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The header of the record that is being read, as far as it came.
    header: Vec<u8>,
    /// How much of the record's content is missing.
    missing: usize,
    /// The handshake message, without records.
    message: Vec<u8>,
    /// Everything read so far.
    read: usize,
    /// What was found, once it was.
    verdict: Option<Progress>,
}

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another protocol.
    NotTls,
    /// It takes more bytes to tell.
    NeedMore,
    /// A complete hello.
    Hello(ClientHello),
    /// TLS, or nearly, in a form that is refused.
    Malformed(HelloError),
}

/// What a hello says about the server that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name, when there is one.
    pub sni: Option<HostName>,
    /// Whether another name may be hidden in it (Encrypted Client Hello).
    pub ech: bool,
    /// The protocols that the client offers to speak, in its order (RFC 7301, section 3.1); empty
    /// when it offers none. At most [`Reader::MOST_PROTOCOLS`], of 1 to 255 octets each.
    pub alpn: Vec<Vec<u8>>,
}

/// Why a hello was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HelloError {
    /// Longer than 64 KiB, or in too many bytes of records.
    #[error("the TLS hello is too long")]
    TooLong,
    /// A record that is not a handshake record of a legal length.
    #[error("the TLS records before the hello's end are malformed")]
    Record,
    /// The message is not a well-formed hello.
    #[error("the TLS hello is malformed")]
    Message,
    /// The server name is not one DNS name.
    #[error("the TLS server name is malformed")]
    ServerName,
    /// The list of protocols is empty, too long, or not well-formed.
    #[error("the TLS list of protocols (ALPN) is malformed")]
    Protocols,
}

impl Reader {
    /// The longest hello, in octets. Large ones occur with post-quantum key shares and tickets.
    pub const LONGEST: usize = 64 * 1024;
    /// The most octets of records that a hello may be spread over.
    pub const LONGEST_READ: usize = 2 * Self::LONGEST;
    /// The most protocols that a hello may offer; clients offer two or three.
    pub const MOST_PROTOCOLS: usize = 32;

    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. Once the answer is not [`Progress::NeedMore`], it stays.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Progress {
        while self.verdict.is_none() {
            let (taken, verdict) = self.step(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.read += taken;
            self.verdict = verdict;
            if taken == 0 {
                break;
            }
        }
        self.verdict.clone().unwrap_or(Progress::NeedMore)
    }

    /// Whether any byte was read.
    pub const fn has_begun(&self) -> bool {
        self.read > 0
    }

    /// Takes one header byte, or content up to the record's end.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<Progress>) {
        let Some(&first) = bytes.first() else {
            return (0, None);
        };
        if self.missing == 0 {
            self.header.push(first);
            return (1, self.check_header());
        }
        let content = bytes.get(..self.missing.min(bytes.len())).unwrap_or_default();
        self.message.extend_from_slice(content);
        self.missing = self.missing.saturating_sub(content.len());
        if self.missing == 0 {
            self.header.clear();
        }
        (content.len(), self.check_message())
    }

    fn check_header(&mut self) -> Option<Progress> {
        let first_record = self.message.is_empty();
        match *self.header.as_slice() {
            // SECURITY: D2; change-cipher-spec, alert, application data and heartbeat are no
            // beginning of a hello, but some servers forgive a warning alert before it.
            [20 | 21 | 23 | 24, 3] if first_record => Some(record_error()),
            [20 | 21 | 23 | 24] if first_record => None,
            [22] | [22, 3] | [22, 3, _] | [22, 3, _, _] => None,
            [22, 3, _, high, low] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length == 0 || length > MAX_RECORD {
                    return Some(record_error());
                }
                // Only asked here, so that the answer does not depend on how the stream is cut.
                if self.read > Self::LONGEST_READ {
                    return Some(Progress::Malformed(HelloError::TooLong));
                }
                self.missing = length;
                None
            }
            [22, ..] => Some(record_error()),
            _ if !first_record => Some(record_error()),
            _ => self.check_ssl2(),
        }
    }

    /// SECURITY: D2; a hello in the form of SSL 2 carries no name, and old servers take it:
    /// two octets of length with the highest bit set, message type 1, then a version.
    fn check_ssl2(&self) -> Option<Progress> {
        match *self.header.as_slice() {
            [high, _, 1, 3] | [high, _, 1, 0] if high & 0x80 != 0 => Some(record_error()),
            [high] | [high, _] | [high, _, 1] if high & 0x80 != 0 => None,
            _ => Some(Progress::NotTls),
        }
    }

    fn check_message(&self) -> Option<Progress> {
        let (Some(&kind), length) = (self.message.first(), self.message.get(1..4)) else {
            return None;
        };
        if kind != CLIENT_HELLO {
            return Some(Progress::Malformed(HelloError::Message));
        }
        let Some(&[a, b, c]) = length else {
            return None;
        };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if length > Self::LONGEST {
            return Some(Progress::Malformed(HelloError::TooLong));
        }
        // What follows in the same record is not looked at: a server that takes it has seen this
        // hello first.
        let body = self.message.get(4..4 + length)?;
        Some(match parse::client_hello(body) {
            Ok(hello) => Progress::Hello(hello),
            Err(error) => Progress::Malformed(error),
        })
    }
}

fn record_error() -> Progress {
    Progress::Malformed(HelloError::Record)
}

/// The handshake type of a client's hello.
const CLIENT_HELLO: u8 = 1;

/// The longest content of a record in plain text, in octets.
const MAX_RECORD: usize = 1 << 14;
