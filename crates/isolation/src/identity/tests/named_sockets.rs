//! Unix sockets by name.

use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::super::sys;
use super::world::{HostFolder, Who, case, case_with, unix_bytes};
use crate::testing::{owned, syscall};

fn errno(path: impl AsRef<Path>) -> Option<i32> {
    UnixStream::connect(path).err().map(|error| error.raw_os_error().expect("an errno"))
}

#[test]
fn k22_a_socket_of_the_host_on_a_mounted_folder_is_refused() {
    for &who in Who::all() {
        let host = HostFolder::new("k22");
        let path = host.socket();
        let listener = UnixListener::bind(&path).expect("a host socket");
        host.open_to_all();
        listener.set_nonblocking(true).expect("set");
        // Outside of the jail it can be reached.
        assert_eq!(errno(&path), None);
        assert!(listener.accept().is_ok());
        case(
            who,
            move |_| {
                assert_eq!(errno(&path), Some(libc::EACCES));
                symlink(&path, "/tmp/link").expect("a link");
                assert_eq!(errno("/tmp/link"), Some(libc::EACCES));
                let folder = path.parent().expect("a folder");
                std::env::set_current_dir(folder).expect("there");
                assert_eq!(errno("s"), Some(libc::EACCES));
                std::env::set_current_dir("/tmp").expect("there");
                let up = format!("..{}", path.display());
                assert_eq!(errno(up), Some(libc::EACCES));
                // It cannot be carried to a mount of the jail's own.
                assert!(std::fs::hard_link(&path, "/tmp/carried").is_err());
                assert!(std::fs::rename(&path, "/tmp/carried").is_err());
            },
            |_, _| {},
        );
        let reached = listener.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(reached, Err(std::io::ErrorKind::WouldBlock));
    }
}

#[test]
fn k22_a_socket_that_the_person_named_is_reached_and_no_other_that_takes_its_name() {
    for &who in Who::all() {
        let host = HostFolder::new("named");
        let (path, other) = (host.socket(), host.path().join("other"));
        let listener = UnixListener::bind(&path).expect("a host socket");
        let _other = UnixListener::bind(&other).expect("another");
        host.open_to_all();
        let named = path.clone();
        case_with(
            who,
            &[&named],
            move |_| {
                assert_eq!(errno(&path), None);
                assert_eq!(errno(&other), Some(libc::EACCES));
                std::fs::rename(&other, &path).expect("the folder is open to all");
                assert_eq!(errno(&path), Some(libc::EACCES));
            },
            |_, _| {},
        );
        assert!(listener.accept().is_ok());
    }
}

#[test]
fn the_jails_own_sockets_work_as_their_modes_say() {
    for &who in Who::all() {
        case(
            who,
            |_| {
                let _listener = UnixListener::bind("/tmp/own").expect("a socket");
                assert_eq!(errno("/tmp/own"), None);
                assert_eq!(errno("own"), None);
                assert_eq!(errno("../tmp/./own"), None);
                std::fs::create_dir("/tmp/folder").expect("a folder");
                symlink("../own", "/tmp/folder/link").expect("a link");
                assert_eq!(errno("/tmp/folder/link"), None);
                let unwritable = std::fs::Permissions::from_mode(0o555);
                std::fs::set_permissions("/tmp/own", unwritable).expect("a mode");
                assert_eq!(errno("/tmp/own"), Some(libc::EACCES));
                std::fs::write("/tmp/file", "").expect("a file");
                assert_eq!(errno("/tmp/file"), Some(libc::ECONNREFUSED));
                assert_eq!(errno("/tmp/absent"), Some(libc::ENOENT));
                assert_eq!(errno("/proc/self/root/tmp/own"), Some(libc::ELOOP));
            },
            |_, _| {},
        );
    }
}

#[test]
fn abstract_names_are_those_of_the_jails_network() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let name = format!("openshell-{}", std::process::id());
    let outside = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&outside).expect("outside");
    assert!(UnixStream::connect_addr(&outside).is_ok());
    case(
        Who::User,
        move |_| {
            let address = SocketAddr::from_abstract_name(&name).expect("a name");
            let refused = UnixStream::connect_addr(&address).expect_err("nobody is there");
            assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
            let _listener = UnixListener::bind_addr(&address).expect("inside");
            UnixStream::connect_addr(&address).expect("connected");
        },
        |_, _| {},
    );
}

#[test]
fn netlink_has_no_peer_and_odd_addresses_are_the_kernels_to_judge() {
    case(
        Who::User,
        |_| {
            let netlink = owned(syscall(libc::SYS_socket, [16, 3, 0, 0, 0, 0]).expect("a socket"));
            assert_eq!(
                sys::connect(netlink.as_fd(), &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                Err(libc::EPERM)
            );
            let unix = owned(syscall(libc::SYS_socket, [1, 1, 0, 0, 0, 0]).expect("a socket"));
            assert_eq!(sys::connect(unix.as_fd(), &[1, 0]), Err(libc::EINVAL));
            assert_eq!(sys::connect(unix.as_fd(), &[0; 16]), Err(libc::EINVAL));
            assert_eq!(sys::connect(unix.as_fd(), &[1, 0, b'/', 0]), Err(libc::ECONNREFUSED));
            let long = unix_bytes(Path::new(&format!("/tmp/{}", "x".repeat(120))));
            assert_eq!(sys::connect(unix.as_fd(), &long[..128]), Err(libc::ENOENT));
        },
        |_, _| {},
    );
}
