//! The supervisor's side of the making of a jail.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use openshell_types::Identity;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Signal, WaitId, WaitIdOptions, getegid, geteuid, pidfd_send_signal, waitid};

use super::boot::{self, Boot};
use super::setup::{self, Channel, Notice, Part};
use super::{Jail, idmap};
use crate::error::{BuildError, Step};
use crate::net::Listeners;
use crate::net::udp_socket::UdpSockets;
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
pub fn build(spec: &JailSpec) -> Result<(Jail, Report), BuildError> {
    let (jail, trial) = begin(spec)?.sealed()?;
    let attempt = trial.passed();
    if attempt.is_err() {
        end_process(jail.init.as_fd());
    }
    attempt.map(|report| (jail, report))
}

/// Starts the init of a jail. It sets the jail up by itself; the caller may meanwhile give up its
/// privileges and seal itself, for what follows needs neither.
///
/// The conditions are those of [`build`].
pub fn begin(spec: &JailSpec) -> Result<Building, BuildError> {
    check(spec)?;
    let sources = open_sources(spec)?;
    let (ours, theirs) = setup::channel().step("make the set-up channel")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (control, inner) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .step("make the control socket")?;
    let boot = Boot { spec, sources: &sources, setup: &theirs, control: &inner };
    let child = sys::clone(NAMESPACES, || boot::run(&boot)).map_err(no_namespaces)?;
    let building = Building { control, setup: ours, child };
    match building.release(spec) {
        Ok(()) => Ok(building),
        Err(error) => {
            end(&building.child);
            Err(error)
        }
    }
}

/// A jail whose init is still at work. Dropping it ends init at its next word.
#[derive(Debug)]
pub struct Building {
    control: OwnedFd,
    setup: Channel,
    child: Child,
}

impl Building {
    /// Init's process id outside, for display only.
    pub fn init_pid(&self) -> u32 {
        self.child.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn release(&self, spec: &JailSpec) -> Result<(), BuildError> {
        idmap::write_jail_maps(self.child.pid.as_raw_nonzero().get(), spec.identity)?;
        self.setup.release().step("start the jail's init")
    }

    /// Waits until the jail stands and is sealed. Its self-test goes on meanwhile.
    pub fn sealed(self) -> Result<(Jail, Trial), BuildError> {
        let Self { control, setup, child } = self;
        let parts = match receive(&setup) {
            Ok((Notice::Sealed { parts }, descriptors)) => Ok(Parts::from_wire(parts, descriptors)),
            Ok(_) => Err(out_of_order()),
            Err(error) => Err(error),
        };
        match parts {
            Ok(parts) => Ok((parts.into_jail(control, child)?, Trial { setup })),
            Err(error) => {
                end(&child);
                Err(error)
            }
        }
    }
}

/// The self-test of a jail. Until it has passed its init takes no command.
#[derive(Debug)]
pub struct Trial {
    setup: Channel,
}

impl Trial {
    /// Waits until the self-test has passed, and tells what is in force. A jail that fails it is
    /// dropped by the caller, which ends it.
    pub fn passed(self) -> Result<Report, BuildError> {
        match receive(&self.setup)? {
            (Notice::Ready { report }, _) => Ok(*report),
            _ => Err(out_of_order()),
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
    end_process(child.pidfd.as_fd());
}

fn end_process(init: BorrowedFd<'_>) {
    // Init is our child and not reaped, so it is there to be signalled; a second failure changes
    // nothing about the first one, which is what the caller is told. Without privileges the init of
    // a block of ids cannot be signalled: it ends when it finds the set-up channel closed.
    if pidfd_send_signal(init, Signal::KILL).is_ok() {
        let _ = waitid(WaitId::PidFd(init), WaitIdOptions::EXITED);
    }
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

    fn into_jail(mut self, control: OwnedFd, child: Child) -> Result<Jail, BuildError> {
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
                udp4: UdpSockets { receive: self.need(Part::Udp4)?, send: self.need(Part::Raw4)? },
                udp6: self
                    .take(Part::Udp6)
                    .zip(self.take(Part::Raw6))
                    .map(|(receive, send)| UdpSockets { receive, send }),
                diag: self.need(Part::Diag)?,
                nflog: self.need(Part::Nflog)?,
            },
            seccomp_listener: self.take(Part::SeccompListener),
        })
    }
}
