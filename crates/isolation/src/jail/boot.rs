//! The jail's init, from its first instruction to the loop that serves.
//!
//! The order is the design's: root, network, descriptors, identity and limits, `no_new_privs`,
//! Landlock, seccomp, self-test, serve. Nothing of an agent's runs before the last step.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use openshell_types::Identity;
use rustix::fs::{Mode, OFlags};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::serve;
use super::setup::{Channel, Notice, Part};
use crate::error::{BuildError, Step, with_causes};
use crate::net::{self, Listeners};
use crate::report::LandlockReport;
use crate::rootfs::{self, Source};
use crate::seccomp::{self, Connect};
use crate::spec::{JailSpec, Origin};
use crate::{landlock, privileges, selftest, sys};

/// What init starts with.
#[derive(Debug)]
pub(super) struct Boot<'a> {
    pub(super) spec: &'a JailSpec,
    pub(super) sources: &'a [Source],
    pub(super) setup: &'a Channel,
    pub(super) control: &'a OwnedFd,
}

/// Everything that init does; its result is the exit code.
pub(super) fn run(boot: &Boot<'_>) -> i32 {
    match prepare(boot) {
        Ok(signals) => serve::run(boot.control.as_fd(), &signals),
        Err(error) => {
            // If the supervisor is gone there is nobody to tell.
            let _ = boot.setup.send(&Notice::Failed(Box::new(error)), &[]);
            1
        }
    }
}

fn prepare(boot: &Boot<'_>) -> Result<OwnedFd, BuildError> {
    let Boot { spec, sources, setup, .. } = *boot;
    rustix::thread::set_name(c"openshell-init").step("name the jail's init")?;
    die_with_parent()?;
    shed_descriptors(boot)?;
    umask(Mode::from_raw_mode(0o022));
    setup.await_release().step("wait for the id maps")?;
    assume_root(spec.identity)?;
    rustix::system::sethostname(spec.hostname.as_bytes()).step("set the host name")?;
    rootfs::assemble(spec, sources)?;
    shed_streams()?;
    let listeners = net::configure().map_err(|error| {
        BuildError::new("set the capture of connections up", with_causes(&error))
            .fix("`openshell doctor` says what the kernel lacks")
    })?;
    let parts = Parts::open(listeners)?;
    drop_identity(spec.identity)?;
    set_limits()?;
    let signals = sys::child_signals().step("watch for ended children")?;
    let seal = seal(spec)?;
    parts.hand_out(setup, seal.listener)?;
    let report = selftest::run(spec, seal.landlock, seal.connect)?;
    setup
        .send(&Notice::Ready { report: Box::new(report) }, &[])
        .step("report to the supervisor")?;
    sys::close_all_but(&[boot.control.as_fd(), signals.as_fd()]).step("close what is left")?;
    Ok(signals)
}

/// Ends init with the supervisor's main thread. Where their users differ the kernel may not deliver
/// the signal, and the end of the control socket does the same.
fn die_with_parent() -> Result<(), BuildError> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("tie the jail to its supervisor")
}

/// SECURITY: lets go of whatever the supervisor had open (K13).
fn shed_descriptors(boot: &Boot<'_>) -> Result<(), BuildError> {
    let mut keep = vec![boot.setup.as_fd(), boot.control.as_fd()];
    keep.extend(boot.sources.iter().filter_map(Source::descriptor));
    sys::close_all_but(&keep).step("close the supervisor's descriptors")
}

/// Replaces the supervisor's standard streams, too, by the jail's own `/dev/null`.
fn shed_streams() -> Result<(), BuildError> {
    const STEP: &str = "replace the supervisor's standard streams";
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty()).step_on(STEP, "/dev/null")?;
    rustix::stdio::dup2_stdin(&null).step(STEP)?;
    rustix::stdio::dup2_stdout(&null).step(STEP)?;
    rustix::stdio::dup2_stderr(&null).step(STEP)
}

/// With a block of ids, becomes the namespace's root: until now init is still the host's, without
/// any of its capabilities.
fn assume_root(identity: Identity) -> Result<(), BuildError> {
    const STEP: &str = "become the root of the jail's user namespace";
    if let Identity::Block { .. } = identity {
        set_thread_groups(&[]).step(STEP)?;
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).step(STEP)?;
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).step(STEP)?;
        die_with_parent()?;
    }
    Ok(())
}

