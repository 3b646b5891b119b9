//! Datagrams for the synthetic addresses of names that UDP may be spoken with.
//!
//! One socket receives them, whatever their port. An answer has to leave from the address and port
//! that were addressed, which no socket of ours is bound to, so it is put together as a packet; the
//! sockets for that could be made only while the jail was built.
//!
//! Who sent a datagram is told by its mark. The addresses do not tell: every address is local, so
//! a program can send from another's address and port. Only the identifier can mark a socket of
//! the jail, and it does so when that is connected.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendFlags, sendto};

use super::message::{from_v4, from_v6, invalid, receive};
use super::packet::{self, Ends};

/// Longest payload that is sent, in bytes.
pub const LONGEST: usize = packet::LONGEST;

/// The sockets of one family. All are non-blocking and close-on-exec.
#[derive(Debug)]
pub struct UdpSockets {
    /// Receives every datagram for the pool of UDP.
    pub receive: OwnedFd,
    /// Sends whole packets.
    pub send: OwnedFd,
}

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer; what is longer was cut.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it was addressed to.
    pub to: SocketAddr,
    /// The mark of the socket that sent it: 0 if it has none, or the kernel does not tell (before
    /// 5.19).
    pub mark: u32,
}

/// Receives one datagram, or `WouldBlock`.
pub fn recv(receiver: impl AsFd, buf: &mut [u8]) -> io::Result<Received> {
    let (mut to, mut mark) = (None, 0);
    let (length, from) = receive(receiver, buf, |control| {
        if let Some(v4) = control.value(libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) {
            to = Some(SocketAddr::V4(from_v4(&v4)));
        } else if let Some(v6) = control.value(libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) {
            to = Some(SocketAddr::V6(from_v6(&v6)));
        } else if let Some(value) = control.value(libc::SOL_SOCKET, libc::SO_MARK) {
            mark = value;
        }
    })?;
    let to = to.ok_or_else(|| invalid("a datagram without its destination"))?;
    Ok(Received { length, from, to, mark })
}

/// Sends `payload` to `to`, as if it came from `from`.
pub fn send(
    sender: impl AsFd,
    payload: &[u8],
    (from, to): (SocketAddr, SocketAddr),
) -> io::Result<()> {
    let ends = Ends::new(from, to).ok_or_else(|| invalid("an answer to another family"))?;
    let packet = packet::datagram(ends, payload).ok_or_else(|| invalid("a datagram too long"))?;
    send_packet(sender, &packet, to)
}

/// Tells `client` that an administrator forbids its datagram of `length` bytes to `server`.
pub fn refuse(
    sender: impl AsFd,
    length: usize,
    (client, server): (SocketAddr, SocketAddr),
) -> io::Result<()> {
    let packet = packet::prohibited(client, server, length)
        .ok_or_else(|| invalid("a refusal to another family"))?;
    send_packet(sender, &packet, client)
}

fn send_packet(sender: impl AsFd, packet: &[u8], to: SocketAddr) -> io::Result<()> {
    // The port of a raw socket is its protocol, which is in the packet.
    let to = match to {
        SocketAddr::V4(to) => SocketAddr::V4(SocketAddrV4::new(*to.ip(), 0)),
        SocketAddr::V6(to) => SocketAddr::V6(SocketAddrV6::new(*to.ip(), 0, 0, 0)),
    };
    sendto(sender, packet, SendFlags::DONTWAIT, &to)?;
    Ok(())
}
