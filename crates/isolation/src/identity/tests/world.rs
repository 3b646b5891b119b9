//! A jail of the plainest kind: user, network, pid and mount namespaces, an own /tmp, the filter.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{
    DumpableBehavior, Signal, getegid, geteuid, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    Gid, Uid, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::super::sock_diag::{cookie_of, peer_of};
use super::super::{
    Hashing, Identifier, Ids, JailView, Options, Record, RecordReader, Table, spawn,
};
use crate::seccomp;
use crate::testing::{HIGH, fork, in_child, owned, syscall};

/// Who starts the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Root, with a block of ids.
    Root,
    /// An ordinary user.
    User,
}

impl Who {
    /// The starters that this process can be: root all of them, an ordinary user itself only.
    pub(super) fn all() -> &'static [Self] {
        if geteuid().is_root() {
            return &[Self::Root, Self::User];
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Past the capture of the test's output, which hides what a passing test says.
        let line = format!("skipped {test}, the sandbox started by root: needs root\n");
        rustix::io::write(std::io::stdout(), line.as_bytes()).expect("written");
        &[Self::User]
    }
}

/// Whom root becomes to be an ordinary user.
const USER: u32 = 1001;
const BLOCK: u32 = 0x7000_0000;
const AGENT: u32 = 1000;

/// What the supervisor's side of a case works with.
pub(super) struct Supervisor {
    pub(super) identifier: Identifier,
    records: RecordReader,
    table: Table,
    diag: OwnedFd,
    pub(super) server: TcpListener,
    /// For the host's sockets; `/host` in words, mounted from outside.
    pub(super) who: Who,
}

/// What the agent's side works with.
pub(super) struct Agent {
    pub(super) server: SocketAddr,
    link: UnixStream,
}

impl Agent {
    /// Lets the supervisor's side go on.
    pub(super) fn tell(&self) {
        (&self.link).write_all(b"!").expect("told");
    }

    /// Waits for the supervisor's side.
    pub(super) fn wait(&self) {
        (&self.link).read_exact(&mut [0]).expect("heard");
    }

    /// Runs a shell command and says whether it succeeded.
    pub(super) fn shell(&self, program: &str, script: &str) -> bool {
        Command::new(program).args(["-c", script]).status().expect("a shell").success()
    }

    /// A shell command that connects to the server and waits until it answers or closes.
    pub(super) fn dial(&self) -> String {
        format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -r _ <&3; :", self.server.port())
    }
}

impl Supervisor {
    /// The next connection, and the record that it is tied to.
    pub(super) fn accept(&mut self) -> (TcpStream, Option<Record>) {
        self.expect_connection();
        let (stream, _) = self.server.accept().expect("a connection");
        self.drain();
        let cookie = peer_of(self.diag.as_fd(), &stream).expect("a look-up");
        let record = cookie.and_then(|cookie| self.table.take(cookie, Instant::now()));
        (stream, record)
    }

    /// Waits until there is a connection to accept.
    pub(super) fn expect_connection(&self) {
        assert!(self.has_connection(Duration::from_secs(5)), "no connection came");
    }

    /// Whether a connection comes within this time.
    pub(super) fn has_connection(&self, within: Duration) -> bool {
        let mut server = [PollFd::new(&self.server, PollFlags::IN)];
        let within = Timespec::try_from(within).expect("a time");
        poll(&mut server, Some(&within)).expect("polled") == 1
    }

    /// Takes the identifier out, and puts another without a jail in its place.
    pub(super) fn replace_identifier(&mut self) -> Identifier {
        std::mem::replace(&mut self.identifier, spawn(&Options::default()).expect("another"))
    }

    /// Moves what has arrived into the table, and says how many records there are.
    pub(super) fn drain(&mut self) -> usize {
        while let Ok(record) = self.records.try_read() {
            self.table.insert(record.expect("not its end"), Instant::now());
        }
        self.table.len()
    }

    pub(super) fn diag(&self, client: SocketAddr, server: SocketAddr) -> Option<u64> {
        cookie_of(self.diag.as_fd(), client, server).expect("a look-up").map(|peer| peer.cookie)
    }
}

/// Lets the agent's side go on.
pub(super) fn tell(mut link: &UnixStream) {
    link.write_all(b"!").expect("told");
}

