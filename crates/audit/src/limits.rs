//! Bounds of what an event may carry. Everything here may come from the jail.

/// Longest text of one field, in bytes; longer text is cut and ends with `…`.
pub const TEXT_BYTES: usize = 1024;
/// Longest name or path, in bytes: a DNS name has 253 octets, and a longer path is cut.
pub const NAME_BYTES: usize = 253;
/// Longest path of an executable, in bytes: PATH_MAX would let one event fill a screen.
pub const PATH_BYTES: usize = 512;
/// Most operations of one request, and most credentials in it; the rest are left out.
pub const OPERATIONS: usize = 16;
/// Most arguments of a command; a last one `…` stands for the rest.
pub const ARGV_ITEMS: usize = 32;
/// Longest argument, in bytes.
pub const ARGV_BYTES: usize = 256;
/// Most ancestors of a program; the oldest are left out.
pub const ANCESTORS: usize = 16;
/// Longest line that is read back, in bytes; a longer one is refused. A line of bounded fields,
/// every byte escaped as `\u00xx`, fits.
pub const LINE_BYTES: usize = 512 * 1024;
