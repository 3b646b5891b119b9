//! The jail's captured sockets, as the egress takes them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openshell_egress::{Datagram, DnsSocket, Report, UdpSocket};
use openshell_isolation::net::udp_socket::{self, Received, UdpSockets};
use openshell_isolation::net::{dns_socket, nflog};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use crate::bypass::{Counts, Target};
use crate::journal::Journal;
use crate::ready::register;

/// A transparent listener.
pub(crate) fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// The socket on which captured questions arrive.
pub(crate) struct Questions {
    socket: AsyncFd<OwnedFd>,
}

impl Questions {
    /// Over a captured datagram socket.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: register(socket)? })
    }
}

#[async_trait]
impl DnsSocket for Questions {
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| dns_socket::recv(socket.get_ref(), buffer)) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    async fn send(&self, datagram: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<()> {
        loop {
            let mut ready = self.socket.writable().await?;
            let sent =
                ready.try_io(|socket| dns_socket::send(socket.get_ref(), datagram, from, to));
            match sent {
                Ok(result) => return result.map(|_length| ()),
                Err(_would_block) => {}
            }
        }
    }
}

/// The sockets for captured datagrams.
pub(crate) struct Datagrams {
    receive: AsyncFd<OwnedFd>,
    send: OwnedFd,
}

impl Datagrams {
    /// Over the sockets of one family.
    pub(crate) fn new(sockets: UdpSockets) -> io::Result<Self> {
        let UdpSockets { receive, send } = sockets;
        Ok(Self { receive: register(receive)?, send })
    }
}

#[async_trait]
impl UdpSocket for Datagrams {
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        loop {
            let mut ready = self.receive.readable().await?;
            match ready.try_io(|socket| udp_socket::recv(socket.get_ref(), buffer)) {
                Ok(result) => {
                    let Received { length, from, to, mark } = result?;
                    return Ok(Datagram { length, from, to, mark });
                }
                Err(_would_block) => {}
            }
        }
    }

    fn send(&self, payload: &[u8], ends: (SocketAddr, SocketAddr)) -> io::Result<()> {
        udp_socket::send(&self.send, payload, ends)
    }

    fn refuse(&self, length: usize, ends: (SocketAddr, SocketAddr)) -> io::Result<()> {
        udp_socket::refuse(&self.send, length, ends)
    }
}

/// Counts refused packets and tells them once a second; ends with an error only. The datagram of
/// the self-test is not told: the agent did not send it.
pub(crate) async fn watch_refused(socket: OwnedFd, journal: Arc<Journal>) -> io::Result<()> {
    let socket = register(socket)?;
    let mut buffer = vec![0; nflog::BUFFER];
    let mut counts = Counts::default();
    let mut is_self_test_told = false;
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ready = socket.readable() => {
                let read = ready?.try_io(|socket| nflog::recv(socket.get_ref(), &mut buffer));
                for packet in read.unwrap_or_else(|_would_block| Ok(Vec::new()))? {
                    let target = (packet.protocol, packet.dst, packet.port.unwrap_or(0));
                    if target == SELF_TEST && !is_self_test_told {
                        is_self_test_told = true;
                        continue;
                    }
                    counts.add(target);
                }
            }
            _ = tick.tick() => counts.tell(&*journal as &dyn Report),
        }
    }
}

const UDP: u8 = 17;
const SELF_TEST: Target = (UDP, IpAddr::V4(*nflog::SELF_TEST.ip()), nflog::SELF_TEST.port());

/// The addresses under which the egress answers inside.
pub(crate) const OWN: [IpAddr; 2] =
    [IpAddr::V4(openshell_isolation::net::JAIL_V4), IpAddr::V6(openshell_isolation::net::JAIL_V6)];

/// What proxy variables of the jail say.
pub(crate) fn proxy_url() -> String {
    let address: Ipv4Addr = openshell_isolation::net::JAIL_V4;
    format!("http://{address}:{}", openshell_isolation::net::PROXY_PORT)
}
