//! TCP: whatever is dialled lands on us, whole, and nothing else does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;

use openshell_isolation::net::{PROXY_V4, PROXY_V6};
use rustix::fs::OFlags;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::lab::{PATIENCE, address, dial, jailed, listener, listener_for};

pub fn every_destination_lands_with_its_own_address() {
    jailed(|listeners| {
        let destinations = [
            "93.184.216.34:443",
            "10.0.0.1:22",
            "169.254.169.254:80",
            "192.168.1.1:8080",
            "198.18.0.1:3128",
            "198.18.1.1:443",
            "198.18.0.1:53",
            "8.8.8.8:53",
            "1.1.1.1:853",
            "203.0.113.7:1",
            "255.255.255.254:65535",
            "[2606:2800:220:1::1]:443",
            "[fd00::1]:3128",
            "[64:ff9b::a9fe:a9fe]:80",
            "[2002:a9fe:a9fe::]:80",
            "[fec0::1]:80",
        ];
        let destinations = destinations.map(address).into_iter().chain([PROXY_V4, PROXY_V6]);
        for to in destinations {
            let (mut client, mut server) = dial(&listener_for(&listeners, to), to);
            assert_eq!(server.local_addr().unwrap(), to);
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
            client.write_all(b"question").unwrap();
            let mut bytes = [0; 8];
            server.read_exact(&mut bytes).unwrap();
            server.write_all(&bytes).unwrap();
            client.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"question");
        }
    });
}

pub fn a_mapped_address_lands_as_the_ipv4_address_that_it_is() {
    jailed(|listeners| {
        let mapped = address("[::ffff:93.184.216.34]:443");
        let (_client, server) = dial(&listener(&listeners.tcp4), mapped);
        assert_eq!(server.local_addr().unwrap(), address("93.184.216.34:443"));
        // The unspecified addresses mean loopback, and nothing listens there.
        for to in ["0.0.0.0:443", "[::]:443", "0.0.0.0:3128", "[::ffff:127.0.0.1]:3128"] {
            let error = TcpStream::connect_timeout(&address(to), PATIENCE).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}");
        }
    });
}

pub fn any_port_lands() {
    jailed(|listeners| {
        let ports = (1..=1024).chain((1025..=65535).step_by(97));
        for port in ports {
            for to in [format!("93.184.216.34:{port}"), format!("[2606:2800::1]:{port}")] {
                let to = address(&to);
                let (_client, server) = dial(&listener_for(&listeners, to), to);
                assert_eq!(server.local_addr().unwrap(), to);
            }
        }
    });
}

