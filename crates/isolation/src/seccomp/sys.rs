//! seccomp(2).
#![expect(unsafe_code, reason = "no safe wrapper offers a filter with a listener")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use libc::{sock_filter, sock_fprog};

/// Installs `program` with `flags`, which ask for no descriptor.
pub(super) fn install(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    match set_filter(program, flags)? {
        0 => Ok(()),
        // With TSYNC: the first thread that could not be synchronised.
        thread => Err(io::Error::other(format!("thread {thread} has another filter"))),
    }
}

/// Installs `program` and returns its listener.
pub(super) fn install_with_listener(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // A signal that comes while a call is being served must not restart it: Go sends its threads
    // SIGURG all the time. Kernels before 5.19 answer EINVAL to the flag, and have to do without.
    let fd = match set_filter(program, listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set_filter(program, listener),
        other => other,
    }?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the call succeeded with NEW_LISTENER, so it made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_filter(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let len = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which lives until it returns, and
    // writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&program),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
