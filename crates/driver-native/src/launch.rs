//! Starting one supervisor process.

use std::env;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use openshell_driver::DriverError;
use openshell_driver::launch::{CONFIG, LAUNCHED, LONGEST_LAUNCH, Launch};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::io_error;

/// How long a supervisor may take from exec to holding its lock; it needs about a millisecond.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);

/// What one start needs.
pub(crate) struct Start<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) log: OwnedFd,
    pub(crate) session_dir: BorrowedFd<'a>,
    pub(crate) launch: Launch,
}

/// Starts a supervisor and returns its pid once it holds its lock; `None` when it ended before.
pub(crate) async fn start(start: Start<'_>) -> Result<Option<u32>, DriverError> {
    let (ours, theirs) = UnixStream::pair().map_err(io_error("making the launch socket"))?;
    send(&ours, &start.launch, start.session_dir).map_err(io_error("filling the launch socket"))?;

    let errors = start.log.try_clone().map_err(io_error("copying a descriptor"))?;
    // The supervisor makes its own session first thing, so a hang-up or an interrupt that hits the
    // gateway's group does not reach it. Descriptors of ours are all close-on-exec.
    let mut child = Command::new(start.binary)
        .env_clear()
        // Where our configuration lies: no policy may show it. The jail's environment is another.
        .envs(env::var_os(CONFIG).map(|folder| (CONFIG, folder)))
        .current_dir(start.folder)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(start.log))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(io_error(format!("starting {}", start.binary.display())))?;

    let answer = timeout(LAUNCH_DEADLINE, answer(ours)).await;
    let pid = child.id();
    match answer {
        Ok(Ok(true)) => {
            tokio::spawn(reap(child));
            Ok(pid)
        }
        Ok(Ok(false)) => {
            tokio::spawn(reap(child));
            Ok(None)
        }
        Ok(Err(error)) => {
            kill(&mut child).await;
            Err(io_error("waiting for the supervisor")(error))
        }
        Err(_) => {
            kill(&mut child).await;
            Err(DriverError::Host("the supervisor did not start in time".into()))
        }
    }
}

/// Sends the line and the descriptor in one message; the socket's buffer holds both.
fn send(socket: &UnixStream, launch: &Launch, session_dir: BorrowedFd<'_>) -> io::Result<()> {
    let line = launch.to_line();
    let bytes = line.expose();
    if bytes.len() > LONGEST_LAUNCH {
        return Err(io::Error::other("the launch line is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [session_dir];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

async fn answer(socket: UnixStream) -> io::Result<bool> {
    socket.set_nonblocking(true)?;
    let mut socket = tokio::net::UnixStream::from_std(socket)?;
    let mut byte = [0];
    match socket.read(&mut byte).await {
        Ok(0) => Ok(false),
        Ok(_) => Ok(byte == [LAUNCHED]),
        // The supervisor ended with the message unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error),
    }
}

/// Collects the process's status, so that no zombie stays behind. Nothing else is done with it:
/// the lock says whether the supervisor lives, also for one that another gateway started.
async fn reap(mut child: Child) {
    match child.wait().await {
        Ok(status) => tracing::debug!(%status, "Supervisor ended"),
        Err(error) => tracing::warn!(%error, "Supervisor could not be waited for"),
    }
}

async fn kill(child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "Supervisor that did not start could not be ended");
    }
}
