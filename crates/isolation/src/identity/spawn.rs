//! The supervisor's side: starting the identifier, and giving it a jail.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use serde::{Deserialize, Serialize};

use super::RecordReader;
use super::serve;
use super::sys::{Fork, fork};

/// How long the identifier may take to start, or to take a jail.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message on the control socket.
pub(super) const MAX_CONTROL: usize = 64 * 1024;

/// How the identifier is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Started by root: the ids to take, with CAP_SYS_PTRACE as the one capability. The host ids
    /// behind the agent's own do best: the kernel then judges the modes of Unix sockets as for the
    /// agent, and peers see its uid. `None`: stay who one is.
    pub ids: Option<Ids>,
    /// When executables are hashed.
    pub hashing: Hashing,
}

/// A uid and a gid of the host; no further groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The uid.
    pub uid: u32,
    /// The gid.
    pub gid: u32,
}

/// When executables are hashed; either way once per content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hashing {
    /// After the first record, which goes without a digest: no connection waits for it.
    #[default]
    Background,
    /// Before the record.
    BeforeRecord,
}

/// What the identifier needs of a jail.
#[derive(Debug)]
pub struct JailView<'a> {
    /// The filter's listener. The identifier has to be its only holder.
    pub listener: OwnedFd,
    /// The jail's root, O_PATH.
    pub root: BorrowedFd<'a>,
    /// Paths in the jail whose mounts are its own: Unix sockets there can be connected to. A mount
    /// beneath them is another mount.
    pub private: &'a [&'a Path],
    /// Sockets on other mounts that the person named, by their path in the jail. Each is pinned
    /// now: what takes its name later is another socket.
    pub allowed_sockets: &'a [&'a Path],
}

/// The identifier's process. It ends when this is dropped.
#[derive(Debug)]
pub struct Identifier {
    control: Option<OwnedFd>,
    process: OwnedFd,
    pid: i32,
    records: Option<RecordReader>,
}

/// Forks the identifier. The calling process has to be single-threaded, and to do this before it
/// has secrets; the identifier closes every descriptor that it finds but for the standard three.
///
/// Whatever the calling process forks afterwards has to close its descriptors as well, or the
/// identifier outlives the caller.
pub fn spawn(options: &Options) -> io::Result<Identifier> {
    let pair =
        || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (control, their_control) = pair()?;
    let (records, their_records) = pair()?;
    let parent = rustix::process::getpid();
    match fork()? {
        Fork::Child => serve::run(their_control, their_records, options, parent),
        Fork::Parent(pid) => {
            let process = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Identifier {
                control: Some(control),
                process: pidfd_open(process, PidfdFlags::empty())?,
                pid,
                records: Some(RecordReader::new(records)),
            })
        }
    }
}

impl Identifier {
    /// Its process id, for people.
    pub fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// Becomes readable when the process ends, which has to be the end of the jail.
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// The records, the first time.
    pub fn take_records(&mut self) -> Option<RecordReader> {
        self.records.take()
    }

    /// Gives it the jail, once, and waits until it serves: sealed, and with every path found.
    pub fn attach(&mut self, jail: JailView<'_>) -> io::Result<()> {
        let control = self.control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        answer(control)?;
        let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
        let paths =
            Paths { private: owned(jail.private), allowed_sockets: owned(jail.allowed_sockets) };
        let message = serde_json::to_vec(&paths).map_err(io::Error::other)?;
        if message.len() > MAX_CONTROL {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fds = [jail.listener.as_fd(), jail.root];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut descriptors = SendAncillaryBuffer::new(&mut space);
        if !descriptors.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(control, &[IoSlice::new(&message)], &mut descriptors, SendFlags::NOSIGNAL)?;
        answer(control)
    }
}

impl Drop for Identifier {
    fn drop(&mut self) {
        drop(self.control.take());
        // It exits at once, whatever it is doing. If somebody else holds the socket we do not wait.
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        let _ended = poll(&mut ended, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _reaped = waitid(WaitId::PidFd(self.process.as_fd()), options);
    }
}

/// The names in a [`JailView`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paths {
    pub(super) private: Vec<PathBuf>,
    pub(super) allowed_sockets: Vec<PathBuf>,
}

/// What the identifier says once it is sealed, and once it has its jail.
pub(super) type Answer = Result<(), String>;

/// Waits for the next answer.
fn answer(control: &OwnedFd) -> io::Result<()> {
    let mut ready = [PollFd::new(control, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut message = vec![0; MAX_CONTROL];
    let (_, length) = recv(control, message.as_mut_slice(), RecvFlags::DONTWAIT)?;
    match message.get(..length) {
        None | Some([]) => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(message) => serde_json::from_slice::<Answer>(message)?.map_err(io::Error::other),
    }
}
