//! Every bound on what a caller or a backend can make the router hold.

/// The longest body of a call, in bytes, as it comes and decoded; a longer one is refused. The
/// vendors' own limits are 20 to 32 MB.
pub const BODY: usize = 32 * 1024 * 1024;

/// The longest path of a call, in bytes.
pub(crate) const PATH: usize = 2048;

/// The longest event of a streamed answer, in bytes, in which tokens are looked for; those of a
/// longer one are not counted.
pub(crate) const EVENT: usize = 1024 * 1024;

/// The longest answer in one piece, in bytes, in which tokens are looked for; those of a longer one
/// are not counted.
pub(crate) const ANSWER: usize = 8 * 1024 * 1024;
