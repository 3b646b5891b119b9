//! Who holds a sandbox's `supervisor.lock`.
//!
//! The lock is a record lock of fcntl(2): it ends with the process that took it, children do not
//! inherit it, and the kernel names its holder, so a recycled process id cannot be mistaken for it.

use std::os::fd::{BorrowedFd, OwnedFd};

use openshell_driver::DriverError;
use openshell_driver::launch::file;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{
    Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, fcntl_getlk, pidfd_open,
};

use crate::error::io_error;

/// The process that holds the lock in `folder`.
pub(crate) fn holder(folder: BorrowedFd<'_>) -> Result<Option<Pid>, DriverError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let lock = match openat(folder, file::LOCK, flags, Mode::empty()) {
        Ok(lock) => lock,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(io_error("opening supervisor.lock")(error)),
    };
    let asked = Flock {
        start: 0,
        length: 0,
        pid: None,
        // A write lock is what the supervisor holds; a read lock conflicts with it.
        typ: FlockType::ReadLock,
        offset_type: FlockOffsetType::Set,
    };
    let found = fcntl_getlk(&lock, &asked).map_err(io_error("asking for supervisor.lock"))?;
    Ok(found.and_then(|lock| lock.pid))
}

/// A descriptor of the process that holds the lock in `folder`.
pub(crate) fn holder_pidfd(folder: BorrowedFd<'_>) -> Result<Option<OwnedFd>, DriverError> {
    loop {
        let Some(pid) = holder(folder)? else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => continue,
            Err(error) => return Err(io_error("opening the supervisor's process")(error)),
        };
        // SECURITY: between the look-up and pidfd_open the holder may have ended and its id gone
        // to a stranger. Still holding the lock now means that it is the process we opened.
        if holder(folder)? == Some(pid) {
            return Ok(Some(pidfd));
        }
    }
}
