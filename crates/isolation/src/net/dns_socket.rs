//! Questions and answers of the captured name service.
//!
//! One socket receives what was sent to port 53 of any address, so each question carries the
//! address it was sent to, and the answer must leave from there or the client ignores it.

#![expect(unsafe_code, reason = "control messages that rustix does not have")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use super::DNS_PORT;
use super::message::{Room, empty_header, invalid, receive};

/// Receives one question, or `WouldBlock`: its length, who asked, and the server that was asked.
/// A question longer than `buf` is cut, as `recv` does.
pub fn recv(fd: impl AsFd, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
    let mut asked = None;
    let (length, client) = receive(fd, buf, |control| {
        let v4 = control
            .value(libc::IPPROTO_IP, libc::IP_PKTINFO)
            .map(|info: libc::in_pktinfo| Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)));
        let v6 = control
            .value(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
            .map(|info: libc::in6_pktinfo| Ipv6Addr::from(info.ipi6_addr.s6_addr));
        asked = asked.or(v4.map(IpAddr::V4)).or(v6.map(IpAddr::V6));
    })?;
    let asked = asked.ok_or_else(|| invalid("a question without its destination"))?;
    Ok((length, client, SocketAddr::new(asked, DNS_PORT)))
}

/// Sends an answer to `to` that comes from `from`: the address and port 53 that `to` had asked.
pub fn send(fd: impl AsFd, buf: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
    if from.port() != DNS_PORT {
        return Err(invalid("an answer from another port than was asked"));
    }
    let mut control = Room([0; 128]);
    let mut parts = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    let mut header = empty_header();
    header.msg_iov = &raw mut parts;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Room>() as _;
    let (mut name4, mut name6);
    match (from.ip(), to) {
        (IpAddr::V4(from), SocketAddr::V4(to)) => {
            let mut info = zeroed_pktinfo4();
            info.ipi_spec_dst.s_addr = u32::from(from).to_be();
            put(&mut header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            name4 = sockaddr4(to);
            header.msg_name = (&raw mut name4).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        (IpAddr::V6(from), SocketAddr::V6(to)) => {
            let address = libc::in6_addr { s6_addr: from.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            put(&mut header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            name6 = sockaddr6(to);
            header.msg_name = (&raw mut name6).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        }
        _ => return Err(invalid("an answer to an address of another family")),
    }
    // SAFETY: every pointer of `header` is to a live buffer of the length beside it; the kernel
    // only reads them.
    let length =
        unsafe { libc::sendmsg(fd.as_fd().as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// Makes `value` the only control message of `header`, whose control buffer has room for it.
fn put<T>(header: &mut libc::msghdr, level: i32, kind: i32, value: T) {
    // SAFETY: the macro only computes.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<T>() as libc::c_uint) } as _;
    // SAFETY: the control buffer is aligned, zeroed, 128 bytes long, and both structures that are
    // put into it need 40 at most; so the header and the data behind it are inside.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}

fn sockaddr4(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn sockaddr6(address: SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: address.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
        sin6_scope_id: address.scope_id(),
    }
}

fn zeroed_pktinfo4() -> libc::in_pktinfo {
    let nowhere = libc::in_addr { s_addr: 0 };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: nowhere, ipi_addr: nowhere }
}
