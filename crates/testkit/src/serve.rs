//! Servers of the test world, each with counters.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::http::{self, Request};

/// A connection that says nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; it serves until its process ends.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
}

/// What has happened at a server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Connections that were accepted; for datagrams, how many arrived.
    pub connections: u64,
    /// Bytes that were received, beneath TLS.
    pub received: u64,
    /// Bytes that were sent, beneath TLS.
    pub sent: u64,
}

#[derive(Default)]
pub(crate) struct Tally {
    connections: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    requests: Mutex<Vec<Request>>,
}

impl Server {
    /// Serves HTTP at a listener of the test's own.
    pub fn http(
        listener: TcpListener,
        handler: impl Fn(&Request) -> http::Response + Send + Sync + 'static,
    ) -> Self {
        tcp(listener, move |stream, tally| http(stream, tally, &handler))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.tally.connections.load(Ordering::SeqCst),
            received: self.tally.received.load(Ordering::SeqCst),
            sent: self.tally.sent.load(Ordering::SeqCst),
        }
    }

    /// The requests that an HTTP server has read to their end, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.tally.requests.lock().expect("nothing panics with it").clone()
    }
}

impl Tally {
    pub(crate) fn saw(&self, request: &Request) {
        self.requests.lock().expect("nothing panics with it").push(request.clone());
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").finish_non_exhaustive()
    }
}

/// Gives each connection of `listener` to `session` on a thread of its own. A session that fails
/// ends its connection and nothing else.
pub(crate) fn tcp(
    listener: TcpListener,
    session: impl Fn(Connection, &Tally) -> io::Result<()> + Send + Sync + 'static,
) -> Server {
    let address = listener.local_addr().expect("a listener has an address");
    let server = Server { address, tally: Arc::default() };
    let tally = server.tally.clone();
    let session = Arc::new(session);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            tally.connections.fetch_add(1, Ordering::SeqCst);
            let (session, tally) = (session.clone(), tally.clone());
            thread::spawn(move || {
                let stream = Connection { stream, tally: tally.clone() };
                drop(stream.stream.set_read_timeout(Some(PATIENCE)));
                drop(stream.stream.set_nodelay(true));
                drop(session(stream, &tally));
            });
        }
    });
    server
}

/// Sends back what arrives, until the client has said all.
pub(crate) fn echo(mut stream: Connection, _: &Tally) -> io::Result<()> {
    let mut chunk = [0u8; 64 * 1024];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return stream.stream.shutdown(Shutdown::Write);
        }
        stream.write_all(chunk.get(..length).unwrap_or_default())?;
    }
}

/// Answers HTTP/1.1 requests with what `handler` makes of them.
pub(crate) fn http(
    stream: impl Read + Write,
    tally: &Tally,
    handler: &http::Handler,
) -> io::Result<()> {
    http::converse(stream, |request| {
        tally.saw(request);
        handler(request)
    })
}

/// Sends each datagram back to where it came from.
pub(crate) fn datagrams(socket: UdpSocket) -> Server {
    let address = socket.local_addr().expect("a bound socket has an address");
    let server = Server { address, tally: Arc::default() };
    let tally = server.tally.clone();
    thread::spawn(move || {
        let mut datagram = [0u8; 64 * 1024];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            tally.connections.fetch_add(1, Ordering::SeqCst);
            tally.received.fetch_add(length as u64, Ordering::SeqCst);
            if let Ok(sent) = socket.send_to(datagram.get(..length).unwrap_or_default(), from) {
                tally.sent.fetch_add(sent as u64, Ordering::SeqCst);
            }
        }
    });
    server
}

/// A connection to a server of the world. Its bytes are counted.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    tally: Arc<Tally>,
}

impl Connection {
    /// The socket itself; bytes that pass it are not counted.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

impl Read for Connection {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buf)?;
        self.tally.received.fetch_add(length as u64, Ordering::SeqCst);
        Ok(length)
    }
}

impl Write for Connection {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let length = self.stream.write(buf)?;
        self.tally.sent.fetch_add(length as u64, Ordering::SeqCst);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
