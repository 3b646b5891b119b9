//! Netlink as this crate needs it: build requests, send them, and learn which was refused.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
};

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const F_REQUEST: u16 = 1;
pub(super) const F_ACK: u16 = 4;
pub(super) const F_CREATE: u16 = 0x400;
pub(super) const F_EXCL: u16 = 0x200;
pub(super) const F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;
/// The kernel answers a request of ours with headers and error codes only.
const ANSWER: usize = 16 * 1024;

/// The netlink protocols that are used here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    Route,
    Netfilter,
    SockDiag,
}

/// Opens a non-blocking netlink socket in the calling thread's network namespace.
pub(super) fn open(family: Family) -> io::Result<OwnedFd> {
    let protocol: Option<Protocol> = match family {
        // NETLINK_ROUTE is protocol 0, which is what `None` means.
        Family::Route => None,
        Family::Netfilter => Some(netlink::NETFILTER),
        Family::SockDiag => Some(netlink::SOCK_DIAG),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    Ok(fd)
}

/// Attributes under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Attrs(Vec<u8>);

impl Attrs {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds an attribute. Values are a few dozen bytes long, so the 16-bit length never overflows;
    /// one that would is cut and refused by the kernel.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        pad(&mut self.0);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(super) fn be16(self, kind: u16, value: u16) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn be64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn nest(self, kind: u16, inner: Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }
}

/// Encodes one message: header, the protocol's own fixed header, attributes.
pub(super) fn message(
    kind: u16,
    flags: u16,
    sequence: u32,
    fixed: &[u8],
    attrs: &Attrs,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + fixed.len() + attrs.0.len());
    let length = u32::try_from(HEADER + fixed.len() + attrs.0.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&0u32.to_ne_bytes());
    out.extend_from_slice(fixed);
    out.extend_from_slice(&attrs.0);
    pad(&mut out);
    out
}

/// The kernel's answer to a request that it refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Sequence number of the refused message, if the kernel named one.
    pub(super) sequence: Option<u32>,
    pub(super) source: io::Error,
}

impl From<io::Error> for Refused {
    fn from(source: io::Error) -> Self {
        Self { sequence: None, source }
    }
}

/// Sends `request` and waits until the kernel has acknowledged `acks` of its messages.
///
/// Netlink answers before `send` returns, so an answer that is not there will never come.
pub(super) fn transact(socket: &OwnedFd, request: &[u8], acks: usize) -> Result<(), Refused> {
    rustix::net::send(socket, request, SendFlags::empty()).map_err(io::Error::from)?;
    let mut answer = vec![0u8; ANSWER];
    let mut seen = 0;
    while seen < acks {
        let datagram = receive(socket, &mut answer)?;
        for message in Messages(datagram) {
            if message.kind != NLMSG_ERROR {
                continue;
            }
            let code =
                message.body.first_chunk::<4>().map_or(-libc::EBADMSG, |c| i32::from_ne_bytes(*c));
            if code != 0 {
                let source = io::Error::from_raw_os_error(code.saturating_neg());
                return Err(Refused { sequence: Some(message.sequence), source });
            }
            seen += 1;
        }
    }
    Ok(())
}

/// Receives one datagram that the kernel itself sent.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<&[u8]> {
    loop {
        let (length, _, from) = rustix::net::recvfrom(&socket, &mut *buffer, RecvFlags::empty())?;
        let from = from.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        // SECURITY: port 0 is the kernel. Anything else would be a process that pretends to be it.
        if from.is_some_and(|address| address.pid() == 0) {
            return Ok(buffer.get(..length).unwrap_or_default());
        }
    }
}

/// One received message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'b> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    pub(super) body: &'b [u8],
}

/// Walks the messages of one datagram, and stops at the first that does not fit.
pub(super) struct Messages<'b>(pub(super) &'b [u8]);

impl<'b> Iterator for Messages<'b> {
    type Item = Received<'b>;

    fn next(&mut self) -> Option<Received<'b>> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let message = self.0.get(..length)?;
        let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
        let body = message.get(HEADER..)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, sequence, body })
    }
}

/// Walks attributes, and stops at the first that does not fit.
pub(super) struct Attributes<'b>(pub(super) &'b [u8]);

impl<'b> Iterator for Attributes<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<(u16, &'b [u8])> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let attribute = self.0.get(..length)?;
        let kind = u16::from_ne_bytes(*attribute.get(2..)?.first_chunk()?);
        let value = attribute.get(4..)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NLA_F_NESTED, value))
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
