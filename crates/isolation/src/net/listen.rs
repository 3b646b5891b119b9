//! The sockets that captured traffic lands on.

#![expect(unsafe_code, reason = "socket options that rustix does not have")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::udp_socket::UdpSockets;
use super::{ANSWER_MARK, BACKLOG, DNS_PORT, NetError, PROXY_PORT};

/// A listener for every TCP connection of one family.
///
/// It is bound to the jail's address, not to the wildcard: loopback stays free for the jail's own
/// services, and a program that binds the wildcard at this port is told that it is taken.
pub(super) fn tcp(address: IpAddr, what: &'static str) -> Result<OwnedFd, NetError> {
    let make = || -> io::Result<OwnedFd> {
        let fd = transparent(address, SocketType::STREAM)?;
        rustix::net::bind(&fd, &SocketAddr::new(address, PROXY_PORT))?;
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(fd)
    };
    make().map_err(|source| NetError::Socket { what, source })
}

/// A socket for every DNS question of one family, which learns the address that was asked.
pub(super) fn dns(address: IpAddr, what: &'static str) -> Result<OwnedFd, NetError> {
    let make = || -> io::Result<OwnedFd> {
        let fd = transparent(address, SocketType::DGRAM)?;
        match address {
            IpAddr::V4(_) => enable(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO)?,
            IpAddr::V6(_) => enable(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?,
        }
        rustix::net::bind(&fd, &SocketAddr::new(address, DNS_PORT))?;
        Ok(fd)
    };
    make().map_err(|source| NetError::Socket { what, source })
}

/// The sockets for datagrams of one family to the pool of UDP.
pub(super) fn udp(address: IpAddr, what: &'static str) -> Result<UdpSockets, NetError> {
    let make = || -> io::Result<UdpSockets> {
        let receive = transparent(address, SocketType::DGRAM)?;
        match enable(&receive, libc::SOL_SOCKET, libc::SO_RCVMARK) {
            // Before 5.19: no sender can be told, and so every datagram will be refused.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            result => result?,
        }
        match address {
            IpAddr::V4(_) => enable(&receive, libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR)?,
            IpAddr::V6(_) => enable(&receive, libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR)?,
        }
        rustix::net::bind(&receive, &SocketAddr::new(address, PROXY_PORT))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Packets of this protocol come with their header, and nothing is received.
        let send =
            rustix::net::socket_with(family(address), SocketType::RAW, flags, Some(ipproto::RAW))?;
        set(&send, libc::SOL_SOCKET, libc::SO_MARK, ANSWER_MARK.cast_signed())?;
        Ok(UdpSockets { receive, send })
    };
    make().map_err(|source| NetError::Socket { what, source })
}

/// A socket that may receive for, and answer from, addresses that are not its own.
fn transparent(address: IpAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(family(address), kind, flags, None)?;
    match address {
        IpAddr::V4(_) => enable(&fd, libc::IPPROTO_IP, libc::IP_TRANSPARENT)?,
        IpAddr::V6(_) => {
            sockopt::set_ipv6_v6only(&fd, true)?;
            enable(&fd, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT)?;
        }
    }
    Ok(fd)
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Switches a boolean socket option on.
pub(super) fn enable(fd: &OwnedFd, level: i32, option: i32) -> io::Result<()> {
    set(fd, level, option, 1)
}

/// Sets a socket option that is a number.
fn set(fd: &OwnedFd, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call; the kernel only
    // reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
