//! A jail's network in the test's own process: what is dialled here lands here too.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use openshell_isolation::net::{self, Listeners};

/// No answer within this time is no answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `test` in fresh namespaces that were made a jail's.
pub fn jailed(test: impl FnOnce(Listeners)) {
    openshell_testkit::alone(|| test(net::configure().unwrap()));
}

/// A listener to accept from; it does not block.
pub fn listener(fd: &OwnedFd) -> TcpListener {
    TcpListener::from(fd.try_clone().unwrap())
}

/// The listener of the family of `to`.
pub fn listener_for(listeners: &Listeners, to: SocketAddr) -> TcpListener {
    listener(if to.is_ipv4() { &listeners.tcp4 } else { listeners.tcp6.as_ref().unwrap() })
}

/// Dials and accepts; both ends block.
pub fn dial(listener: &TcpListener, to: SocketAddr) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    (client, accept(listener))
}

/// Accepts what has been dialled.
pub fn accept(listener: &TcpListener) -> TcpStream {
    let (server, _) = patiently(|| listener.accept());
    server.set_nonblocking(false).unwrap();
    server
}

/// Tries until there is something.
pub fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        assert!(started.elapsed() < PATIENCE, "nothing arrived");
        thread::sleep(Duration::from_micros(200));
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
