//! What init tells its supervisor while the jail is built: datagrams over a socket pair that is
//! gone before the first command runs.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::report::Report;

/// The longest message: a report of a few dozen lines.
const LONGEST: usize = 128 * 1024;

/// How many descriptors a message may carry.
const MOST_DESCRIPTORS: usize = 16;

/// How long a step of init's may take. A machine that is this slow does not get a jail.
const DEADLINE: Duration = Duration::from_secs(30);

/// What init says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Notice {
    /// The jail stands and is sealed; its descriptors come along, in the order of their names.
    Sealed {
        /// What each descriptor is.
        parts: Vec<Part>,
    },
    /// The self-test passed, and init serves.
    Ready {
        /// What is in force.
        report: Box<Report>,
    },
    /// The jail cannot be built.
    Failed(Box<BuildError>),
}

/// A descriptor that init hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Root,
    Proc,
    NetNs,
    Tcp4,
    Tcp6,
    Dns4,
    Dns6,
    Udp4,
    Udp6,
    Raw4,
    Raw6,
    Diag,
    Nflog,
    SeccompListener,
}

/// One end of the socket pair.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// The supervisor's end and init's.
pub(super) fn channel() -> io::Result<(Channel, Channel)> {
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    Ok((Channel(ours), Channel(theirs)))
}

impl Channel {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Tells init that its id maps are written.
    pub(super) fn release(&self) -> io::Result<()> {
        rustix::io::write(&self.0, b"g")?;
        Ok(())
    }

    /// Waits for [`Channel::release`].
    pub(super) fn await_release(&self) -> io::Result<()> {
        let mut octet = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut octet))? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }

    pub(super) fn send(&self, notice: &Notice, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(notice)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        sendmsg(&self.0, &[IoSlice::new(&body)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next notice. An end of the stream means that init died without a word.
    pub(super) fn receive(&self) -> io::Result<(Notice, Vec<OwnedFd>)> {
        self.await_readable()?;
        let mut body = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::io::retry_on_intr(|| {
            let mut buffer = [IoSliceMut::new(&mut body)];
            recvmsg(&self.0, &mut buffer, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        if got.bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the jail's init died"));
        }
        let descriptors = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let notice = serde_json::from_slice(body.get(..got.bytes).unwrap_or_default())?;
        Ok((notice, descriptors))
    }

    fn await_readable(&self) -> io::Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