pub fn loopback_belongs_to_the_jails_own_programs() {
    jailed(|listeners| {
        let (tcp4, tcp6) = (listener(&listeners.tcp4), listener(listeners.tcp6.as_ref().unwrap()));
        // The same ports as ours, so a capture that did not except loopback would show.
        for own in ["127.0.0.1:3128", "127.8.9.10:80", "[::1]:3128", "127.0.0.1:0", "[::1]:0"] {
            let service = TcpListener::bind(own).unwrap();
            let to = service.local_addr().unwrap();
            let mut client = TcpStream::connect(to).unwrap();
            let (mut server, _) = service.accept().unwrap();
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
        }
        let wildcard = TcpListener::bind("0.0.0.0:8080").unwrap();
        TcpStream::connect("127.0.0.1:8080").unwrap();
        wildcard.accept().unwrap();
        let refused = TcpStream::connect("127.0.0.1:9").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        for ours in [tcp4, tcp6] {
            assert_eq!(ours.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

pub fn a_source_address_of_the_programs_choosing_changes_nothing() {
    jailed(|listeners| {
        // Every address is local, so a program may bind any of them.
        let sources = ["8.8.8.8:4444", "127.0.0.1:4444", "93.184.216.34:443", "198.18.0.1:4444"];
        for from in sources.map(address) {
            let to = address("93.184.216.35:443");
            let client = bound(from);
            rustix::net::connect(&client, &to).unwrap();
            let mut client = TcpStream::from(client);
            let mut server = crate::lab::accept(&listener(&listeners.tcp4));
            assert_eq!((server.local_addr().unwrap(), server.peer_addr().unwrap()), (to, from));
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
    });
}

pub fn the_same_four_numbers_can_be_used_again() {
    jailed(|listeners| {
        let (from, to) = (address("198.18.0.1:4444"), address("93.184.216.34:443"));
        for client_first in [true, false, true] {
            let client = bound(from);
            rustix::net::connect(&client, &to).unwrap();
            let mut client = TcpStream::from(client);
            let mut server = crate::lab::accept(&listener(&listeners.tcp4));
            // Whoever closes first is left in TIME_WAIT.
            let (first, second) =
                if client_first { (&mut client, &mut server) } else { (&mut server, &mut client) };
            first.shutdown(Shutdown::Both).unwrap();
            assert_eq!(second.read(&mut [0]).unwrap(), 0);
            second.shutdown(Shutdown::Both).unwrap();
        }
    });
}

pub fn sixty_four_mebibytes_arrive_whole_in_both_directions() {
    const LENGTH: usize = 64 << 20;
    jailed(|listeners| {
        for to in ["93.184.216.34:443", "[2606:2800::1]:443"].map(address) {
            let (client, server) = dial(&listener_for(&listeners, to), to);
            let data: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
            thread::scope(|scope| {
                let uploads =
                    [(client.try_clone().unwrap(), &data), (server.try_clone().unwrap(), &data)];
                for (mut stream, data) in uploads {
                    scope.spawn(move || {
                        stream.write_all(data).unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                    });
                }
                for mut stream in [client, server] {
                    let data = &data;
                    scope.spawn(move || {
                        let mut got = Vec::with_capacity(LENGTH);
                        stream.read_to_end(&mut got).unwrap();
                        assert!(&got == data, "{} bytes arrived", got.len());
                    });
                }
            });
        }
    });
}

pub fn two_thousand_connections_stand_at_once() {
    jailed(|listeners| {
        let to = address("93.184.216.34:443");
        let listener = listener(&listeners.tcp4);
        rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: Some(4200), maximum: None },
        )
        .or_else(|_| {
            let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
            let limit = rustix::process::Rlimit { current: hard, maximum: hard };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)
        })
        .unwrap();
        // All dial before one is accepted: the queue holds them.
        let clients: Vec<_> =
            (0..2000).map(|_| TcpStream::connect_timeout(&to, PATIENCE).unwrap()).collect();
        let servers: Vec<_> = (0..2000).map(|_| crate::lab::accept(&listener)).collect();
        for (mut client, mut server) in clients.into_iter().zip(servers) {
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
        }
    });
}

pub fn a_program_cannot_listen_in_our_place() {
    jailed(|listeners| {
        let taken = TcpListener::bind("0.0.0.0:3128").unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let reusing = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseport(&reusing, true).unwrap();
        sockopt::set_socket_reuseaddr(&reusing, true).unwrap();
        let taken = rustix::net::bind(&reusing, &PROXY_V4).unwrap_err();
        assert_eq!(taken, rustix::io::Errno::ADDRINUSE);

        // Addresses and ports that are free are no use: what is dialled still lands on us.
        let wildcard = TcpListener::bind("0.0.0.0:8443").unwrap();
        let exact = TcpListener::bind("93.184.216.34:9443").unwrap();
        for (to, impostor) in [("8.8.8.8:8443", wildcard), ("93.184.216.34:9443", exact)] {
            let to = address(to);
            let (_client, server) = dial(&listener(&listeners.tcp4), to);
            assert_eq!(server.local_addr().unwrap(), to);
            impostor.set_nonblocking(true).unwrap();
            assert_eq!(impostor.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

pub fn without_a_listener_a_connection_is_reset() {
    jailed(|listeners| {
        let impostors =
            [TcpListener::bind("0.0.0.0:443").unwrap(), TcpListener::bind("[::]:444").unwrap()];
        drop(listeners);
        for to in ["93.184.216.34:443", "[2606:2800::1]:444", "198.18.0.1:3128"] {
            let error = TcpStream::connect_timeout(&address(to), PATIENCE).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}");
        }
        for impostor in impostors {
            impostor.set_nonblocking(true).unwrap();
            assert_eq!(impostor.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

pub fn the_sockets_do_not_block_and_are_not_inherited() {
    jailed(|listeners| {
        let (tcp6, dns6) = (listeners.tcp6.unwrap(), listeners.dns6.unwrap());
        for fd in [listeners.tcp4, tcp6, listeners.dns4, dns6, listeners.diag, listeners.nflog] {
            assert!(rustix::fs::fcntl_getfl(&fd).unwrap().contains(OFlags::NONBLOCK));
            assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(FdFlags::CLOEXEC));
        }
    });
}

/// A TCP socket that is bound to `from`, again and again.
fn bound(from: std::net::SocketAddr) -> OwnedFd {
    let fd = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&fd, true).unwrap();
    rustix::net::bind(&fd, &from).unwrap();
    fd
}
