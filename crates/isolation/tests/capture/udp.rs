//! Datagrams for the names that UDP may be spoken with.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::Command;

use openshell_isolation::net::Listeners;
use openshell_isolation::net::udp_socket::{self, LONGEST, UdpSockets};
use openshell_testkit::finish;
use socket2::SockRef;

use crate::lab::{PATIENCE, address, jailed, patiently};

/// One of each pool.
const POOL: [&str; 4] =
    ["198.19.0.0:443", "198.19.255.255:1", "[fd23:6f70:656e:2::100]:443", "198.19.1.2:3128"];

pub fn a_datagram_for_the_pool_lands_and_is_answered_from_where_it_went() {
    jailed(|listeners| {
        for to in POOL.map(address) {
            let sockets = sockets(&listeners, to);
            let mut buffer = vec![0; 65_536];
            for is_connected in [true, false] {
                let client = client(to);
                for payload in [&b"question"[..], b"", &[7; LONGEST]] {
                    if is_connected {
                        client.connect(to).unwrap();
                        client.send(payload).unwrap();
                    } else {
                        client.send_to(payload, to).unwrap();
                    }
                    let received = patiently(|| udp_socket::recv(&sockets.receive, &mut buffer));
                    assert_eq!((received.to, received.mark), (to, 0));
                    assert_eq!(received.from.port(), client.local_addr().unwrap().port());
                    assert_eq!(&buffer[..received.length], payload);
                    udp_socket::send(&sockets.send, payload, (to, received.from)).unwrap();
                    let (length, server) = client.recv_from(&mut buffer).unwrap();
                    assert_eq!((&buffer[..length], server), (payload, to));
                }
            }
        }
    });
}

pub fn the_mark_of_a_socket_tells_it_from_one_that_sends_from_its_address() {
    jailed(|listeners| {
        let to = address(POOL[0]);
        let sockets = sockets(&listeners, to);
        let mut buffer = [0; 16];
        let marked = client(to);
        SockRef::from(&marked).set_mark(4_000_000_001).unwrap();
        marked.connect(to).unwrap();
        let own = marked.local_addr().unwrap();
        // Bound beside it, and sending from its address and port all the same. (IPv6 sockets can
        // only be bound to addresses of an interface.)
        let other = UdpSocket::bind(("10.9.9.9", own.port())).unwrap();
        send_from(&other, own, to);
        marked.send(b"true").unwrap();
        let first = patiently(|| udp_socket::recv(&sockets.receive, &mut buffer));
        assert_eq!((first.from, first.mark), (own, 0));
        let second = patiently(|| udp_socket::recv(&sockets.receive, &mut buffer));
        assert_eq!((second.from, second.mark), (own, 4_000_000_001));
    });
}

pub fn a_refused_client_is_told() {
    jailed(|listeners| {
        for to in POOL.map(address) {
            let sockets = sockets(&listeners, to);
            let mut buffer = [0; 16];
            let client = client(to);
            client.connect(to).unwrap();
            client.send(b"question").unwrap();
            let received = patiently(|| udp_socket::recv(&sockets.receive, &mut buffer));
            let ends = (received.from, received.to);
            udp_socket::refuse(&sockets.send, received.length, ends).unwrap();
            let error = client.recv(&mut buffer).unwrap_err();
            let refused = [libc::EHOSTUNREACH, libc::EACCES];
            assert!(refused.contains(&error.raw_os_error().unwrap()), "{error}");
        }
    });
}

pub fn nothing_else_reaches_the_pools_sockets() {
    jailed(|listeners| {
        for to in
            ["198.18.1.0:443", "198.20.0.0:443", "198.18.0.1:3128", "[fd23:6f70:656e:1::100]:443"]
        {
            let to = address(to);
            assert_eq!(
                client(to).send_to(b"x", to).unwrap_err().kind(),
                ErrorKind::PermissionDenied
            );
            let sockets = sockets(&listeners, to);
            let error = udp_socket::recv(&sockets.receive, &mut [0; 16]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        // A program that is bound to one of the pool's addresses reaches nobody outside the jail.
        let bound = UdpSocket::bind("198.19.5.5:7000").unwrap();
        for to in ["8.8.8.8:443", "198.18.1.0:443"] {
            let error = bound.send_to(b"x", to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{to}");
        }
        // Nor does it answer in a server's place.
        let asking = client(address("198.19.5.5:7000"));
        asking.connect("198.19.5.5:7000").unwrap();
        let error = bound.send_to(b"x", asking.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        // What is sent to it comes to us.
        let to = address("198.19.5.5:7000");
        client(to).send_to(b"x", to).unwrap();
        bound.set_nonblocking(true).unwrap();
        let sockets = sockets(&listeners, to);
        patiently(|| udp_socket::recv(&sockets.receive, &mut [0; 16]));
        assert_eq!(bound.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn sockets(listeners: &Listeners, to: SocketAddr) -> &UdpSockets {
    if to.is_ipv4() { &listeners.udp4 } else { listeners.udp6.as_ref().unwrap() }
}

/// Sends one byte to `to` that claims to come from `from`, by a control message.
fn send_from(socket: &UdpSocket, from: SocketAddr, to: SocketAddr) {
    let script = "import socket, struct, sys\n\
         fd, ip, to, port = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, fileno=fd)\n\
         a = socket.inet_aton(ip)\n\
         s.sendmsg([b'x'], [(0, 8, struct.pack('i4s4s', 0, a, a))], 0, (to, port))\n";
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script, &socket.as_raw_fd().to_string()]);
    python.args([from.ip().to_string(), to.ip().to_string(), to.port().to_string()]);
    finish(&mut python, PATIENCE).succeeded();
}
