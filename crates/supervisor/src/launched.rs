//! What the driver said over the launch socket, and the answer to it.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use openshell_driver::launch::{LAUNCHED, LONGEST_LAUNCH, Launch};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::stdio::{dup2_stdin, stdin};
use zeroize::Zeroize;

/// The launch socket.
#[derive(Debug)]
pub(crate) struct Launched {
    driver: OwnedFd,
}

impl Launched {
    /// Takes the socket from standard input and puts /dev/null in its place.
    pub(crate) fn open() -> io::Result<Self> {
        let driver = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
        if !FileType::from_raw_mode(fstat(&driver)?.st_mode).is_socket() {
            return Err(io::Error::other("a supervisor is started by a driver, not by hand"));
        }
        let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        dup2_stdin(&null)?;
        Ok(Self { driver })
    }

    /// Tells the driver that the lock is held.
    pub(crate) fn confirm(&self) -> io::Result<()> {
        send(&self.driver, &[LAUNCHED], SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Reads the message, which waits in the socket since before we were started.
    pub(crate) fn receive(self) -> io::Result<(Launch, OwnedFd)> {
        let mut bytes = [0_u8; LONGEST_LAUNCH];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(
            &self.driver,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        )?;
        let session_dir = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let launch = Launch::from_line(bytes.get(..got.bytes).unwrap_or_default());
        bytes.zeroize();
        match (launch, session_dir) {
            (Some(launch), Some(session_dir)) => Ok((launch, session_dir)),
            _ => Err(io::Error::other("there is no launch line of this version")),
        }
    }
}
