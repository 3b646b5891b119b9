//! The supervisor's own seal.
//!
//! The supervisor parses what the jail sends, with the user's uid and the host's network: it is a
//! target too. Sealed, it can start no program, open no file that it was not told of, look into no
//! process and make no new kind of socket. Dialling, its audit file and its way back to the gateway
//! still work. Without Landlock it is not sealed, and an error says so.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    PathFdError, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{no_new_privs, set_no_new_privs};
use thiserror::Error;

use crate::seccomp::{confine_process, supervisor};

/// What a sealed supervisor may still reach by name. What it has open it keeps.
///
/// Connecting to a Unix socket needs no entry here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupervisorSeal {
    /// Folders, or files, that are read and written: the sandbox's own state.
    pub writable: Vec<PathBuf>,
    /// Folders, or files, that are read: the system's certificates, resolv.conf, hosts, its own
    /// /proc. What is not there is left out.
    pub readable: Vec<PathBuf>,
}

/// What is in force, read back from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealReport {
    /// The Landlock version whose rights are all handled.
    pub landlock: i32,
    /// Paths to read that do not exist here.
    pub absent: Vec<PathBuf>,
    /// No program that is started can gain rights, and none can be started.
    pub no_new_privs: bool,
    /// A filter is in force.
    pub seccomp: bool,
    /// No core file, and no process of the same uid can look in.
    pub undumpable: bool,
}

