//! What can be wrong with frames.

use thiserror::Error;

/// Why a stream of frames was refused. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A client's frame without a mask (RFC 6455, section 5.1).
    #[error("a client's frame is not masked")]
    Unmasked,
    /// A server's frame with a mask (RFC 6455, section 5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// A reserved bit that no extension gave a meaning here (RFC 6455, section 5.2).
    #[error("a frame has a reserved bit that was not agreed on")]
    Reserved,
    /// A reserved opcode (RFC 6455, section 5.2).
    #[error("a frame has an unknown opcode")]
    Opcode,
    /// A length with more octets than it needs, or above 2^63 (RFC 6455, section 5.2).
    #[error("the length of a frame is not written in its shortest form")]
    Length,
    /// A control frame that is fragmented or longer than 125 octets (RFC 6455, section 5.5).
    #[error("a control frame is fragmented or longer than 125 octets")]
    Control,
    /// A continuation of nothing, or a new message inside another (RFC 6455, section 5.4).
    #[error("the fragments of a message are out of order")]
    Order,
    /// More fragments than [`ClientReader::MOST_FRAGMENTS`](super::ClientReader::MOST_FRAGMENTS).
    #[error("a message has more than 4096 fragments")]
    Fragments,
    /// A close frame with a code that may not be sent, or half a code (RFC 6455, section 7.4).
    #[error("a close frame is malformed")]
    Close,
    /// Compressed data that cannot be inflated (RFC 7692, section 7.2.2).
    #[error("a compressed message is malformed")]
    Deflate,
    /// A text message, or the reason of a close, that is not UTF-8 (RFC 6455, section 8.1).
    #[error("text is not UTF-8")]
    Utf8,
    /// A text message longer than [`ClientReader::LONGEST_TEXT`](super::ClientReader::LONGEST_TEXT).
    #[error("a text message is longer than 4 MiB")]
    TextTooLong,
    /// A binary message longer than
    /// [`ClientReader::LONGEST_BINARY`](super::ClientReader::LONGEST_BINARY).
    #[error("a binary message is longer than 16 MiB")]
    BinaryTooLong,
}

impl Violation {
    /// The status code of the close frame that tells the peer (RFC 6455, section 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Utf8 => 1007,
            Self::TextTooLong | Self::BinaryTooLong => 1009,
            Self::Unmasked
            | Self::Masked
            | Self::Reserved
            | Self::Opcode
            | Self::Length
            | Self::Control
            | Self::Order
            | Self::Fragments
            | Self::Close
            | Self::Deflate => 1002,
        }
    }
}