/// Waits for the agent's side.
pub(super) fn heard(mut link: &UnixStream) {
    link.read_exact(&mut [0]).expect("heard");
}

/// A folder of the host that the jail sees, and on which it may write.
pub(super) struct HostFolder(tempfile::TempDir);

impl HostFolder {
    pub(super) fn new(name: &str) -> Self {
        // Not in /tmp: the jail has its own.
        Self(tempfile::Builder::new().prefix(name).tempdir_in("/var/tmp").expect("a folder"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path().join("s")
    }

    /// Lets every uid do everything there, so that only the identifier is in the way.
    pub(super) fn open_to_all(&self) {
        let all = || fs::Permissions::from_mode(0o777);
        fs::set_permissions(self.path(), all()).expect("open");
        for entry in fs::read_dir(self.path()).expect("entries") {
            fs::set_permissions(entry.expect("an entry").path(), all()).expect("open");
        }
    }
}

/// `struct sockaddr_in`.
pub(super) fn bytes_of(address: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(address) = address else { panic!("version 4 only") };
    let mut bytes = vec![2, 0];
    bytes.extend(address.port().to_be_bytes());
    bytes.extend(address.ip().octets());
    bytes.resize(16, 0);
    bytes
}

/// `struct sockaddr_un`, as long as it may be.
pub(super) fn unix_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(path.as_os_str().as_encoded_bytes());
    bytes.resize(bytes.len().max(110), 0);
    bytes.resize(bytes.len().max(128), 0);
    bytes.truncate(128);
    bytes
}

/// Runs the program behind a descriptor in a child, and waits for it.
pub(super) fn execute(program: i32, arguments: &[CString], last: &CStr) {
    let child = fork(|| {
        let pointers = arguments.iter().map(|text| text.as_ptr() as u64);
        let list = pointers.chain([last.as_ptr() as u64, 0]).collect::<Vec<_>>();
        let (list, nothing) = (list.as_ptr() as u64, [0u64]);
        let nothing = nothing.as_ptr() as u64;
        let (name, flags) = (c"".as_ptr() as u64, libc::AT_EMPTY_PATH as u64);
        let failed = syscall(libc::SYS_execveat, [program as u64, name, list, nothing, flags, 0]);
        panic!("{failed:?}");
    });
    child.join();
}

/// One case: `agent` runs under the filter in the jail, `supervisor` outside of it.
pub(super) fn case(
    who: Who,
    agent: impl FnOnce(&Agent) + UnwindSafe,
    supervisor: impl FnOnce(&mut Supervisor, &UnixStream) + UnwindSafe,
) {
    case_with(who, &[], agent, supervisor);
}

/// As [`case`], with sockets of the host that the person named.
#[track_caller]
pub(super) fn case_with(
    who: Who,
    allowed_sockets: &[&Path],
    agent: impl FnOnce(&Agent) + UnwindSafe,
    supervisor: impl FnOnce(&mut Supervisor, &UnixStream) + UnwindSafe,
) {
    let allowed_sockets = allowed_sockets.to_vec();
    in_child(move || {
        become_starter(who);
        let ids = (who == Who::Root).then_some(Ids { uid: BLOCK + AGENT, gid: BLOCK + AGENT });
        let identifier =
            spawn(&Options { ids, hashing: Hashing::BeforeRecord }).expect("an identifier");
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let builder = fork(move || build(theirs, agent));
        (&ours).read_exact(&mut [0]).expect("namespaces");
        map_ids(who, builder.pid);
        (&ours).write_all(b"!").expect("told");
        let mut handed = receive(&ours);
        let [listener, root, diag, server] =
            [handed.remove(0), handed.remove(0), handed.remove(0), handed.remove(0)];
        let mut supervisor_side = Supervisor {
            identifier,
            records: RecordReader::new(diag.try_clone().expect("replaced below")),
            table: Table::new(4096, Duration::from_secs(60)),
            diag,
            server: server.into(),
            who,
        };
        let identifier = &mut supervisor_side.identifier;
        supervisor_side.records = identifier.take_records().expect("records");
        let private = [Path::new("/tmp")];
        let view = JailView {
            listener,
            root: root.as_fd(),
            private: &private,
            allowed_sockets: &allowed_sockets,
        };
        identifier.attach(view).expect("attached");
        (&ours).write_all(b"!").expect("told");
        supervisor(&mut supervisor_side, &ours);
        builder.join();
    });
}

fn become_starter(who: Who) {
    if who == Who::User && geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        set_thread_groups(&[]).expect("no groups");
        set_thread_res_gid(gid, gid, gid).expect("a gid");
        set_thread_res_uid(uid, uid, uid).expect("a uid");
        set_dumpable_behavior(DumpableBehavior::Dumpable).expect("as after exec");
    }
}

