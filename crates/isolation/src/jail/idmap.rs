//! User and group id maps: the jail's own, and those of mounts.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use openshell_types::Identity;
use rustix::fs::{Gid, Mode, OFlags, Timespec, Uid};
use rustix::process::{
    Signal, WaitId, WaitIdOptions, pidfd_send_signal, set_parent_process_death_signal, waitid,
};

use crate::error::{BuildError, Step};
use crate::sys;

/// Writes the maps of the process `pid`, which stands in a new user namespace and waits.
pub(super) fn write_jail_maps(pid: i32, identity: Identity) -> Result<(), BuildError> {
    let (uids, gids) = match identity {
        Identity::Caller { uid, gid } => {
            // Without privilege a gid may be mapped only by giving up setgroups(2) in there.
            write(pid, "setgroups", "deny")?;
            let agent = Identity::AGENT;
            (format!("{agent} {uid} 1\n"), format!("{agent} {gid} 1\n"))
        }
        // SECURITY: host uid 0 is not in the block, so not even a kernel bug that gives back a
        // capability makes somebody in the jail the owner of the host's files (K20).
        Identity::Block { start } => {
            let map = format!("0 {start} {}\n", Identity::MAPPED);
            (map.clone(), map)
        }
    };
    write(pid, "uid_map", &uids)?;
    write(pid, "gid_map", &gids)
}

fn write(pid: i32, name: &str, text: &str) -> Result<(), BuildError> {
    let path = format!("/proc/{pid}/{name}");
    fs::write(&path, text).step_on("write the id map", name).map_err(|error| {
        error.fix(
            "the ids must be this machine's or container's own: inside of a container run \
             OpenShell as an ordinary user, or give the container a larger range of ids",
        )
    })
}

/// User namespaces through which mounts are translated, one for each owner.
#[derive(Debug)]
pub(crate) struct IdMaps {
    start: u32,
    made: Vec<(Uid, Gid, OwnedFd)>,
}

impl IdMaps {
    pub(crate) const fn new(start: u32) -> Self {
        Self { start, made: Vec::new() }
    }

    /// The namespace that shows the owner of `source` as the agent, and nobody else: what others
    /// own there belongs to `nobody` inside.
    pub(crate) fn owner_of(
        &mut self,
        source: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<BorrowedFd<'_>, BuildError> {
        const STEP: &str = "make the id map of the mount";
        let stat = rustix::fs::fstat(source).step_on(STEP, path)?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let at = match self.made.iter().position(|made| (made.0, made.1) == (uid, gid)) {
            Some(at) => at,
            None => {
                let agent = self.agent();
                let map = user_namespace(uid, gid, agent).step_on(STEP, path)?;
                self.made.push((uid, gid, map));
                self.made.len() - 1
            }
        };
        self.made
            .get(at)
            .map(|made| made.2.as_fd())
            .ok_or_else(|| BuildError::new(STEP, "the map was lost"))
    }

    /// Makes the agent the owner of the sandbox's private folder, if root has just made it.
    ///
    /// SECURITY: the folder itself, through a descriptor that followed no link, and nothing in it:
    /// its content is hostile (K9).
    pub(crate) fn give_home(&self, path: &Path) -> Result<(), BuildError> {
        const STEP: &str = "give the agent its folder";
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let home = rustix::fs::open(path, flags, Mode::empty()).step_on(STEP, path)?;
        let owner = rustix::fs::fstat(&home).step_on(STEP, path)?.st_uid;
        let agent = self.agent();
        if owner == agent {
            return Ok(());
        }
        if owner != rustix::process::geteuid().as_raw() {
            let cause = format!("it belongs to uid {owner}, who is neither you nor the agent");
            return Err(BuildError::new(STEP, cause).on(path));
        }
        rustix::fs::fchown(&home, Some(Uid::from_raw(agent)), Some(Gid::from_raw(agent)))
            .step_on(STEP, path)
    }

    const fn agent(&self) -> u32 {
        self.start.saturating_add(Identity::AGENT)
    }
}

/// A user namespace in which `uid` and `gid` of the disk are `agent` of the host. It has no
/// process: the descriptor alone keeps it.
fn user_namespace(uid: Uid, gid: Gid, agent: u32) -> io::Result<OwnedFd> {
    let child = sys::clone(libc::CLONE_NEWUSER, || {
        // Ended by the signal below, or with its parent.
        if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
            return 1;
        }
        loop {
            let _ = rustix::thread::nanosleep(&Timespec { tv_sec: 1, tv_nsec: 0 });
        }
    })?;
    let pid = child.pid.as_raw_nonzero();
    let map = || -> io::Result<OwnedFd> {
        fs::write(format!("/proc/{pid}/uid_map"), format!("{} {agent} 1\n", uid.as_raw()))?;
        fs::write(format!("/proc/{pid}/gid_map"), format!("{} {agent} 1\n", gid.as_raw()))?;
        Ok(fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
    };
    let map = map();
    pidfd_send_signal(&child.pidfd, Signal::KILL)?;
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    map
}
