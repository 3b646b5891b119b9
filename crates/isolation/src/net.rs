//! The capture: a network namespace in which every address of the world is local and every
//! connection lands on us.
//!
//! The namespace has nothing but `lo`. Routes make every address local to it, one nftables table
//! hands each TCP connection, each DNS question and each datagram to the pool of UDP to our sockets, and refuses
//! everything else at once. There is no veth, no bridge, no conntrack, no mark and no `ip rule`, so nothing here needs
//! a privilege outside of the jail's own user namespace. The sockets outlive the privileges they
//! were made with: they are handed to the supervisor, and the jail keeps none.

mod link;
mod listen;
mod message;
mod netlink;
mod nft;
mod packet;

pub mod dns_socket;
pub mod nflog;
pub mod udp_socket;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;

use udp_socket::UdpSockets;

/// The IPv4 address of the jail, of its name server and of its proxy.
pub const JAIL_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The IPv6 address of the jail. The synthetic pools are other /64 of the same ULA prefix.
pub const JAIL_V6: Ipv6Addr = Ipv6Addr::new(0xfd23, 0x6f70, 0x656e, 0, 0, 0, 0, 1);

/// First half of the synthetic IPv4 addresses to which UDP is spoken: 198.19.0.0/16. Which name has
/// one of them is the egress' matter.
pub const UDP_POOL_V4: [u8; 2] = [198, 19];

/// The same in IPv6: fd23:6f70:656e:2::/64.
pub const UDP_POOL_V6: [u8; 8] = [0xfd, 0x23, 0x6f, 0x70, 0x65, 0x6e, 0, 2];

/// The mark of answers from the pools. Sockets of the jail get every other, see [`crate::identity`].
pub(crate) const ANSWER_MARK: u32 = u32::MAX;

/// Port of the explicit proxy, and of the listener that captured connections land on.
pub const PROXY_PORT: u16 = 3128;

/// Port of the name service, whichever server was asked.
pub const DNS_PORT: u16 = 53;

/// What the proxy variables of the agent name. A connection accepted with this local address is
/// one to the explicit proxy; with any other it was captured.
pub const PROXY_V4: SocketAddr = SocketAddr::V4(SocketAddrV4::new(JAIL_V4, PROXY_PORT));

/// The same for IPv6.
pub const PROXY_V6: SocketAddr = SocketAddr::V6(SocketAddrV6::new(JAIL_V6, PROXY_PORT, 0, 0));

/// The nftables log group that refused packets are reported to.
pub const LOG_GROUP: u16 = 1;

/// Connections that may wait to be accepted. The kernel cuts it to the namespace's `somaxconn`
/// (4096 by default); a full queue makes further clients retry their SYN.
const BACKLOG: i32 = 4096;

/// The sockets through which everything leaves the jail. All are non-blocking and close-on-exec.
#[derive(Debug)]
pub struct Listeners {
    /// Listens for every IPv4 connection; an accepted socket's own address is what was dialled.
    pub tcp4: OwnedFd,
    /// The same for IPv6; absent on a kernel without it, where nothing in the jail can speak it.
    pub tcp6: Option<OwnedFd>,
    /// Receives every IPv4 DNS question; see [`dns_socket`].
    pub dns4: OwnedFd,
    /// The same for IPv6.
    pub dns6: Option<OwnedFd>,
    /// For IPv4 datagrams to the pool of UDP; see [`udp_socket`].
    pub udp4: UdpSockets,
    /// The same for IPv6.
    pub udp6: Option<UdpSockets>,
    /// A `NETLINK_SOCK_DIAG` socket of the jail's network namespace.
    pub diag: OwnedFd,
    /// Reports refused packets; see [`nflog`].
    pub nflog: OwnedFd,
}

/// Why the capture could not be set up. The jail must not be started after any of these.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A socket that the capture needs could not be made.
    #[error("could not make the {what} socket")]
    Socket {
        /// Which socket.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to change the loopback interface, its addresses or its routes.
    #[error("could not {step}")]
    Link {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel has no nf_tables, or lacks an expression that the table needs.
    #[error("the kernel refused the capture rules at {step}")]
    Rules {
        /// Which part of the table was refused.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Makes the calling process's network namespace the jail's, and returns the sockets that
/// everything in it lands on.
///
/// The namespace must be fresh (nothing but a `lo` that is down) and the caller must hold
/// `CAP_NET_ADMIN`, `CAP_NET_BIND_SERVICE` and `CAP_NET_RAW` over it.
pub fn configure() -> Result<Listeners, NetError> {
    let has_v6 = link::configure()?;
    let listeners = Listeners {
        tcp4: listen::tcp(IpAddr::V4(JAIL_V4), "tcp4")?,
        tcp6: has_v6.then(|| listen::tcp(IpAddr::V6(JAIL_V6), "tcp6")).transpose()?,
        dns4: listen::dns(IpAddr::V4(JAIL_V4), "dns4")?,
        dns6: has_v6.then(|| listen::dns(IpAddr::V6(JAIL_V6), "dns6")).transpose()?,
        udp4: listen::udp(IpAddr::V4(JAIL_V4), "udp4")?,
        udp6: has_v6.then(|| listen::udp(IpAddr::V6(JAIL_V6), "udp6")).transpose()?,
        diag: netlink::open(netlink::Family::SockDiag)
            .map_err(|source| NetError::Socket { what: "sock_diag", source })?,
        nflog: nflog::open(LOG_GROUP)
            .map_err(|source| NetError::Socket { what: "nflog", source })?,
    };
    nft::load(has_v6)?;
    Ok(listeners)
}