/// The supervisor is not sealed, and must not go on.
#[derive(Debug, Error)]
pub enum SealError {
    /// Threads that exist would stay outside of Landlock.
    #[error("the supervisor has {0} threads, and can be sealed only while it has one")]
    Threads(usize),
    /// The kernel has no Landlock, or it is switched off.
    #[error("Landlock is not available; help: `openshell doctor` says why and what to do")]
    LandlockMissing,
    /// A folder that is needed cannot be opened.
    #[error("a path of the seal cannot be opened")]
    Path(#[source] PathFdError),
    /// Landlock refused the rules.
    #[error("Landlock refused the rules")]
    Landlock(#[from] RulesetError),
    /// A call failed.
    #[error("sealing failed")]
    System(#[from] io::Error),
    /// The calls succeeded, and the kernel says otherwise.
    #[error("the kernel does not confirm the seal")]
    NotInForce,
}

/// The newest version whose file rights are handled. Later ones restrict sockets by path, which the
/// supervisor needs to reach its gateway.
const NEWEST: ABI = ABI::V6;

/// Seals the calling process for ever. It has to be single-threaded: threads that it starts
/// afterwards are sealed as well.
pub fn seal_supervisor(seal: &SupervisorSeal) -> Result<SealReport, SealError> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(SealError::Threads(threads));
    }
    set_no_new_privs(true).map_err(io::Error::from)?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(io::Error::from)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let (landlock, absent) = restrict(seal)?;
    confine_process(&supervisor())?;
    let report = SealReport {
        landlock,
        absent,
        no_new_privs: no_new_privs().map_err(io::Error::from)?,
        seccomp: mode("/proc/self/status")? == Some(2),
        undumpable: dumpable_behavior().map_err(io::Error::from)? == DumpableBehavior::NotDumpable,
    };
    let in_force = report.no_new_privs && report.seccomp && report.undumpable;
    if in_force { Ok(report) } else { Err(SealError::NotInForce) }
}

fn restrict(seal: &SupervisorSeal) -> Result<(i32, Vec<PathBuf>), SealError> {
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?;
    for path in &seal.writable {
        let place = PathFd::new(path).map_err(SealError::Path)?;
        let rights = (all & !AccessFs::Execute) & rights_of(path);
        rules = rules.add_rule(PathBeneath::new(place, rights))?;
    }
    let mut absent = Vec::new();
    // The seal is read back from there.
    let own = PathBuf::from("/proc/self");
    for path in seal.readable.iter().chain([&own]) {
        match PathFd::new(path) {
            Ok(place) => {
                rules = rules.add_rule(PathBeneath::new(place, read & rights_of(path)))?;
            }
            Err(_) if !path.try_exists().unwrap_or(true) => absent.push(path.clone()),
            Err(error) => return Err(SealError::Path(error)),
        }
    }
    match rules.restrict_self()? {
        RestrictionStatus { ruleset: RulesetStatus::NotEnforced, .. } => {
            Err(SealError::LandlockMissing)
        }
        RestrictionStatus { landlock: LandlockStatus::Available { effective_abi, .. }, .. } => {
            Ok((effective_abi as i32, absent))
        }
        _ => Err(SealError::LandlockMissing),
    }
}

/// The rights that mean something on what `path` is.
fn rights_of(path: &std::path::Path) -> landlock::BitFlags<AccessFs> {
    if path.is_dir() { AccessFs::from_all(NEWEST) } else { AccessFs::from_file(NEWEST) }
}

/// The `Seccomp:` line of a status file.
fn mode(status: &str) -> io::Result<Option<u32>> {
    let text = std::fs::read_to_string(status)?;
    let value = text.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    Ok(value.and_then(|value| value.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::testing::{in_child, syscall};

    /// Runs `body` sealed, with a folder that it may write and another that it may read.
    fn sealed(body: impl FnOnce(&Path, &Path) + std::panic::UnwindSafe) {
        let folders =
            [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another")];
        let [own, other] = folders.each_ref().map(|folder| folder.path().to_path_buf());
        fs::write(other.join("file"), "content").expect("written");
        in_child(move || {
            let seal = SupervisorSeal {
                writable: vec![own.clone()],
                readable: vec![other.clone(), "/etc/hosts".into(), "/not/there".into()],
            };
            let report = seal_supervisor(&seal).expect("sealed");
            assert!(report.no_new_privs && report.seccomp && report.undumpable);
            assert!(report.landlock >= 3, "{report:?}");
            assert_eq!(report.absent, [PathBuf::from("/not/there")]);
            body(&own, &other);
        });
    }

    fn denied<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn files_are_those_that_it_was_told_of() {
        sealed(|own, other| {
            fs::write(own.join("log"), "line").expect("written");
            fs::rename(own.join("log"), own.join("old")).expect("renamed");
            fs::create_dir(own.join("folder")).expect("made");
            assert_eq!(fs::read(other.join("file")).expect("read"), b"content");
            fs::read("/etc/hosts").expect("read");
            assert!(denied(fs::write(other.join("file"), "")));
            assert!(denied(fs::remove_file(other.join("file"))));
            for path in ["/etc/passwd", "/root", "/home", "/proc/1/status", "/proc/version"] {
                assert!(denied(fs::read(path).map(drop)), "{path}");
            }
        });
    }

    #[test]
    fn it_dials_and_starts_threads_and_no_program() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = outside.path().join("gateway");
        let _gateway = UnixListener::bind(&path).expect("a socket");
        sealed(move |_, _| {
            let server = TcpListener::bind("127.0.0.1:0").expect("a server");
            let address = server.local_addr().expect("an address");
            std::thread::spawn(move || TcpStream::connect(address).expect("connected"))
                .join()
                .expect("a thread");
            UdpSocket::bind("127.0.0.1:0").expect("for DNS");
            UnixStream::connect(&path).expect("the gateway");
            assert!(denied(Command::new("/bin/true").status()));
            let refused = |call, args| assert_eq!(syscall(call, args), Err(libc::EPERM));
            // fork, netlink, packet, and looking into others.
            refused(libc::SYS_clone, [17, 0, 0, 0, 0, 0]);
            refused(libc::SYS_socket, [16, 3, 4, 0, 0, 0]);
            refused(libc::SYS_socket, [17, 3, 0, 0, 0, 0]);
            for call in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_ptrace,
                libc::SYS_process_vm_readv,
                libc::SYS_pidfd_getfd,
                libc::SYS_mount,
                libc::SYS_setns,
                libc::SYS_unshare,
                libc::SYS_bpf,
                libc::SYS_memfd_create,
            ] {
                refused(call, [0; 6]);
            }
            assert_eq!(syscall(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]), Err(libc::EPERM));
        });
    }

    #[test]
    fn a_process_with_threads_is_not_sealed() {
        in_child(|| {
            let (_end, wait) = std::sync::mpsc::channel::<()>();
            let _thread = std::thread::spawn(move || wait.recv());
            let refused = seal_supervisor(&SupervisorSeal::default()).expect_err("two threads");
            assert!(matches!(refused, SealError::Threads(2)), "{refused}");
        });
    }
}
