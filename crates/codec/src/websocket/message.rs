//! Messages, and what a close frame may say.

use super::Violation;

/// What a client sent, whole and inflated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping, of at most 125 octets.
    Ping(Vec<u8>),
    /// A pong, of at most 125 octets.
    Pong(Vec<u8>),
    /// The end: nothing that follows it counts.
    Close {
        /// Why; `None` when the sender gave no code.
        code: Option<u16>,
        /// Why, in words of at most 123 octets; empty without a code.
        reason: String,
    },
}

impl Message {
    /// Reads the payload of a close frame (RFC 6455, section 5.5.1).
    pub(super) fn close(payload: &[u8]) -> Result<Self, Violation> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(Self::Close { code: None, reason: String::new() }),
                _ => Err(Violation::Close),
            };
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(Violation::Close);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
        Ok(Self::Close { code: Some(code), reason: reason.to_owned() })
    }
}

/// Whether a close frame may have this code: those that are registered for frames, and those for
/// libraries and applications (RFC 6455, section 7.4, and the registry that it founds).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
