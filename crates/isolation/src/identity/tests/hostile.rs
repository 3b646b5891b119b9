//! Programs that pretend to be another one, or that take another one's connection.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::sys;
use super::world::{HostFolder, Who, bytes_of, case, tell, unix_bytes};
use super::{BASH, file_id};
use crate::testing::{borrowed, owned, syscall};

#[test]
fn j01_a_copy_a_link_a_memfd_and_a_deleted_file_are_not_the_original() {
    case(
        Who::User,
        |agent| {
            std::fs::copy(BASH, "/tmp/bash").expect("copied");
            assert!(agent.shell("/tmp/bash", &agent.dial()));
            std::fs::rename("/tmp/bash", "/tmp/curl").expect("renamed");
            std::fs::hard_link("/tmp/curl", "/tmp/git").expect("linked");
            assert!(agent.shell("/tmp/git", &agent.dial()));
            let script = format!("rm /tmp/git; {}", agent.dial());
            assert!(agent.shell("/tmp/git", &script));
            // A file that is named like a deleted one.
            std::fs::copy(BASH, "/tmp/git (deleted)").expect("copied");
            let script = format!("rm /tmp/curl; {}", agent.dial());
            assert!(agent.shell("/tmp/curl", &script));
            let memory = syscall(libc::SYS_memfd_create, [c"bash".as_ptr() as u64, 0, 0, 0, 0, 0]);
            let memory = owned(memory.expect("a memfd"));
            let content = std::fs::read(BASH).expect("read");
            std::fs::File::from(memory.try_clone().expect("another"))
                .write_all(&content)
                .expect("written");
            // The outer /proc knows us by another number.
            let descriptor = memory.as_raw_fd();
            let arguments = [c"bash".to_owned(), c"-c".to_owned()];
            let script = std::ffi::CString::new(agent.dial()).expect("no zero");
            super::world::execute(descriptor, &arguments, &script);
        },
        |supervisor, _| {
            let mut paths = Vec::new();
            for _ in 0..5 {
                let (stream, record) = supervisor.accept();
                let record = record.expect("a record");
                assert_ne!(record.exe.file, file_id(BASH));
                // The content is equal, and says nothing.
                assert!(record.exe.sha256.is_some());
                paths.push(record.exe.path);
                drop(stream);
            }
            let paths = paths.iter().map(Option::as_deref).collect::<Vec<_>>();
            assert_eq!(paths, [Some("/tmp/bash"), Some("/tmp/git"), None, None, None]);
        },
    );
}

#[test]
fn j02_argv_and_the_name_are_not_believed() {
    case(
        Who::User,
        |agent| {
            let mut command = Command::new(BASH);
            command
                .arg0("/usr/bin/curl")
                .args(["-c", &format!("exec -a git {BASH} -c '{}'", agent.dial())]);
            assert!(command.status().expect("a shell").success());
        },
        |supervisor, _| {
            let record = supervisor.accept().1.expect("a record");
            assert_eq!(record.exe.file, file_id(BASH));
            assert_eq!(record.argv.first().map(String::as_str), Some("git"));
        },
    );
}

#[test]
fn j03_a_loader_that_is_started_by_hand_is_the_loader() {
    let loader = std::fs::canonicalize("/lib64/ld-linux-x86-64.so.2").expect("a loader");
    let named = loader.clone();
    case(
        Who::User,
        move |agent| {
            let status = Command::new(named).args([BASH, "-c", &agent.dial()]).status();
            assert!(status.expect("a loader").success());
        },
        move |supervisor, _| {
            let record = supervisor.accept().1.expect("a record");
            assert_eq!(record.exe.file, file_id(&loader));
            assert_eq!(record.exe.path.as_deref(), loader.to_str());
        },
    );
}

