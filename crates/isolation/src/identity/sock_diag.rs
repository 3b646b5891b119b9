//! Whose socket is at the other end of a captured connection: exact look-ups by `sock_diag`.
//!
//! A 4-tuple can change hands: a process connects, resets, and another one binds the same port and
//! connects again (J13). [`peer_of`] therefore looks the peer up first, and asks **afterwards**
//! whether the accepted socket is still in the state that fits. If it is, nothing has changed hands
//! in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, getpeername, getsockname, recv, send};

use super::sys;

/// The socket at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its cookie.
    pub cookie: u64,
    /// Its state at the look-up.
    pub state: TcpState,
}

/// A state of a TCP socket, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpState(u8);

impl TcpState {
    /// Connected.
    pub const ESTABLISHED: Self = Self(1);
    /// Closed by itself, which the peer has not acknowledged yet.
    pub const FIN_WAIT1: Self = Self(4);
    /// Closed by itself, which the peer has acknowledged.
    pub const FIN_WAIT2: Self = Self(5);
    /// Not connected.
    pub const CLOSE: Self = Self(7);
    /// Closed by its peer.
    pub const CLOSE_WAIT: Self = Self(8);
    /// Waiting for connections.
    pub const LISTEN: Self = Self(10);

    /// The state of `socket`.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        sys::tcp_state(socket).map(Self)
    }
}

/// Whether an accepted socket in state `ours` and a peer in state `theirs` are the two ends of one
/// connection: both open, or the peer has already sent all that it will send.
pub fn fits(ours: TcpState, theirs: TcpState) -> bool {
    (ours, theirs) == (TcpState::ESTABLISHED, TcpState::ESTABLISHED)
        // While ours is there no other connection of the same four numbers can be made.
        || (ours, theirs) == (TcpState::CLOSE_WAIT, TcpState::FIN_WAIT1)
        || (ours, theirs) == (TcpState::CLOSE_WAIT, TcpState::FIN_WAIT2)
}

