//! Undoing content codings.

use thiserror::Error;

use super::{brotli, zlib, zstd};

/// Most codings of one body.
pub const CODINGS: usize = 2;
/// Most that a body may grow, beyond [`RATIO_FREE`] bytes: JSON text shrinks to a tenth, bombs to
/// a thousandth.
pub const RATIO: usize = 100;
/// Bytes that a body may have decoded, however small it was.
pub const RATIO_FREE: usize = 64 * 1024;

/// Why a body was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ContentError {
    /// A coding that is not known here, or an empty one.
    #[error("the body has a content coding that cannot be decoded")]
    Unknown,
    /// More than [`CODINGS`].
    #[error("the body has more than {CODINGS} content codings")]
    TooMany,
    /// Longer than the caller's limit, decoded.
    #[error("the decoded body is too long")]
    TooLong,
    /// Grown more than [`RATIO`] times.
    #[error("the decoded body is more than {RATIO} times as long as the body")]
    Ratio,
    /// Not what the coding says, or with a wrong checksum.
    #[error("the body is not encoded as its content coding says")]
    Malformed,
    /// The end is missing.
    #[error("the encoded body ends too early")]
    Truncated,
    /// Bytes behind the end; a second member of gzip or a second frame of zstd, too.
    #[error("the encoded body goes on behind its end")]
    Trailing,
}

#[derive(Clone, Copy)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The body without its codings; `codings` are the values of `Content-Encoding` in order, `limit`
/// is the most bytes that come out, also in between.
///
/// `deflate` is the zlib format (RFC 9110, section 8.4.1.2) and not the raw one that some send.
pub fn decode(codings: &[&str], body: &[u8], limit: usize) -> Result<Vec<u8>, ContentError> {
    let codings = read(codings)?;
    let ratio = body.len().saturating_mul(RATIO).max(RATIO_FREE);
    let room = Room { limit, ratio };
    let mut decoded: Option<Vec<u8>> = None;
    // The coding that was applied last stands last.
    for coding in codings.into_iter().rev() {
        let input = decoded.as_deref().unwrap_or(body);
        decoded = match coding {
            Coding::Identity => decoded,
            Coding::Gzip => Some(zlib::gzip(input, room)?),
            Coding::Deflate => Some(zlib::deflate(input, room)?),
            Coding::Brotli => Some(brotli::decode(input, room)?),
            Coding::Zstd => Some(zstd::decode(input, room)?),
        };
    }
    match decoded {
        Some(decoded) => Ok(decoded),
        None if body.len() > limit => Err(ContentError::TooLong),
        None => Ok(body.to_vec()),
    }
}

/// Reads the lists. Empty elements are refused: an intermediary that drops them and one that does
/// not would see different numbers of codings.
pub(super) fn read(values: &[&str]) -> Result<Vec<Coding>, ContentError> {
    let mut codings = Vec::new();
    for name in values.iter().flat_map(|value| value.split(',')) {
        if codings.len() == CODINGS {
            return Err(ContentError::TooMany);
        }
        let name = name.trim_matches([' ', '\t']).to_ascii_lowercase();
        codings.push(match name.as_str() {
            "identity" => Coding::Identity,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            _ => return Err(ContentError::Unknown),
        });
    }
    Ok(codings)
}

/// How much may come out.
#[derive(Clone, Copy)]
pub(super) struct Room {
    limit: usize,
    ratio: usize,
}

impl Room {
    /// Whether so many bytes may have come out.
    pub(super) const fn holds(self, bytes: usize) -> Result<(), ContentError> {
        if bytes > self.limit {
            Err(ContentError::TooLong)
        } else if bytes > self.ratio {
            Err(ContentError::Ratio)
        } else {
            Ok(())
        }
    }
}

/// Bytes that a decoder gives at once.
pub(super) const STEP: usize = 16 * 1024;
