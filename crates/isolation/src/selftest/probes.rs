//! The probes: what is tried, and how it must be refused.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use libc::{
    EACCES, EAFNOSUPPORT, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOENT, ENOSYS, EPERM,
    EPROTONOSUPPORT, EROFS,
};
use openshell_types::Identity;

use super::facts::{Mount, Status, id_map, interfaces, mounts};
use crate::net::nflog::SELF_TEST;
use crate::report::ProbeResult;
use crate::rootfs::LANDLOCK_PROBE;
use crate::spec::{Access, HOME, JailSpec};
use crate::sys;

/// One forbidden thing.
pub(super) struct Probe {
    layer: &'static str,
    attempt: &'static str,
    proof: Proof,
}

/// How a probe shows that its layer holds.
enum Proof {
    /// The attempt fails with one of these errors. Where the attempt would fail for another reason
    /// if the layer were not there, that reason has another number.
    Refused(fn() -> io::Result<()>, &'static [i32]),
    /// The system call with this number and these first arguments is refused or unknown.
    Filtered(libc::c_long, [libc::c_long; 3]),
    /// The kernel says that the layer is as it must be; the text is what it says.
    Fact(fn(&JailSpec) -> Result<String, String>),
}

use Proof::{Fact, Filtered, Refused};

/// What a filtered call answers: refused, or unknown.
const FILTERED: &[i32] = &[EPERM, ENOSYS];
const NO_SUCH_SOCKET: &[i32] = &[EAFNOSUPPORT, EPROTONOSUPPORT];

macro_rules! probes {
    ($($layer:literal: $attempt:literal, $proof:expr;)*) => {
        &[$(Probe { layer: $layer, attempt: $attempt, proof: $proof },)*]
    };
}

/// In the order in which the layers were put on, and at least one for each.
pub(super) const PROBES: &[Probe] = probes! {
    "user namespace": "be anybody but the agent", Fact(only_own_ids_are_mapped);
    "mounts": "find host folders that nobody showed", Fact(hidden_folders_are_not_there);
    "mounts": "write, or gain rights, through a mount", Fact(mounts_have_their_flags);
    "mounts": "write in the root",
        Refused(|| create("/.openshell/written"), &[EROFS, EACCES]);
    "proc": "set the host's core pattern",
        Refused(|| write("/proc/sys/kernel/core_pattern"), &[EROFS, EACCES]);
    "proc": "open init's memory",
        Refused(|| write("/proc/1/mem"), &[EACCES, ENOENT, EPERM, EROFS]);
    "proc": "go through init's root",
        Refused(|| fs::metadata("/proc/1/root/").map(drop), &[EACCES, ENOENT, EPERM]);
    "proc": "list init's descriptors",
        Refused(|| fs::read_dir("/proc/1/fd").map(drop), &[EACCES, ENOENT, EPERM]);
    "network": "have an interface that leads out", Fact(only_loopback);
    "network": "send a datagram to the world",
        Refused(send_datagram, &[EPERM, EACCES, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED]);
    "descriptors": "hold a descriptor of the supervisor's", Fact(no_descriptor_leaked);
    "capabilities": "hold a capability", Fact(no_capabilities);
    "no_new_privs": "gain rights by running a program", Fact(no_new_privs);
    "landlock": "read what no rule covers",
        Refused(|| File::open(LANDLOCK_PROBE).map(drop), &[EACCES]);
    "seccomp": "run without a filter", Fact(filtered);
    "seccomp": "make a user namespace", Filtered(libc::SYS_unshare, [NEW_USER, 0, 0]);
    "seccomp": "join a namespace", Filtered(libc::SYS_setns, [-1, 0, 0]);
    "seccomp": "make a process in new namespaces", Filtered(libc::SYS_clone3, [0, 0, 0]);
    "seccomp": "set up an io_uring", Filtered(libc::SYS_io_uring_setup, [1, 0, 0]);
    "seccomp": "be traced", Filtered(libc::SYS_ptrace, [TRACE_ME, 0, 0]);
    "seccomp": "read another process's memory", Filtered(libc::SYS_process_vm_readv, [1, 0, 0]);
    "seccomp": "use a key ring", Filtered(libc::SYS_keyctl, [0, 0, 0]);
    "seccomp": "load a BPF program", Filtered(libc::SYS_bpf, [-1, 0, 0]);
    "seccomp": "open performance counters", Filtered(libc::SYS_perf_event_open, [0, -1, -1]);
    "seccomp": "handle page faults", Filtered(libc::SYS_userfaultfd, [0, 0, 0]);
    "seccomp": "remount the root", Filtered(libc::SYS_mount, [0, 0, 0]);
    "seccomp": "change a mount's flags", Filtered(libc::SYS_mount_setattr, [-1, 0, 0]);
    "seccomp": "open a file system", Filtered(libc::SYS_fsopen, [0, 0, 0]);
    "seccomp": "copy a mount", Filtered(libc::SYS_open_tree, [-1, 0, 0]);
    "seccomp": "change the root", Filtered(libc::SYS_chroot, [0, 0, 0]);
    "seccomp": "open a file by handle", Filtered(libc::SYS_open_by_handle_at, [-1, 0, 0]);
    "seccomp": "open a raw packet socket",
        Refused(|| socket(libc::AF_PACKET, libc::SOCK_RAW), NO_SUCH_SOCKET);
    "seccomp": "open a socket to the hypervisor",
        Refused(|| socket(libc::AF_VSOCK, libc::SOCK_STREAM), NO_SUCH_SOCKET);
    "seccomp": "open a kernel crypto socket",
        Refused(|| socket(libc::AF_ALG, libc::SOCK_SEQPACKET), NO_SUCH_SOCKET);
};

const NEW_USER: libc::c_long = libc::CLONE_NEWUSER as libc::c_long;
const TRACE_ME: libc::c_long = libc::PTRACE_TRACEME as libc::c_long;

impl Probe {
    /// Tries it.
    pub(super) fn run(&self, spec: &JailSpec) -> ProbeResult {
        let (refused, outcome) = match self.proof {
            Proof::Refused(attempt, expected) => judge(attempt(), expected),
            Proof::Filtered(number, [a, b, c]) => {
                judge(sys::attempt(number, [a, b, c, 0, 0]).map(drop), FILTERED)
            }
            Proof::Fact(look) => match look(spec) {
                Ok(fact) => (true, fact),
                Err(fact) => (false, fact),
            },
        };
        ProbeResult {
            layer: self.layer.to_owned(),
            attempt: self.attempt.to_owned(),
            refused,
            outcome,
        }
    }
}

fn judge(result: io::Result<()>, expected: &[i32]) -> (bool, String) {
    match result {
        Ok(()) => (false, "it was allowed".to_owned()),
        Err(error) => {
            let refused = error.raw_os_error().is_some_and(|errno| expected.contains(&errno));
            (refused, error.to_string())
        }
    }
}

fn create(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path).map(drop)
}

