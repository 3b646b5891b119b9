//! What a body is, and what it is when its codings are undone (RFC 9110, sections 8.3 and 8.4).
//!
//! A body that cannot be decoded within its bounds, or that decoders end in different places, is
//! refused: what is not read is not judged.

mod brotli;
mod decode;
mod media_type;
mod stream;
#[cfg(test)]
mod tests;
mod zlib;
mod zstd;

pub use decode::{CODINGS, ContentError, RATIO, RATIO_FREE, decode};
pub use media_type::{MediaType, MediaTypeError};
pub use stream::{Decoder, STREAM_FREE};