#[test]
fn j07_a_program_that_is_replaced_around_its_connect_is_the_one_that_connected() {
    case(
        Who::User,
        |agent| {
            // After it:
            let script = format!("{}; exec sleep 0", agent.dial().replace("; read -r _ <&3", ""));
            assert!(agent.shell(BASH, &script));
            agent.wait();
            // And during it: a sibling thread becomes another program, or the process dies.
            for round in 0..40 {
                let server = agent.server;
                let child = crate::testing::fork(move || {
                    let connecting =
                        std::thread::spawn(move || while TcpStream::connect(server).is_ok() {});
                    std::thread::sleep(Duration::from_micros(200 + 50 * round));
                    if round % 2 == 0 {
                        let error = Command::new("/usr/bin/true").exec();
                        panic!("{error}");
                    }
                    drop(connecting);
                    crate::testing::exit(0);
                });
                child.join();
            }
        },
        |supervisor, link| {
            let record = supervisor.accept().1.expect("a record");
            assert_eq!(record.exe.file, file_id(BASH));
            tell(link);
            let own = file_id("/proc/self/exe");
            let mut seen = 0;
            while supervisor.has_connection(Duration::from_millis(500)) {
                let (_stream, record) = supervisor.accept();
                // One whose socket is gone already has no peer that fits.
                if let Some(record) = record {
                    assert_eq!(record.exe.file, own);
                    seen += 1;
                }
            }
            assert!(seen > 0);
        },
    );
}

#[test]
fn j08_a_descriptor_that_is_passed_on_keeps_its_creator() {
    case(
        Who::User,
        |agent| {
            let stream = TcpStream::connect(agent.server).expect("connected");
            let number = rustix::io::dup(&stream).expect("without CLOEXEC").into_raw();
            assert!(agent.shell(BASH, &format!("read -r _ <&{number}; :")));
            drop(stream);
        },
        |supervisor, _| {
            let own = file_id("/proc/self/exe");
            let (stream, record) = supervisor.accept();
            assert_eq!(record.expect("a record").exe.file, own);
            drop(stream);
        },
    );
}

#[test]
fn j13_a_connection_whose_addresses_changed_hands_is_nobodys() {
    case(
        Who::User,
        |agent| {
            let connect = |socket: &OwnedFd| {
                let reuse = rustix::net::sockopt::set_socket_reuseaddr(socket, true);
                reuse.expect("reuse");
                rustix::net::bind(socket, &SocketAddr::from(([127, 0, 0, 1], 40_001)))
                    .expect("a port");
                rustix::net::connect(socket, &agent.server).expect("connected");
            };
            let first = tcp();
            connect(&first);
            let now = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&first, now).expect("a reset");
            drop(first);
            let second = tcp();
            connect(&second);
            agent.tell();
            agent.wait();
        },
        |supervisor, link| {
            super::world::heard(link);
            let (_stream, record) = supervisor.accept();
            assert_eq!(record, None);
            let (_stream, record) = supervisor.accept();
            assert!(record.is_some());
            tell(link);
        },
    );
}

#[test]
fn a_record_is_used_once_and_a_second_connect_of_a_socket_makes_none() {
    case(
        Who::User,
        |agent| {
            let socket = tcp();
            rustix::net::connect(&socket, &agent.server).expect("connected");
            for _ in 0..3 {
                let again = rustix::net::connect(&socket, &agent.server);
                assert_eq!(again, Err(rustix::io::Errno::ISCONN));
            }
            agent.tell();
            agent.wait();
        },
        |supervisor, link| {
            super::world::heard(link);
            assert_eq!(supervisor.drain(), 1);
            let (stream, record) = supervisor.accept();
            assert!(record.is_some());
            assert_eq!(supervisor.drain(), 0);
            // The look-up still finds the socket; there is no second record.
            let ends = (stream.peer_addr().expect("a peer"), stream.local_addr().expect("ours"));
            assert!(supervisor.diag(ends.0, ends.1).is_some());
            assert!(supervisor.diag(SocketAddr::from(([127, 0, 0, 1], 1)), ends.1).is_none());
            tell(link);
        },
    );
}