fn write(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<()> {
    sys::attempt(libc::SYS_socket, [family.into(), kind.into(), 0, 0, 0]).map(drop)
}

fn send_datagram() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.send_to(b"x", SELF_TEST).map(drop)
}

fn only_own_ids_are_mapped(spec: &JailSpec) -> Result<String, String> {
    let agent = Identity::AGENT;
    let (uids, gids) = match spec.identity {
        Identity::Caller { uid, gid } => ([agent, uid, 1], [agent, gid, 1]),
        Identity::Block { start } => ([0, start, Identity::MAPPED], [0, start, Identity::MAPPED]),
    };
    let maps = (read(id_map("uid_map"))?, read(id_map("gid_map"))?);
    let ids = (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw());
    let holds = maps == (vec![uids], vec![gids]) && ids == (agent, agent);
    state(holds, format!("uid {ids:?}, maps {maps:?}"))
}

/// What the default view leaves out is not there, unless something beneath it was asked for.
fn hidden_folders_are_not_there(spec: &JailSpec) -> Result<String, String> {
    const HIDDEN: [&str; 9] =
        ["/boot", "/home", "/media", "/mnt", "/root", "/run", "/srv", "/sys", "/var"];
    let is_shown = |path: &str| spec.binds.iter().any(|bind| bind.target.starts_with(path));
    let found: Vec<&str> = HIDDEN
        .into_iter()
        .filter(|path| !is_shown(path))
        .filter(|path| !fs::metadata(path).is_err_and(|error| error.raw_os_error() == Some(ENOENT)))
        .collect();
    state(found.is_empty(), format!("there: {found:?}"))
}

