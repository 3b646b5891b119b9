//! One jail: made by [`build`], alive as long as its control socket.

mod boot;
mod build;
mod idmap;
mod serve;
mod setup;
mod spawn;

use std::os::fd::OwnedFd;

use crate::net::Listeners;

pub use build::{Building, Trial, begin, build};
pub(crate) use idmap::IdMaps;

/// What the supervisor holds of a jail. Dropping [`Jail::control`] ends the jail: its init exits at
/// the end of that stream, and the kernel kills the whole pid namespace with it.
#[derive(Debug)]
pub struct Jail {
    /// Speaks [`crate::control`] with init; non-blocking.
    pub control: OwnedFd,
    /// Init; readable once it ended. With a block of ids, init is another user's process: close
    /// the control socket to end it.
    pub init: OwnedFd,
    /// Init's process id outside, for display only.
    pub init_pid: u32,
    /// The jail's root, opened with `O_PATH`: look names up beneath it with `openat2` and
    /// `RESOLVE_IN_ROOT`.
    pub root: OwnedFd,
    /// The jail's `/proc`, opened with `O_PATH`.
    pub proc: OwnedFd,
    /// The jail's network namespace.
    pub netns: OwnedFd,
    /// Where the jail's connections and DNS questions arrive.
    pub capture: Listeners,
    /// Where the filter's questions arrive; `None` on a host where another program holds the one
    /// listener that there can be.
    pub seccomp_listener: Option<OwnedFd>,
}
