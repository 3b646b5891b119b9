//! Receiving a datagram with what the kernel says about it beside.

#![expect(unsafe_code, reason = "control messages that rustix does not have")]

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

/// Room for a few control messages, aligned as the kernel wants it.
#[repr(C, align(8))]
pub(super) struct Room(pub(super) [u8; 128]);

/// One control message of a datagram that was received.
pub(super) struct Control<'a>(&'a libc::cmsghdr);

/// Types that are plain integers, of which any bytes are a value.
pub(super) trait Plain: Copy {}

impl Plain for libc::in_pktinfo {}
impl Plain for libc::in6_pktinfo {}
impl Plain for libc::sockaddr_in {}
impl Plain for libc::sockaddr_in6 {}
impl Plain for u32 {}

impl Control<'_> {
    /// Its value, if it is of this level and kind, and long enough.
    pub(super) fn value<T: Plain>(&self, level: i32, kind: i32) -> Option<T> {
        let is_it = self.0.cmsg_level == level && self.0.cmsg_type == kind;
        if !is_it || !holds::<T>(self.0) {
            return None;
        }
        // SAFETY: the macro only computes the address behind the header; the message is long enough
        // for the structure, which may be unaligned and is valid with any bytes.
        Some(unsafe { libc::CMSG_DATA(self.0).cast::<T>().read_unaligned() })
    }
}

/// Receives one datagram, or `WouldBlock`: its length, and who sent it; `look` sees each control
/// message. A datagram longer than `buf` is cut.
pub(super) fn receive(
    fd: impl AsFd,
    buf: &mut [u8],
    mut look: impl FnMut(&Control<'_>),
) -> io::Result<(usize, SocketAddr)> {
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut control = Room([0; 128]);
    let mut parts = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut header = empty_header();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &raw mut parts;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Room>() as _;
    // SAFETY: every pointer of `header` is to a live buffer of the length beside it, and none is
    // used otherwise while the kernel writes.
    let length = unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut header, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the storage was zeroed, which is a valid value, and the kernel only overwrote it.
    let sender = sender(unsafe { name.assume_init_ref() })?;
    // SAFETY: the kernel filled the control buffer and set its length; the buffer is aligned.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: a non-null pointer of these macros is to a whole control message inside the buffer.
    while let Some(message) = unsafe { next.as_ref() } {
        look(&Control(message));
        // SAFETY: `message` is a control message of `header`.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, message) };
    }
    Ok((length, sender))
}

/// Whether a control message is long enough for a `T`. Its length has another type on musl.
fn holds<T>(message: &libc::cmsghdr) -> bool {
    // SAFETY: the macro only computes.
    message.cmsg_len >= unsafe { libc::CMSG_LEN(size_of::<T>() as libc::c_uint) } as _
}

fn sender(name: &libc::sockaddr_storage) -> io::Result<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure this is, and the storage holds any of them.
            Ok(from_v4(unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() }).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says which structure this is, and the storage holds any of them.
            Ok(from_v6(unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() }).into())
        }
        _ => Err(invalid("a datagram from no Internet address")),
    }
}

/// The kernel's form of an address as ours.
pub(super) fn from_v4(v4: &libc::sockaddr_in) -> SocketAddrV4 {
    let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(v4.sin_port))
}

/// The same of IPv6.
pub(super) fn from_v6(v6: &libc::sockaddr_in6) -> SocketAddrV6 {
    let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
    SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id)
}

/// A message header that points nowhere. It has private padding on musl, hence no literal.
pub(super) fn empty_header() -> libc::msghdr {
    // SAFETY: null pointers and zero lengths are valid values of every field.
    unsafe { std::mem::zeroed() }
}

pub(super) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