/// SECURITY: what the mount table says is what every later open obeys: nothing but the composed
/// and asked-for places is writable, set-id bits count nowhere, and device nodes only in `/dev`.
fn mounts_have_their_flags(spec: &JailSpec) -> Result<String, String> {
    let mounts = read(mounts())?;
    let wrong: Vec<&Mount> = mounts.iter().filter(|mount| !is_safe(mount, spec)).collect();
    state(
        wrong.is_empty() && !mounts.is_empty(),
        format!("{} mounts, wrong: {wrong:?}", mounts.len()),
    )
}

fn is_safe(mount: &Mount, spec: &JailSpec) -> bool {
    let place = mount.place.as_path();
    let is_device = place.starts_with("/dev") || place.starts_with("/proc");
    let may_be_writable = ["/dev", "/tmp", HOME].iter().any(|path| place.starts_with(path))
        || spec
            .binds
            .iter()
            .any(|bind| bind.access == Access::ReadWrite && place.starts_with(&bind.target));
    let read_only_inside_writable =
        spec.binds.iter().any(|bind| bind.access == Access::ReadOnly && place == bind.target);
    let needs_read_only = read_only_inside_writable || !may_be_writable;
    mount.has("nosuid")
        && (is_device || mount.has("nodev"))
        && (!needs_read_only || mount.has("ro"))
}

fn only_loopback(_: &JailSpec) -> Result<String, String> {
    let found = read(interfaces())?;
    state(found == ["lo"], format!("interfaces {found:?}"))
}

/// Standard input and error lead to `/dev/null`, standard output to the report's pipe, and the
/// only other descriptor is the one that lists them.
fn no_descriptor_leaked(_: &JailSpec) -> Result<String, String> {
    let listing = read(fs::read_dir("/proc/self/fd"))?;
    let mut found = Vec::new();
    for entry in listing {
        let entry = read(entry)?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if !target.ends_with("fd") || !target.starts_with("/proc") {
            found.push(format!("{}={}", entry.file_name().to_string_lossy(), target.display()));
        }
    }
    let expected = |text: &String| {
        matches!(text.as_str(), "0=/dev/null" | "2=/dev/null") || text.starts_with("1=pipe:")
    };
    state(found.len() == 3 && found.iter().all(expected), format!("descriptors {found:?}"))
}

fn no_capabilities(_: &JailSpec) -> Result<String, String> {
    let status = read(Status::read())?;
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| status.text(set));
    let none = |set: &String| !set.is_empty() && set.bytes().all(|digit| digit == b'0');
    state(sets.iter().all(none), format!("sets {sets:?}"))
}

fn no_new_privs(_: &JailSpec) -> Result<String, String> {
    let value = read(Status::read())?.text("NoNewPrivs");
    state(value == "1", format!("NoNewPrivs {value}"))
}

fn filtered(_: &JailSpec) -> Result<String, String> {
    let mode = read(Status::read())?.text("Seccomp");
    state(mode == "2", format!("Seccomp {mode}"))
}

fn read<T>(result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("it could not be read: {error}"))
}

fn state(holds: bool, fact: String) -> Result<String, String> {
    if holds { Ok(fact) } else { Err(fact) }
}
