//! What can be wrong with a head.

use openshell_types::AuthorityError;
use thiserror::Error;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeadError {
    /// Longer than [`RequestHead::LONGEST`](super::RequestHead::LONGEST).
    #[error("the head is longer than 64 KiB")]
    TooLong,
    /// More fields than [`RequestHead::MOST_HEADERS`](super::RequestHead::MOST_HEADERS).
    #[error("the head has more than 256 fields")]
    TooManyHeaders,
    /// A CR or LF alone.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// A line that begins with a space or tab.
    #[error("a header field is folded over two lines")]
    Folded,
    /// NUL or another control character.
    #[error("the head has a control character")]
    Control,
    /// Not `METHOD target HTTP/1.x`.
    #[error("the request line is malformed")]
    RequestLine,
    /// Not `HTTP/1.x code reason`.
    #[error("the status line is malformed")]
    StatusLine,
    /// Another version than 1.0 and 1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken")]
    Version,
    /// A field name with a foreign character, or a space before its colon.
    #[error("a header field is malformed")]
    Header,
    /// Not a form of target that fits the method.
    #[error("the request target is malformed")]
    Target,
    /// An absolute target with another scheme than `http`.
    #[error("only http:// targets are forwarded; use CONNECT for TLS")]
    Scheme,
    /// The authority of the target is malformed.
    #[error("the target's authority is malformed: {0}")]
    Authority(AuthorityError),
    /// No `Host`, or several, or a malformed one.
    #[error("the request needs exactly one well-formed Host")]
    Host,
    /// `Host` and target name different authorities.
    #[error("Host and request target name different authorities")]
    HostMismatch,
    /// The body's length is stated twice, in a doubtful way, or by an unknown transfer coding.
    #[error("the message's framing is ambiguous")]
    Framing,
    /// `Connection` names a field that carries routing or framing.
    #[error("Connection names a field that it must not")]
    Connection,
}

impl HeadError {
    /// The status code that answers it.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLong | Self::TooManyHeaders => 431,
            _ => 400,
        }
    }
}
