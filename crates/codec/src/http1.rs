//! HTTP/1 messages as a proxy reads and forwards them (RFC 9110, RFC 9112).
//!
//! Everything that lets two readers see two requests in the same bytes is refused: bare line ends,
//! folded lines, doubled or doubtful framing, and a `Host` that names another authority.

mod body;
mod error;
mod forward;
mod head;
mod response;
#[cfg(test)]
mod tests;

pub use body::{Chunk, ChunkError, ChunkedReader};
pub use error::HeadError;
pub use forward::{Forwarded, goes_upstream, host_value};
pub use head::{Body, Guess, Header, RequestHead, Target, Version, looks_like_request};
pub use response::{ResponseBody, ResponseHead, goes_to_client};