/// The cookie of the socket at the other end of `accepted`, `None` when there is none that fits.
///
/// `diag` as in [`cookie_of`].
pub fn peer_of(diag: BorrowedFd<'_>, accepted: impl AsFd) -> io::Result<Option<u64>> {
    let accepted = accepted.as_fd();
    let client = match getpeername(accepted) {
        Ok(Some(client)) => SocketAddr::try_from(client)?,
        // Reset before it was accepted.
        Ok(None) | Err(Errno::NOTCONN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let server = SocketAddr::try_from(getsockname(accepted)?)?;
    let Some(peer) = cookie_of(diag, client, server)? else { return Ok(None) };
    // SECURITY: after the look-up, not before (J13).
    let ours = TcpState::of(accepted)?;
    Ok(fits(ours, peer.state).then_some(peer.cookie))
}

/// Looks up the socket whose own address is `client` and whose peer is `server`.
///
/// `diag` is a `NETLINK_SOCK_DIAG` socket that was made inside of the jail's network namespace. It
/// carries one question at a time: two threads that share it have to take turns.
pub fn cookie_of(
    diag: BorrowedFd<'_>,
    client: SocketAddr,
    server: SocketAddr,
) -> io::Result<Option<Peer>> {
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let request = Request::new(client, server)?;
    send(diag, &request.encode(sequence), SendFlags::empty())?;
    loop {
        let mut reply = [0; 1024];
        // The kernel has answered before send(2) returned.
        let (length, _) = recv(diag, reply.as_mut_slice(), RecvFlags::DONTWAIT)?;
        let mut reply = Bytes(reply.get(..length).unwrap_or_default());
        let header = Header::decode(&mut reply)?;
        if header.sequence == sequence {
            return request.answer(&header, reply);
        }
        // An answer to a question whose asker gave up; the socket holds no more than a few.
    }
}

/// Tells the answers of successive questions apart.
static SEQUENCE: AtomicU32 = AtomicU32::new(1);

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const HEADER: u32 = 16;
const REQUEST: u32 = 56;
const NO_COOKIE: [u8; 8] = [0xff; 8];

struct Header {
    kind: u16,
    sequence: u32,
}

impl Header {
    fn decode(bytes: &mut Bytes<'_>) -> io::Result<Self> {
        let [_length, rest] = [bytes.take::<4>()?, bytes.take::<4>()?];
        let [low, high, ..] = rest;
        let sequence = u32::from_ne_bytes(bytes.take()?);
        let _port = bytes.take::<4>()?;
        Ok(Self { kind: u16::from_ne_bytes([low, high]), sequence })
    }
}

struct Request {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
}

impl Request {
    fn new(client: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        // A socket of the v6 family that speaks v4 is found under its v4 address.
        let [client, server] = [client, server].map(|end| (end.ip().to_canonical(), end.port()));
        if client.0.is_ipv4() != server.0.is_ipv4() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { client, server })
    }

    fn encode(&self, sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((HEADER + REQUEST).to_ne_bytes());
        out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        // No dump: one socket or none.
        out.extend(NLM_F_REQUEST.to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend(0u32.to_ne_bytes());
        // Family, TCP, no extensions, padding; then all states.
        out.extend([if self.client.0.is_ipv4() { INET } else { INET6 }, 6, 0, 0]);
        out.extend(u32::MAX.to_ne_bytes());
        out.extend(self.client.1.to_be_bytes());
        out.extend(self.server.1.to_be_bytes());
        out.extend(sixteen(self.client.0));
        out.extend(sixteen(self.server.0));
        out.extend(0u32.to_ne_bytes());
        out.extend(NO_COOKIE);
        out
    }

    fn answer(&self, header: &Header, mut body: Bytes<'_>) -> io::Result<Option<Peer>> {
        if header.kind == NLMSG_ERROR {
            let errno = i32::from_ne_bytes(body.take()?).wrapping_neg();
            let absent = errno == libc::ENOENT;
            return if absent { Ok(None) } else { Err(io::Error::from_raw_os_error(errno)) };
        }
        if header.kind != SOCK_DIAG_BY_FAMILY {
            return Err(malformed());
        }
        let [family, state, _timer, _retransmits] = body.take()?;
        let client_port = u16::from_be_bytes(body.take()?);
        let server_port = u16::from_be_bytes(body.take()?);
        let client = (address(family, body.take()?), client_port);
        let server = (address(family, body.take()?), server_port);
        let _interface = body.take::<4>()?;
        // Two halves of 32 bits, the lower first.
        let low = u32::from_ne_bytes(body.take()?);
        let high = u32::from_ne_bytes(body.take()?);
        // SECURITY: without such a connection the kernel answers with a listener of that port.
        if client != self.client || server != self.server {
            return Ok(None);
        }
        let cookie = u64::from(high) << 32 | u64::from(low);
        Ok(Some(Peer { cookie, state: TcpState(state) }))
    }
}

const INET: u8 = 2;
const INET6: u8 = 10;

/// An address as `inet_diag_sockid` has it.
fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    match family {
        INET => Ipv4Addr::new(a, b, c, d).into(),
        _ => IpAddr::from(Ipv6Addr::from(bytes)).to_canonical(),
    }
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed sock_diag answer")
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use rustix::net::{AddressFamily, SocketType, netlink, socket};

    use super::*;

    #[test]
    fn j13_ends_that_do_not_fit_are_not_of_one_connection() {
        let kind = SocketType::RAW;
        let diag = socket(AddressFamily::NETLINK, kind, Some(netlink::SOCK_DIAG)).expect("diag");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let to = listener.local_addr().expect("bound");
        let look = |accepted: &TcpStream| peer_of(diag.as_fd(), accepted).expect("a look-up");

        let client = TcpStream::connect(to).expect("connects");
        let (accepted, _) = listener.accept().expect("accepted");
        assert!(look(&accepted).is_some());
        client.shutdown(Shutdown::Write).expect("half closed");
        assert!(look(&accepted).is_some());

        // Ours has said all before it was identified, which no accepted connection has.
        let other = TcpStream::connect(to).expect("connects");
        let (accepted, _) = listener.accept().expect("accepted");
        accepted.shutdown(Shutdown::Write).expect("half closed");
        assert_eq!(look(&accepted), None);
        drop((client, other));
    }
}
