use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use super::super::{Event, Request, SpawnFailure, Stage};
use super::*;

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

fn spawn(words: usize) -> Request {
    Request::Spawn {
        id: 7,
        argv: vec!["word".to_owned(); words],
        env: BTreeMap::from([("KEY".to_owned(), "value".to_owned())]),
        cwd: "/sandbox".to_owned(),
        tty: None,
    }
}

fn streams() -> Vec<OwnedFd> {
    (0..3).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect()
}

/// A frame with any header and body.
fn raw(length: u32, descriptors: u8, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], &[descriptors], body].concat()
}

fn receive<T: Frame>(bytes: &[u8]) -> io::Result<Option<Received<T>>> {
    let (ours, theirs) = pair();
    rustix::io::write(&theirs, bytes).unwrap();
    drop(theirs);
    Inbox::default().receive(ours.as_fd())
}

#[test]
fn carries_frames_with_their_descriptors_in_order() {
    let (ours, theirs) = pair();
    let mut outbox = Outbox::default();
    outbox.push(&spawn(1), streams()).unwrap();
    outbox.push(&Request::Signal { id: 7, signal: 15, group: true }, Vec::new()).unwrap();
    outbox.push(&spawn(2), streams()).unwrap();
    outbox.flush(ours.as_fd()).unwrap();
    assert!(outbox.is_empty());
    let mut inbox = Inbox::<Request>::default();
    let mut next = || inbox.receive(theirs.as_fd());
    let first = next().unwrap().unwrap();
    assert_eq!((first.message, first.descriptors.len()), (spawn(1), 3));
    let second = next().unwrap().unwrap();
    assert_eq!(second.message, Request::Signal { id: 7, signal: 15, group: true });
    assert!(second.descriptors.is_empty());
    let third = next().unwrap().unwrap();
    assert_eq!((third.message, third.descriptors.len()), (spawn(2), 3));
    assert_eq!(next().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(ours);
    assert!(next().unwrap().is_none());
}

#[test]
fn carries_a_frame_larger_than_the_socket_takes_at_once() {
    let (ours, theirs) = pair();
    let mut outbox = Outbox::default();
    let message = spawn(100_000);
    outbox.push(&message, streams()).unwrap();
    let mut inbox = Inbox::<Request>::default();
    let received = loop {
        if let Err(error) = outbox.flush(ours.as_fd()) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
        match inbox.receive(theirs.as_fd()) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            Ok(received) => break received.unwrap(),
        }
    };
    assert_eq!((received.message, received.descriptors.len()), (message, 3));
}

#[test]
fn refuses_to_send_what_the_other_end_would_refuse() {
    let mut outbox = Outbox::default();
    let two = streams().into_iter().take(2).collect();
    assert!(outbox.push(&spawn(1), two).is_err());
    assert!(outbox.push(&spawn(LONGEST_FRAME), streams()).is_err());
    assert!(outbox.is_empty());
}

#[test]
fn gives_up_on_a_peer_that_does_not_read() {
    let mut outbox = Outbox::default();
    let pushed = (0..100).take_while(|_| outbox.push(&spawn(100_000), streams()).is_ok()).count();
    assert!((5..20).contains(&pushed), "{pushed}");
}

#[test]
fn a_hostile_frame_is_an_error_and_no_more() {
    let exited = br#"{"exited":{"id":1,"code":0}}"#;
    let length = u32::try_from(exited.len()).unwrap();
    assert!(receive::<Event>(&raw(length, 0, exited)).unwrap().is_some());
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    for bytes in [
        raw(u32::MAX, 0, b""),
        raw(1 + u32::try_from(LONGEST_FRAME).unwrap(), 0, b""),
        raw(length, 0, b"cut short"),
        raw(2, 0, b"{}"),
        raw(length, 1, exited),
        raw(length, 255, exited),
        raw(29, 0, br#"{"spawned":{"id":1,"pid":-1}}"#),
        raw(37, 0, br#"{"exited":{"id":1,"code":0,"more":1}}"#),
        raw(4, 0, b"\xff\xfe\xfd\xfc"),
        raw(200_000, 0, &deep),
    ] {
        let error = receive::<Event>(&bytes).unwrap_err();
        assert!(error.kind() != io::ErrorKind::WouldBlock, "{error}");
    }
    assert!(receive::<Event>(b"").unwrap().is_none());
}

#[test]
fn descriptors_that_no_frame_claims_are_refused() {
    let (ours, theirs) = pair();
    let files: Vec<OwnedFd> = streams();
    let borrowed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    for octet in raw(1000, 0, &[b' '; 20]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
        sendmsg(&theirs, &[IoSlice::new(&[octet])], &mut ancillary, SendFlags::empty()).unwrap();
    }
    let error = Inbox::<Event>::default().receive(ours.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn failures_have_the_exit_codes_of_a_shell() {
    let code = |stage, errno| SpawnFailure { stage, errno }.exit_code();
    assert_eq!(code(Stage::Program, libc::ENOENT), 127);
    assert_eq!(code(Stage::Program, libc::EACCES), 126);
    assert_eq!(code(Stage::WorkingDirectory, libc::ENOENT), 125);
    assert_eq!(code(Stage::Process, libc::EAGAIN), 125);
}
