//! Frames over a non-blocking stream socket, with descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{Frame, LONGEST_FRAME, MOST_DESCRIPTORS};

/// Length and count of descriptors.
const HEADER: usize = 5;

/// How many octets are asked for at once.
const CHUNK: usize = 64 * 1024;

/// How many octets may wait in an outbox; beyond it the peer does not read, and the connection is
/// given up.
const LONGEST_QUEUE: usize = 8 * LONGEST_FRAME;

/// Frames that wait to be sent.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<Outgoing>,
    queued: usize,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Outbox {
    /// Queues a message; [`Outbox::flush`] sends it.
    pub fn push<T: Frame>(&mut self, message: &T, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        if !message.takes(descriptors.len()) {
            return Err(invalid("a message with the wrong count of descriptors"));
        }
        let body = serde_json::to_vec(message)?;
        if body.len() > LONGEST_FRAME {
            return Err(invalid("a message longer than a frame"));
        }
        let length = u32::try_from(body.len()).map_err(|_| invalid("a message too long"))?;
        let count = u8::try_from(descriptors.len()).map_err(|_| invalid("too many descriptors"))?;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(count);
        bytes.extend_from_slice(&body);
        if self.queued.saturating_add(bytes.len()) > LONGEST_QUEUE {
            return Err(invalid("the other end of the control socket does not read"));
        }
        self.queued += bytes.len();
        self.frames.push_back(Outgoing { bytes, sent: 0, descriptors });
        Ok(())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Sends what the socket takes. `WouldBlock` says that some remains: call again when the
    /// socket is writable.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(frame) = self.frames.front_mut() {
            let sent = frame.send(socket)?;
            frame.sent += sent;
            self.queued = self.queued.saturating_sub(sent);
            if frame.sent >= frame.bytes.len() {
                self.frames.pop_front();
            }
        }
        Ok(())
    }
}

impl Outgoing {
    fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        let borrowed: Vec<BorrowedFd<'_>> = self.descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(invalid("too many descriptors"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = rustix::io::retry_on_intr(|| {
            sendmsg(socket, &[IoSlice::new(rest)], &mut ancillary, flags)
        })?;
        // The descriptors went with the first octet that was taken; our copies close here.
        self.descriptors.clear();
        Ok(sent)
    }
}

/// A message and the descriptors that came with it.
#[derive(Debug)]
pub struct Received<T> {
    /// The message.
    pub message: T,
    /// As many as the message may carry, see [`Frame::takes`].
    pub descriptors: Vec<OwnedFd>,
}

/// Collects frames from a socket.
#[derive(Debug)]
pub struct Inbox<T> {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    message: PhantomData<T>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), descriptors: VecDeque::new(), message: PhantomData }
    }
}

impl<T: Frame> Inbox<T> {
    /// The next message; `None` at the end of the stream. `WouldBlock`: call again when the socket
    /// is readable. `InvalidData`: the other end is broken or hostile, close the socket.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<Option<Received<T>>> {
        loop {
            if let Some(received) = self.take_frame()? {
                return Ok(Some(received));
            }
            if !self.fill(socket)? {
                return if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(invalid("a frame that was cut short"))
                };
            }
        }
    }

    fn take_frame(&mut self) -> io::Result<Option<Received<T>>> {
        let Some((header, rest)) = self.bytes.split_at_checked(HEADER) else { return Ok(None) };
        let &[a, b, c, d, count] = header else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let count = usize::from(count);
        if length > LONGEST_FRAME || count > MOST_DESCRIPTORS {
            return Err(invalid("a frame that is too large"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message: T = serde_json::from_slice(body)?;
        if !message.takes(count) || count > self.descriptors.len() {
            return Err(invalid("a frame with the wrong count of descriptors"));
        }
        let descriptors = self.descriptors.drain(..count).collect();
        self.bytes.drain(..HEADER + length);
        Ok(Some(Received { message, descriptors }))
    }

    /// Reads once; `false` at the end of the stream.
    fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let start = self.bytes.len();
        self.bytes.resize(start + CHUNK, 0);
        let got = self.read_into(socket, start);
        self.bytes.truncate(start + got.as_ref().copied().unwrap_or(0));
        Ok(got? > 0)
    }

    fn read_into(&mut self, socket: BorrowedFd<'_>, start: usize) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let buffer = self.bytes.get_mut(start..).unwrap_or_default();
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = rustix::io::retry_on_intr(|| {
            recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)
        })?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        // SECURITY: descriptors beyond what a frame may carry are dropped by the kernel and
        // reported here; without the check a peer could shift them onto another frame.
        if got.flags.contains(ReturnFlags::CTRUNC) {
            return Err(invalid("more descriptors than a frame carries"));
        }
        // A stream read ends before the octets of the next descriptor-bearing frame, so at most
        // the descriptors of one unfinished frame and one just read wait here.
        if self.descriptors.len() > 2 * MOST_DESCRIPTORS {
            return Err(invalid("descriptors that no frame claims"));
        }
        Ok(got.bytes)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
