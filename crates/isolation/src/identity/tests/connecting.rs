//! connect(2) as programs know it.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};

use super::super::sys;
use super::world::{Who, bytes_of, case, tell};
use crate::testing::{fork, owned, syscall};

fn socket(kind: u64) -> OwnedFd {
    owned(syscall(libc::SYS_socket, [2, kind, 0, 0, 0, 0]).expect("a socket"))
}

#[test]
fn errors_are_those_of_the_kernel() {
    case(
        Who::User,
        |agent| {
            let closed =
                TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let closed = closed.expect("an address");
            let errno = |address| TcpStream::connect(address).expect_err("refused").raw_os_error();
            assert_eq!(errno(closed), Some(libc::ECONNREFUSED));
            let call = |fd: u64, pointer: u64, length: u64| {
                syscall(libc::SYS_connect, [fd, pointer, length, 0, 0, 0])
            };
            let tcp = socket(1);
            let (fd, address) = (tcp.as_raw_fd() as u64, bytes_of(agent.server));
            let pointer = address.as_ptr() as u64;
            assert_eq!(call(500, pointer, 16), Err(libc::EBADF));
            let (_read, pipe) = rustix::pipe::pipe().expect("a pipe");
            assert_eq!(call(pipe.as_raw_fd() as u64, pointer, 16), Err(libc::ENOTSOCK));
            assert_eq!(call(fd, 8, 16), Err(libc::EFAULT));
            assert_eq!(call(fd, pointer, 129), Err(libc::EINVAL));
            assert_eq!(call(fd, pointer, u64::from(u32::MAX)), Err(libc::EINVAL));
            assert_eq!(call(fd, pointer, 0), Err(libc::EINVAL));
            assert_eq!(call(fd, pointer, 4), Err(libc::EINVAL));
            // The upper halves of the registers are not the kernel's.
            assert_eq!(call(fd | 1 << 32, pointer, 16 | 1 << 32), Ok(0));
            assert_eq!(call(fd, pointer, 16), Err(libc::EISCONN));
            // AF_UNSPEC disconnects.
            assert_eq!(call(fd, [0u8; 16].as_ptr() as u64, 16), Ok(0));
            assert_eq!(call(fd, pointer, 16), Ok(0));
            agent.tell();
            agent.wait();
        },
        |supervisor, link| {
            super::world::heard(link);
            // Two connections of one socket, of which one is gone.
            let mut known = 0;
            while supervisor.has_connection(Duration::ZERO) {
                known += usize::from(supervisor.accept().1.is_some());
            }
            assert_eq!(known, 1);
            tell(link);
        },
    );
}

#[test]
fn a_socket_that_does_not_block_still_does_not() {
    for &who in Who::all() {
        case(
            who,
            |agent| {
                let tcp = socket(1 | 0o4000);
                let began = sys::connect(tcp.as_fd(), &bytes_of(agent.server));
                assert!(matches!(began, Ok(()) | Err(libc::EINPROGRESS)), "{began:?}");
                let mut ready = [PollFd::new(&tcp, PollFlags::OUT)];
                poll(&mut ready, Some(&Timespec { tv_sec: 5, tv_nsec: 0 })).expect("ready");
                assert_eq!(rustix::net::sockopt::socket_error(&tcp), Ok(Ok(())));
                assert!(fcntl_getfl(&tcp).expect("flags").contains(OFlags::NONBLOCK));
            },
            |supervisor, _| assert!(supervisor.accept().1.is_some()),
        );
    }
}

#[test]
fn udp_connects_without_a_record() {
    case(
        Who::User,
        |agent| {
            let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
            let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
            client.connect(server.local_addr().expect("an address")).expect("connected");
            client.send(b"x").expect("sent");
            assert_eq!(server.recv(&mut [0]).expect("received"), 1);
            agent.tell();
        },
        |supervisor, link| {
            super::world::heard(link);
            assert_eq!(supervisor.drain(), 0);
        },
    );
}

#[test]
fn version_six_and_mapped_sockets_are_found() {
    case(
        Who::User,
        |agent| {
            let SocketAddr::V4(server) = agent.server else { panic!("v4") };
            let mapped = SocketAddr::from((server.ip().to_ipv6_mapped(), server.port()));
            let socket = owned(syscall(libc::SYS_socket, [10, 1, 0, 0, 0, 0]).expect("a socket"));
            rustix::net::connect(&socket, &mapped).expect("connected");
            agent.tell();
            agent.wait();
        },
        |supervisor, link| {
            super::world::heard(link);
            assert!(supervisor.accept().1.is_some());
            tell(link);
        },
    );
}

#[test]
fn callers_that_hang_and_die_leave_the_pool_as_it_was() {
    case(
        Who::User,
        |agent| {
            // A listener that never accepts, with a full backlog.
            let listener = owned(syscall(libc::SYS_socket, [1, 1, 0, 0, 0, 0]).expect("a socket"));
            let name = rustix::net::SocketAddrUnix::new("/tmp/full").expect("a name");
            rustix::net::bind(&listener, &name).expect("bound");
            rustix::net::listen(&listener, 0).expect("listening");
            let _first = UnixStream::connect("/tmp/full").expect("the backlog holds one");
            let hanging = (0..30)
                .map(|_| fork(|| drop(UnixStream::connect("/tmp/full"))))
                .collect::<Vec<_>>();
            std::thread::sleep(Duration::from_millis(300));
            for child in &hanging {
                syscall(libc::SYS_kill, [child.pid as u64, 9, 0, 0, 0, 0]).expect("killed");
            }
            for child in &hanging {
                assert_eq!(child.wait() & 0x7f, libc::SIGKILL);
            }
            let begun = Instant::now();
            let _stream = TcpStream::connect(agent.server).expect("connected");
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        },
        |supervisor, _| assert!(supervisor.accept().1.is_some()),
    );
}
