//! Connections out of a finished jail: where they land, and who is named for them.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use openshell_isolation::identity::{self, Hashing, Ids, JailView, sock_diag};
use openshell_types::Identity;
use rustix::event::PollFlags;

use crate::Case;
use crate::lab::{self, Lab, is_ready_within};

pub const CASES: &[Case] = &[
    Case { name: "a_connection_lands_on_us_with_its_callers_name", outside: lands, inside: dial },
    Case {
        name: "a_connection_without_an_identifier_is_not_made",
        outside: unnamed,
        inside: refused,
    },
];

/// A name of the world: TEST-NET-1.
const WORLD: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 443);

fn lands(lab: &Lab) {
    let ids = match lab.identity() {
        Identity::Caller { .. } => None,
        Identity::Block { start } => Some(Ids { uid: start + 1000, gid: start + 1000 }),
    };
    let mut identifier =
        identity::spawn(&identity::Options { ids, hashing: Hashing::Background }).unwrap();
    let (mut jail, report) = openshell_isolation::build(&lab.spec()).unwrap();
    let listener = jail.seccomp_listener.take().expect("a listener");
    identifier
        .attach(JailView {
            listener,
            root: jail.root.as_fd(),
            private: &[Path::new("/sandbox"), Path::new("/tmp")],
            allowed_sockets: &[],
        })
        .unwrap();
    openshell_isolation::drop_privileges(lab.identity()).unwrap();
    let session = lab::Session::new(jail, report);
    let id = lab.spawn_attempt(&session);
    lab::wait(&session.jail.capture.tcp4, PollFlags::IN);
    let accepted = rustix::net::accept(&session.jail.capture.tcp4).unwrap();
    let dialled = rustix::net::getsockname(&accepted).unwrap();
    assert_eq!(SocketAddrV4::try_from(dialled).unwrap(), WORLD);
    let record = identifier.take_records().unwrap().try_read().unwrap().expect("a record");
    assert_eq!(record.exe.path.as_deref(), Some(lab::PROGRAM));
    let cookie = sock_diag::peer_of(session.jail.capture.diag.as_fd(), &accepted).unwrap();
    assert_eq!(cookie, Some(record.cookie));
    rustix::io::write(&accepted, b"!").unwrap();
    drop(accepted);
    assert_eq!(session.end_of(id), 0);
}

fn dial() {
    use std::io::Read;
    let mut stream = TcpStream::connect(WORLD).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "!");
}

fn unnamed(lab: &Lab) {
    let session = lab.jail();
    lab.attempt_in(&session);
    let quiet = !is_ready_within(&session.jail.capture.tcp4, PollFlags::IN, Duration::ZERO);
    assert!(quiet, "a connection nobody was named for");
}

fn refused() {
    TcpStream::connect(WORLD).unwrap_err();
}
