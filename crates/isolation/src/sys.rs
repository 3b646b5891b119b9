//! The system calls for which `rustix` has no safe form, each wrapped so that its callers need no
//! `unsafe`.

#![expect(unsafe_code, reason = "raw system calls; each block says why it is sound")]

mod mount;
mod process;
mod trial;

pub(crate) use mount::{MountAttributes, Tree, set_attributes};
pub use process::end_descriptors_at_exec;
pub(crate) use process::{
    Child, Program, child_signals, clone, close_all_but, execute, fork, is_single_threaded,
    reset_signals,
};
pub(crate) use trial::{attempt, landlock_abi};

use std::io;

/// Turns a raw system call's result into a `Result`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
