//! The lock by which a running supervisor is known.
//!
//! A record lock of fcntl(2): it ends with this process, is not inherited by children, and the
//! kernel names its holder to whoever asks. The content is for people.

use std::io;
use std::os::fd::OwnedFd;

use openshell_driver::launch::file;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, fcntl_lock, ftruncate, openat};
use rustix::io::{Errno, pwrite};
use rustix::process::getpid;

/// Held as long as the process lives. INVARIANT: nothing else in this process opens the file, for
/// closing any descriptor of it gives the lock up.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

/// Takes the lock of the sandbox whose folder is the working directory; `None` when another
/// supervisor has it.
pub(crate) fn take(boot_id: &str) -> io::Result<Option<Lock>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(CWD, file::LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let text = format!("{} {boot_id}\n", getpid().as_raw_nonzero());
    ftruncate(&file, 0)?;
    pwrite(&file, text.as_bytes(), 0)?;
    Ok(Some(Lock { _file: file }))
}
