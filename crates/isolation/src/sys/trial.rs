//! System calls that are made to see them refused.

use std::io;

use super::check;

/// Makes system call `number` with plain numbers as arguments. For probes: only calls that take no
/// pointer, or for which a null pointer is an answer, are made this way.
pub(crate) fn attempt(number: libc::c_long, arguments: [libc::c_long; 5]) -> io::Result<i64> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: no argument is the address of our memory (see above), so the kernel can change none.
    check(unsafe { libc::syscall(number, a, b, c, d, e) })
}

/// The highest Landlock ABI that the kernel has; an error where it has none.
pub(crate) fn landlock_abi() -> io::Result<u32> {
    const VERSION: libc::c_long = 1;
    let abi = attempt(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0])?;
    u32::try_from(abi).map_err(io::Error::other)
}
