//! To services of the host, over Unix sockets.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lab::{as_each_user, open_to_all};

const UNIX: &str = include_str!("attempts/unix.py");
const UNIX_PAIR: &str = include_str!("attempts/unix_pair.py");

/// Sends back what arrives, and counts who came.
fn echo(listener: UnixListener) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 64];
            let length = stream.read(&mut bytes).unwrap_or(0);
            drop(stream.write_all(&bytes[..length]));
        }
    });
    count
}

fn listen(path: &Path) -> Arc<AtomicUsize> {
    drop(std::fs::remove_file(path));
    let count = echo(UnixListener::bind(path).unwrap());
    open_to_all(path, 0o777);
    count
}

pub fn k06_abstract_sockets_of_the_host() {
    as_each_user(|lab| {
        // Unique in the world, where each user has a turn.
        let name = format!("of {}", lab.product.home().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let count = echo(UnixListener::bind_addr(&address).unwrap());
        lab.sandbox("box", &[]);
        let name = format!("@{name}");
        lab.outside(UNIX, &[&name, "stream"]).must_succeed();
        lab.inside("box", UNIX, &[&name, "stream"]).must_fail(&["ECONNREFUSED"]);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    });
}

pub fn k06_abstract_sockets_of_another_sandbox() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.sandbox("neighbour", &[]);
        let service = "import os, socket\n\
            s = socket.socket(socket.AF_UNIX)\n\
            s.bind('\\0neighbour')\n\
            s.listen()\n\
            if os.fork() == 0:\n\
            \x20   os.setsid(); os.closerange(0, 3)\n\
            \x20   while True:\n\
            \x20       c, _ = s.accept()\n\
            \x20       c.sendall(c.recv(64))";
        lab.exec("neighbour", &["/usr/bin/python3", "-I", "-c", service]).succeeded();
        lab.inside("neighbour", UNIX, &["@neighbour", "stream"]).must_succeed();
        lab.inside("box", UNIX, &["@neighbour", "stream"]).must_fail(&["ECONNREFUSED"]);
    });
}

pub fn k22_a_socket_on_a_mounted_folder() {
    as_each_user(|lab| {
        let folder = lab.folder("project");
        open_to_all(&folder, 0o777);
        let path = folder.join("agent.sock");
        let count = listen(&path);
        lab.sandbox("box", &["--mount", &format!("{}:/sandbox/project", folder.display())]);
        lab.outside(UNIX, &[path.to_str().unwrap(), "stream"]).must_succeed();
        let refused = &["EACCES", "EPERM"];
        let inside = "/sandbox/project/agent.sock";
        lab.inside("box", UNIX, &[inside, "stream"]).must_fail(refused);
        // By another name: a link, a relative path, the magic links of /proc.
        lab.exec("box", &["ln", "-s", inside, "/tmp/link"]).succeeded();
        lab.inside("box", UNIX, &["/tmp/link", "stream"]).must_fail(refused);
        lab.inside("box", UNIX, &["project/agent.sock", "stream"]).must_fail(refused);
        let magic = "/proc/self/root/sandbox/project/agent.sock";
        lab.inside("box", UNIX, &[magic, "stream"])
            .must_fail(&["EACCES", "EPERM", "ELOOP", "ENOENT"]);
        // A second name of it on the mount, made inside.
        let second = "/sandbox/project/second.sock";
        lab.exec("box", &["ln", inside, second]);
        lab.inside("box", UNIX, &[second, "stream"]).must_fail(&["EACCES", "EPERM", "ENOENT"]);
        // Nor can it be carried to a mount of the jail's own.
        assert_ne!(lab.exec("box", &["ln", inside, "/tmp/own.sock"]).code, Some(0));
        lab.exec("box", &["mv", second, "/tmp/own.sock"]);
        let moved = &["EACCES", "EPERM", "ECONNREFUSED", "ENOENT"];
        lab.inside("box", UNIX, &["/tmp/own.sock", "stream"]).must_fail(moved);
        assert_eq!(count.load(Ordering::SeqCst), 1, "the host's service heard of it");
    });
}

pub fn k22_a_datagram_socket_on_a_mounted_folder() {
    as_each_user(|lab| {
        let folder = lab.folder("project");
        open_to_all(&folder, 0o777);
        let path = folder.join("log.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        open_to_all(&path, 0o777);
        lab.sandbox("box", &["--mount", &format!("{}:/sandbox/project", folder.display())]);
        lab.outside(UNIX, &[path.to_str().unwrap(), "datagram"]).must_succeed();
        lab.outside(UNIX_PAIR, &[path.to_str().unwrap()]).must_succeed();
        let arrived = || (0..8).filter(|_| socket.recv(&mut [0; 64]).is_ok()).count();
        assert_eq!(arrived(), 2);
        let inside = "/sandbox/project/log.sock";
        lab.inside("box", UNIX, &[inside, "datagram"]).must_fail(&["EPERM"]);
        lab.inside("box", UNIX_PAIR, &[inside]).must_fail(&["EOPNOTSUPP"]);
        assert_eq!(arrived(), 0);
    });
}

pub fn k22_a_socket_that_was_named_is_reached() {
    as_each_user(|lab| {
        let folder = lab.folder("project");
        open_to_all(&folder, 0o777);
        let (named, other) = (folder.join("named.sock"), folder.join("other.sock"));
        let counts = [&named, &other].map(|path| listen(path));
        let mounts = [
            format!("{}:/sandbox/project", folder.display()),
            format!("{}:/sandbox/named.sock", named.display()),
        ];
        lab.sandbox("box", &["--mount", &mounts[0], "--mount", &mounts[1]]);
        lab.inside("box", UNIX, &["/sandbox/named.sock", "stream"]).must_succeed();
        lab.inside("box", UNIX, &["/sandbox/project/other.sock", "stream"]).must_fail(&["EACCES"]);
        assert_eq!(counts.map(|count| count.load(Ordering::SeqCst)), [1, 0]);
    });
}
