//! System call filters: tables as commented data, compiled to a balanced tree of classic BPF.
//!
//! [`install`] puts the agent's filter on the calling thread. It is an allow-list: a call that no
//! table names answers ENOSYS, as on an older kernel, and a call that is refused answers EPERM.
//! Decisions look at registers only. What is behind a pointer can change after it was checked, so
//! `connect`, whose address is behind one, goes to the identifier (see [`crate::identity`]).

mod compile;
mod rule;
mod sys;
mod table;

#[cfg(test)]
mod programs;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;

pub(crate) use rule::{Call, Case, Group, If, Rule, Verdict, calls};
pub(crate) use table::supervisor;

/// What the agent's filter does with the one call that is not decided in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// `connect` is handed to whoever holds the listener.
    #[default]
    Notified,
    /// `connect` is allowed: for a host on which no listener can be made (EBUSY, because another
    /// one is in force there). Callers are then found by a scan.
    Unwatched,
}

/// How the agent's filter is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What happens to `connect`.
    pub connect: Connect,
}

/// Puts the agent's filter on the calling thread and what it starts from now on, and returns the
/// listener for `connect` notifications ([`Connect::Notified`] only).
///
/// The thread must be the only one of its process, and have no_new_privs set.
pub fn install(options: &Options) -> io::Result<Option<OwnedFd>> {
    let program = compile::program(&table::agent(options.connect), Verdict::Fail(libc::ENOSYS))?;
    match options.connect {
        Connect::Notified => sys::install_with_listener(&program).map(Some),
        Connect::Unwatched => sys::install(&program, 0).map(|()| None),
    }
}

/// Puts a filter made of `groups` on every thread of the process. Calls that no group names answer
/// EPERM: this is for our own processes, which know what they call.
pub(crate) fn confine_process(groups: &[Group]) -> io::Result<()> {
    let program = compile::program(groups, Verdict::Fail(libc::EPERM))?;
    sys::install(&program, libc::SECCOMP_FILTER_FLAG_TSYNC)
}