/// Becomes the agent's user without any capability. The kernel forgets the parent's death and may
/// allow dumps when ids change, so both are said again.
fn drop_identity(identity: Identity) -> Result<(), BuildError> {
    const STEP: &str = "give up privileges";
    match identity {
        Identity::Block { .. } => privileges::become_user(Identity::AGENT).step(STEP)?,
        Identity::Caller { .. } => {
            privileges::seal_capability_bounds().step(STEP)?;
            privileges::drop_capabilities().step(STEP)?;
        }
    }
    die_with_parent()?;
    // SECURITY: a dumpable init's /proc/1/mem opens read-write for the agent (K21).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(STEP)
}

/// Init's own limits. Commands inherit them, but for that of open files.
fn set_limits() -> Result<(), BuildError> {
    const STEP: &str = "set the limits";
    /// Processes and threads of one jail: far above what builds use, far below what a fork bomb
    /// needs to hurt. Beyond it fork(2) answers EAGAIN.
    const PROCESSES: u64 = 16_384;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).step(STEP)?;
    let files = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).step(STEP)?;
    let inherited = getrlimit(Resource::Nproc).maximum;
    let processes = inherited.map_or(PROCESSES, |inherited| inherited.min(PROCESSES));
    let limit = Rlimit { current: Some(processes), maximum: Some(processes) };
    setrlimit(Resource::Nproc, limit).step(STEP)
}

struct Seal {
    landlock: LandlockReport,
    connect: Connect,
    listener: Option<OwnedFd>,
}

/// The three layers that no process of the jail can take off again.
fn seal(spec: &JailSpec) -> Result<Seal, BuildError> {
    set_no_new_privs(true).step("set no_new_privs")?;
    let landlock = landlock::enforce(spec)?;
    let (connect, listener) = filter(spec)?;
    Ok(Seal { landlock, connect, listener })
}

fn filter(spec: &JailSpec) -> Result<(Connect, Option<OwnedFd>), BuildError> {
    const STEP: &str = "install the system call filter";
    let install = |connect| seccomp::install(&seccomp::Options { connect });
    match install(Connect::Notified) {
        // SECURITY: an unwatched connect reaches a host's Unix socket through a mount (K22), so
        // the fallback is for jails that have none.
        Err(error)
            if error.raw_os_error() == Some(libc::EBUSY)
                && !spec.binds.iter().any(|bind| bind.origin == Origin::Mount) =>
        {
            Ok((Connect::Unwatched, install(Connect::Unwatched).step(STEP)?))
        }
        result => Ok((Connect::Notified, result.step(STEP)?)),
    }
}

/// Descriptors for the supervisor, opened while init still may.
struct Parts {
    root: OwnedFd,
    proc: OwnedFd,
    netns: OwnedFd,
    listeners: Listeners,
}

impl Parts {
    fn open(listeners: Listeners) -> Result<Self, BuildError> {
        const STEP: &str = "open for the supervisor";
        let open = |path: &str, flags| {
            rustix::fs::open(Path::new(path), flags | OFlags::CLOEXEC, Mode::empty())
                .step_on(STEP, path)
        };
        Ok(Self {
            root: open("/", OFlags::PATH | OFlags::DIRECTORY)?,
            proc: open("/proc", OFlags::PATH | OFlags::DIRECTORY)?,
            netns: open("/proc/self/ns/net", OFlags::RDONLY)?,
            listeners,
        })
    }

    /// Sends all of them and closes init's copies.
    fn hand_out(self, setup: &Channel, listener: Option<OwnedFd>) -> Result<(), BuildError> {
        let Listeners { tcp4, tcp6, dns4, dns6, udp4, udp6, diag, nflog } = &self.listeners;
        let udp6 = udp6.as_ref();
        let all: [(Part, Option<&OwnedFd>); 14] = [
            (Part::Root, Some(&self.root)),
            (Part::Proc, Some(&self.proc)),
            (Part::NetNs, Some(&self.netns)),
            (Part::Tcp4, Some(tcp4)),
            (Part::Tcp6, tcp6.as_ref()),
            (Part::Dns4, Some(dns4)),
            (Part::Dns6, dns6.as_ref()),
            (Part::Udp4, Some(&udp4.receive)),
            (Part::Udp6, udp6.map(|sockets| &sockets.receive)),
            (Part::Raw4, Some(&udp4.send)),
            (Part::Raw6, udp6.map(|sockets| &sockets.send)),
            (Part::Diag, Some(diag)),
            (Part::Nflog, Some(nflog)),
            (Part::SeccompListener, listener.as_ref()),
        ];
        let (parts, descriptors): (Vec<Part>, Vec<BorrowedFd<'_>>) =
            all.iter().filter_map(|(part, fd)| fd.map(|fd| (*part, fd.as_fd()))).unzip();
        setup.send(&Notice::Sealed { parts }, &descriptors).step("hand the descriptors out")
    }
}