fn map_ids(who: Who, pid: i32) {
    let (uid, gid) = match who {
        Who::Root => (BLOCK + AGENT, BLOCK + AGENT),
        Who::User => (geteuid().as_raw(), getegid().as_raw()),
    };
    if who == Who::User {
        fs::write(format!("/proc/{pid}/setgroups"), "deny").expect("setgroups");
    }
    for (map, outside) in [("uid_map", uid), ("gid_map", gid)] {
        fs::write(format!("/proc/{pid}/{map}"), format!("{AGENT} {outside} 1")).expect(map);
    }
}

fn build(link: UnixStream, agent: impl FnOnce(&Agent) + UnwindSafe) {
    // Whoever holds the supervisor's ends keeps its identifier alive.
    let kept = std::os::fd::AsRawFd::as_raw_fd(&link) as u64;
    for (first, last) in [(3, kept - 1), (kept + 1, HIGH as u64 - 1)] {
        syscall(libc::SYS_close_range, [first, last, 0, 0, 0, 0]).expect("closed");
    }
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    syscall(libc::SYS_unshare, [flags as u64, 0, 0, 0, 0, 0]).expect("namespaces");
    (&link).write_all(b"!").expect("told");
    (&link).read_exact(&mut [0]).expect("mapped");
    let (uid, gid) = (Uid::from_raw(AGENT), Gid::from_raw(AGENT));
    set_thread_res_gid(gid, gid, gid).expect("a gid");
    set_thread_res_uid(uid, uid, uid).expect("a uid");
    set_dumpable_behavior(DumpableBehavior::Dumpable).expect("as after exec");
    set_parent_process_death_signal(Some(Signal::KILL)).expect("no orphans");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).expect("private mounts");
    mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), Some(c"mode=1777")).expect("a /tmp");
    loopback_up();
    let init = fork(move || {
        // The folder that /tmp covers is still where this process stands.
        std::env::set_current_dir("/tmp").expect("a folder");
        let server = TcpListener::bind("127.0.0.1:0").expect("a server");
        let address = server.local_addr().expect("an address");
        let diag = syscall(libc::SYS_socket, [16, 3 | 0o2_000_000, 4, 0, 0, 0]).expect("sock_diag");
        let root = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the root");
        set_no_new_privs(true).expect("no_new_privs");
        let listener =
            seccomp::install(&seccomp::Options::default()).expect("the filter").expect("notified");
        hand_over(&link, [listener, root, owned(diag), server.into()]);
        (&link).read_exact(&mut [0]).expect("attached");
        fork(move || agent(&Agent { server: address, link })).join();
    });
    init.join();
}

fn loopback_up() {
    let socket = owned(syscall(libc::SYS_socket, [2, 2, 0, 0, 0, 0]).expect("a socket"));
    // struct ifreq: the name, then the flags IFF_UP and IFF_RUNNING.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 0x41;
    let socket = std::os::fd::AsRawFd::as_raw_fd(&socket) as u64;
    let request = request.as_ptr() as u64;
    syscall(libc::SYS_ioctl, [socket, 0x8914, request, 0, 0, 0]).expect("lo up");
}

fn hand_over(link: &UnixStream, fds: [OwnedFd; 4]) {
    let fds = fds.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut descriptors = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(link, &[IoSlice::new(b"!")], &mut descriptors, SendFlags::empty()).expect("handed");
}

fn receive(link: &UnixStream) -> Vec<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut descriptors = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut byte = [IoSliceMut::new(&mut byte)];
    recvmsg(link, &mut byte, &mut descriptors, RecvFlags::CMSG_CLOEXEC).expect("descriptors");
    let mut received = Vec::new();
    for message in descriptors.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            received.extend(fds);
        }
    }
    received
}
