//! Methods.

use std::fmt;

use thiserror::Error;

/// A method: an upper-case token (RFC 9110, section 9.1). It is compared exactly. What is no such
/// token, and `PRI`, is refused here; every other method, known or not, is for the policy to allow
/// by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(Box<str>);

/// Why a method was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MethodError {
    /// Longer than [`Method::LONGEST`].
    #[error("the method is longer than 32 characters")]
    TooLong,
    /// Lower-case letters: no method has any, and some servers do not mind.
    #[error("the method is not in upper case")]
    Case,
    /// Something else than letters, digits and `-`, or nothing at all.
    #[error("the method is malformed")]
    Malformed,
    /// `PRI`, with which HTTP/2 begins.
    #[error("the method is reserved")]
    Reserved,
}

impl Method {
    /// The longest method, in characters; the longest that is registered has 16.
    pub const LONGEST: usize = 32;

    /// Reads a method. The grammar is narrower than `token`: `*` would look like a rule's wildcard
    /// and `WEBSOCKET_TEXT` is the policy's own word.
    pub fn parse(raw: &[u8]) -> Result<Self, MethodError> {
        if raw.len() > Self::LONGEST {
            return Err(MethodError::TooLong);
        }
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        if !raw.first().is_some_and(u8::is_ascii_alphabetic) || !raw.iter().all(is_token) {
            return Err(MethodError::Malformed);
        }
        if raw.iter().any(u8::is_ascii_lowercase) {
            return Err(MethodError::Case);
        }
        match std::str::from_utf8(raw) {
            Ok("PRI") => Err(MethodError::Reserved),
            Ok(text) => Ok(Self(text.into())),
            Err(_) => Err(MethodError::Malformed),
        }
    }

    /// The method as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
