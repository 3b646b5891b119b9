//! The supervisor's side of the making of a jail.

use std::os::fd::{AsFd, OwnedFd};

use openshell_types::Identity;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Signal, WaitId, WaitIdOptions, getegid, geteuid, pidfd_send_signal, waitid};

use super::boot::{self, Boot};
use super::setup::{self, Channel, Notice, Part};
use super::{Jail, idmap};
use crate::error::{BuildError, Step};
use crate::net::Listeners;
use crate::report::Report;
use crate::rootfs::open_sources;
use crate::spec::JailSpec;
use crate::sys::{self, Child};

/// The namespaces of the jail: everything that the kernel can give it of its own, but time.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Builds the jail that `spec` describes, proves that it holds, and leaves its init serving.
///
/// For a process with one thread that holds no secret and no socket yet: init is a copy of it, and
/// stays one.
pub fn build(spec: &JailSpec) -> Result<Jail, BuildError> {
    check(spec)?;
    let sources = open_sources(spec)?;
    let (ours, theirs) = setup::channel().step("make the set-up channel")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (control, inner) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .step("make the control socket")?;
    let boot = Boot { spec, sources: &sources, setup: &theirs, control: &inner };
    let child = sys::clone(NAMESPACES, || boot::run(&boot)).map_err(no_namespaces)?;
    drop((theirs, inner));
    let attempt = finish(spec, &ours, &child);
    match attempt {
        Ok((parts, report)) => parts.into_jail(control, child, report),
        Err(error) => {
            end(&child);
            Err(error)
        }
    }
}

/// What the specification itself forbids.
fn check(spec: &JailSpec) -> Result<(), BuildError> {
    const STEP: &str = "read the jail's specification";
    if let Identity::Caller { uid, gid } = spec.identity {
        let own = (geteuid().as_raw(), getegid().as_raw());
        // SECURITY: root inside the jail's map would be root's files outside of it (K20).
        if uid == 0 {
            return Err(BuildError::new(STEP, "root cannot stand behind a jail's user")
                .fix("started by root, a sandbox needs a block of ids"));
        }
        if own != (uid, gid) {
            let cause = format!("uid {uid} and gid {gid} are not the caller's {own:?}");
            return Err(BuildError::new(STEP, cause));
        }
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if spec.hostname.is_empty() || spec.hostname.len() > 63 || !spec.hostname.chars().all(fits) {
        return Err(BuildError::new(STEP, "the host name is not a label"));
    }
    Ok(())
}

fn no_namespaces(error: std::io::Error) -> BuildError {
    let told = BuildError::system("make the jail's namespaces", error);
    match told.errno {
        Some(libc::EPERM | libc::ENOSPC | libc::ENOSYS) => {
            told.fix("`openshell doctor` says why this machine refuses them and what to do")
        }
        _ => told,
    }
}

/// Speaks with init until it serves.
fn finish(spec: &JailSpec, setup: &Channel, child: &Child) -> Result<(Parts, Report), BuildError> {
    idmap::write_jail_maps(child.pid.as_raw_nonzero().get(), spec.identity)?;
    setup.release().step("start the jail's init")?;
    let parts = match receive(setup)? {
        (Notice::Sealed { parts }, descriptors) => Parts::from_wire(parts, descriptors),
        _ => return Err(out_of_order()),
    };
    match receive(setup)? {
        (Notice::Ready { report }, _) => Ok((parts, *report)),
        _ => Err(out_of_order()),
    }
}

fn receive(setup: &Channel) -> Result<(Notice, Vec<OwnedFd>), BuildError> {
    match setup.receive().step("hear from the jail's init")? {
        (Notice::Failed(error), _) => Err(*error),
        other => Ok(other),
    }
}

fn out_of_order() -> BuildError {
    BuildError::new("hear from the jail's init", "it spoke out of order")
}

/// Ends a jail that was not finished, and waits until nothing of it is left.
fn end(child: &Child) {
    // Init is our child and not reaped, so it is there to be signalled; a second failure changes
    // nothing about the first one, which is what the caller is told.
    let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
    let _ = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
}

/// The descriptors that init handed out.
#[derive(Debug, Default)]
struct Parts(Vec<(Part, OwnedFd)>);

impl Parts {
    fn from_wire(names: Vec<Part>, descriptors: Vec<OwnedFd>) -> Self {
        Self(names.into_iter().zip(descriptors).collect())
    }

    fn take(&mut self, part: Part) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(name, _)| *name == part)?;
        Some(self.0.swap_remove(at).1)
    }

    fn need(&mut self, part: Part) -> Result<OwnedFd, BuildError> {
        self.take(part).ok_or_else(|| {
            BuildError::new("take the jail over", format!("init did not hand out {part:?}"))
        })
    }

    fn into_jail(
        mut self,
        control: OwnedFd,
        child: Child,
        report: Report,
    ) -> Result<Jail, BuildError> {
        Ok(Jail {
            control,
            init_pid: child.pid.as_raw_nonzero().get().unsigned_abs(),
            init: child.pidfd,
            root: self.need(Part::Root)?,
            proc: self.need(Part::Proc)?,
            netns: self.need(Part::NetNs)?,
            capture: Listeners {
                tcp4: self.need(Part::Tcp4)?,
                tcp6: self.take(Part::Tcp6),
                dns4: self.need(Part::Dns4)?,
                dns6: self.take(Part::Dns6),
                diag: self.need(Part::Diag)?,
                nflog: self.need(Part::Nflog)?,
            },
            seccomp_listener: self.take(Part::SeccompListener),
            report,
        })
    }
}