#[test]
fn k25_a_socket_that_is_swapped_while_it_connects_reaches_nothing_else() {
    let host = HostFolder::new("k25");
    let path = host.socket();
    let listener = UnixListener::bind(&path).expect("a host socket");
    host.open_to_all();
    listener.set_nonblocking(true).expect("set");
    case(
        Who::User,
        move |agent| {
            let addresses = [bytes_of(agent.server), unix_bytes(&path)];
            let sockets = [tcp(), unix()];
            let number = 700;
            let over = AtomicBool::new(false);
            // 128 bytes that are rewritten all the time.
            let address = Shared(std::cell::UnsafeCell::new([0; 128]));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut round = 0usize;
                    while !over.load(Ordering::Relaxed) {
                        let socket = &sockets[round % 2];
                        let _put = syscall(
                            libc::SYS_dup2,
                            [socket.as_raw_fd() as u64, number, 0, 0, 0, 0],
                        );
                        address.write(&addresses[(round / 3) % 2]);
                        round += 1;
                    }
                });
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(1500) {
                    for length in [16, 110] {
                        let pointer = address.0.get() as u64;
                        let _any = syscall(libc::SYS_connect, [number, pointer, length, 0, 0, 0]);
                    }
                }
                over.store(true, Ordering::Relaxed);
            });
        },
        |supervisor, _| {
            // Whatever was reached has its record.
            while supervisor.has_connection(Duration::from_millis(2500)) {
                assert!(supervisor.accept().1.is_some());
            }
        },
    );
    let reached = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(reached, Err(std::io::ErrorKind::WouldBlock));
}

/// Memory that one thread writes while the kernel reads it for another.
struct Shared(std::cell::UnsafeCell<[u8; 128]>);

#[expect(unsafe_code, reason = "the race is the test")]
// SAFETY: nothing but the kernel reads it.
unsafe impl Sync for Shared {}

impl Shared {
    #[expect(unsafe_code, reason = "the race is the test")]
    fn write(&self, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: within the array, and one thread writes.
            unsafe { self.0.get().cast::<u8>().add(index).write_volatile(*byte) };
        }
    }
}

fn tcp() -> OwnedFd {
    owned(syscall(libc::SYS_socket, [2, 1, 0, 0, 0, 0]).expect("a socket"))
}

fn unix() -> OwnedFd {
    owned(syscall(libc::SYS_socket, [1, 1, 0, 0, 0, 0]).expect("a socket"))
}

trait IntoRaw {
    fn into_raw(self) -> i32;
}

impl IntoRaw for OwnedFd {
    fn into_raw(self) -> i32 {
        std::os::fd::IntoRawFd::into_raw_fd(self)
    }
}

#[test]
fn k25_the_copy_is_connected_and_not_what_took_its_number() {
    for &who in Who::all() {
        case(
            who,
            |agent| {
                let socket = tcp();
                assert_eq!(sys::connect(socket.as_fd(), &bytes_of(agent.server)), Ok(()));
                assert_eq!(sys::connect(borrowed(999), &bytes_of(agent.server)), Err(libc::EBADF));
            },
            |supervisor, _| assert!(supervisor.accept().1.is_some()),
        );
    }
}

#[test]
fn many_generations_and_many_processes_stay_bounded() {
    case(
        Who::User,
        |agent| {
            fn generation(server: SocketAddr, left: usize) {
                let _stream = TcpStream::connect(server).expect("connected");
                if left > 0 {
                    let child = crate::testing::fork(move || generation(server, left - 1));
                    child.join();
                }
            }
            generation(agent.server, 40);
            for _ in 0..300 {
                let server = agent.server;
                crate::testing::fork(move || drop(TcpStream::connect(server))).join();
            }
            assert!(agent.shell(BASH, &agent.dial()));
        },
        |supervisor, _| {
            let mut longest = 0;
            for _ in 0..342 {
                let record = supervisor.accept().1;
                longest = longest.max(record.map_or(0, |record| record.ancestors.len()));
            }
            assert_eq!(longest, 16);
            let descriptors = format!("/proc/{}/fd", supervisor.identifier.pid());
            let open = std::fs::read_dir(descriptors).map(|entries| entries.count());
            // As root the identifier is another uid's process, and cannot be looked into.
            assert!(open.is_err() || open.is_ok_and(|open| open < 400));
        },
    );
}
