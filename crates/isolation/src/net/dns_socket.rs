//! Questions and answers of the captured name service.
//!
//! One socket receives what was sent to port 53 of any address, so each question carries the
//! address it was sent to, and the answer must leave from there or the client ignores it.

#![expect(unsafe_code, reason = "control messages that rustix does not have")]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use super::DNS_PORT;

/// Room for the one control message that is received or sent, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Receives one question, or `WouldBlock`: its length, who asked, and the server that was asked.
/// A question longer than `buf` is cut, as `recv` does.
pub fn recv(fd: impl AsFd, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut control = Control([0; 64]);
    let mut parts = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut header = empty_header();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &raw mut parts;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: every pointer of `header` is to a live buffer of the length beside it, and none is
    // used otherwise while the kernel writes.
    let length = unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut header, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the storage was zeroed, which is a valid value, and the kernel only overwrote it.
    let client = client(unsafe { name.assume_init_ref() })?;
    let asked = asked(&header).ok_or_else(|| invalid("a question without its destination"))?;
    Ok((length, client, SocketAddr::new(asked, DNS_PORT)))
}

/// Sends an answer to `to` that comes from `from`: the address and port 53 that `to` had asked.
pub fn send(fd: impl AsFd, buf: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
    if from.port() != DNS_PORT {
        return Err(invalid("an answer from another port than was asked"));
    }
    let mut control = Control([0; 64]);
    let mut parts = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    let mut header = empty_header();
    header.msg_iov = &raw mut parts;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Control>() as _;
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

/// The address that a received question was sent to.
fn asked(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel filled the control buffer and set its length; the buffer is aligned.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: a non-null pointer of these macros is to a whole control message inside the buffer.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: the macro only computes the address behind the header.
        let data = unsafe { libc::CMSG_DATA(message) };
        match (message.cmsg_level, message.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds::<libc::in_pktinfo>(message) => {
                // SAFETY: the message is long enough for the structure; it may be unaligned.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                return Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds::<libc::in6_pktinfo>(message) => {
                // SAFETY: the message is long enough for the structure; it may be unaligned.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
            }
            _ => {}
        }
        // SAFETY: `message` is a control message of `header`.
        next = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// Whether a control message is long enough for a `T`. Its length has another type on musl.
fn holds<T>(message: &libc::cmsghdr) -> bool {
    // SAFETY: the macro only computes.
    message.cmsg_len >= unsafe { libc::CMSG_LEN(size_of::<T>() as libc::c_uint) } as _
}

/// Makes `value` the only control message of `header`, whose control buffer has room for it.
fn put<T>(header: &mut libc::msghdr, level: i32, kind: i32, value: T) {
    // SAFETY: the macro only computes.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<T>() as libc::c_uint) } as _;
    // SAFETY: the control buffer is aligned, zeroed, 64 bytes long, and both structures that are
    // put into it need 40 at most; so the header and the data behind it are inside.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}

fn client(name: &libc::sockaddr_storage) -> io::Result<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure this is, and the storage holds any of them.
            let v4 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says which structure this is, and the storage holds any of them.
            let v6 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Ok(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => Err(invalid("a question from no Internet address")),
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

/// A message header that points nowhere. It has private padding on musl, hence no literal.
fn empty_header() -> libc::msghdr {
    // SAFETY: null pointers and zero lengths are valid values of every field.
    unsafe { std::mem::zeroed() }
}

fn zeroed_pktinfo4() -> libc::in_pktinfo {
    let nowhere = libc::in_addr { s_addr: 0 };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: nowhere, ipi_addr: nowhere }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
