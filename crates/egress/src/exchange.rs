//! Dialling a checked address, and holding a TLS client to the name that was permitted.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openshell_codec::client_hello::{Progress, Reader};
use openshell_types::HostName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::limits;
use crate::refusal::Refusal;
use crate::stream::Stream;
use crate::upstream_proxy::{Outbound, Reached};
use crate::vet::Upstream;

/// A connection to a permitted destination.
pub(crate) struct Dialled {
    /// The connection.
    pub(crate) stream: Outbound,
    /// Where it leads.
    pub(crate) reached: Reached,
    /// Whether it ends at a proxy that takes requests for the destination.
    pub(crate) is_forward: bool,
}

/// Connects to the first checked address that answers.
pub(crate) async fn dial(upstream: &Upstream) -> Result<Dialled, Refusal> {
    match race(upstream.addresses()).await {
        Ok((stream, address)) => {
            let reached = Reached::Address(address);
            Ok(Dialled { stream: stream.into(), reached, is_forward: false })
        }
        Err(last) => Err(unreachable(last.as_ref().map(|(address, error)| (*address, error)))),
    }
}

/// Connects to the first address that answers. The next one is tried beside a slow one. In vain, the
/// last error is returned.
pub(crate) async fn race(
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), Option<(SocketAddr, io::Error)>> {
    if let &[address] = addresses {
        // Nothing to race against, so no task of its own.
        return match connect(address).await {
            Ok(stream) => Ok((stream, address)),
            Err(error) => Err(Some((address, error))),
        };
    }
    let mut waiting = addresses.iter().copied();
    let mut attempts: JoinSet<(SocketAddr, io::Result<TcpStream>)> = JoinSet::new();
    let mut last_error = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { (address, connect(address).await) });
        }
        // Dropping the set on return ends the attempts that are not needed any more.
        let next = if waiting.len() > 0 {
            timeout(limits::DIAL_STAGGER, attempts.join_next()).await.ok()
        } else {
            Some(attempts.join_next().await)
        };
        match next {
            None => {}
            Some(Some(Ok((address, Ok(stream))))) => return Ok((stream, address)),
            Some(Some(Ok((address, Err(error))))) => last_error = Some((address, error)),
            Some(Some(Err(_))) => {}
            Some(None) if waiting.len() > 0 => {}
            Some(None) => break,
        }
    }
    Err(last_error)
}

fn unreachable(last: Option<(SocketAddr, &io::Error)>) -> Refusal {
    let detail = match last {
        Some((address, error)) => format!("{address} could not be reached: {error}"),
        None => "no address could be reached".to_owned(),
    };
    Refusal::unreachable("upstream_unreachable", detail)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(limits::DIAL_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    prepare(&stream)?;
    Ok(stream)
}

/// No delay for small messages, and probes that find a peer which is gone.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(15)),
    )
}

/// Holds the client's bytes back until they are known not to ask for another server than `name`;
/// bytes of the server `pass` meanwhile, for protocols in which it speaks first. Returns the bytes
/// that were held.
pub(crate) async fn check_hello(
    (client, server): (&mut TcpStream, &mut Outbound),
    name: &HostName,
    mut held: Vec<u8>,
    mut pass: impl FnMut(usize) -> Result<(), HelloEnd>,
) -> Result<Vec<u8>, HelloEnd> {
    let mut reader = Reader::new();
    let mut progress = reader.feed(&held);
    let mut deadline = None;
    let mut server_spoke = Vec::new();
    let mut server_ended = false;
    loop {
        if let Some(verdict) = judge(progress, name) {
            return verdict.map(|()| held).map_err(HelloEnd::Refused);
        }
        if reader.has_begun() && deadline.is_none() {
            deadline = Some(Instant::now() + limits::HELLO_TIMEOUT);
        }
        let before = held.len();
        tokio::select! {
            read = read_some(client, &mut held) => {
                if read? == 0 {
                    let nothing = held.is_empty();
                    return if nothing { Ok(held) } else { Err(HelloEnd::Refused(incomplete())) };
                }
                progress = reader.feed(held.get(before..).unwrap_or_default());
                continue;
            }
            read = server.read_some(&mut server_spoke), if !server_ended => {
                server_ended = read? == 0;
            }
            () = until(deadline) => {
                // SECURITY: C7; a hello in drops is never treated as another protocol.
                return Err(HelloEnd::Refused(incomplete()));
            }
        }
        if server_ended {
            client.shutdown().await?;
        } else {
            // SECURITY: M13; a client that only listens leaves a trace, too.
            pass(server_spoke.len())?;
            client.write_all(&server_spoke).await?;
            server_spoke.clear();
        }
        progress = Progress::NeedMore;
    }
}

/// How holding a client to its name ended without bytes for the server.
pub(crate) enum HelloEnd {
    /// It asked for another server, or hid which.
    Refused(Refusal),
    /// One side went away.
    Broken,
    /// That it is allowed could not be recorded.
    Unrecorded,
    /// A budget has no room for what the server said.
    UsedUp(Refusal),
}

impl From<io::Error> for HelloEnd {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// What the client's first bytes say: `None` when it takes more of them.
fn judge(progress: Progress, name: &HostName) -> Option<Result<(), Refusal>> {
    let refusal = match progress {
        Progress::NeedMore => return None,
        Progress::NotTls => return Some(Ok(())),
        Progress::Hello(hello) if hello.ech => Refusal::hello(
            "sni_hidden",
            format!("the TLS hello for `{name}` may hide another name (Encrypted Client Hello)"),
        ),
        Progress::Hello(hello) => match hello.sni {
            Some(sni) if sni == *name => return Some(Ok(())),
            // SECURITY: D1; the address may serve other names than the one that is permitted.
            Some(sni) => Refusal::hello(
                "sni_mismatch",
                format!("the TLS hello asks for `{sni}`, permitted is `{name}`"),
            ),
            None => Refusal::hello(
                "sni_missing",
                format!("the TLS hello names no server, permitted is `{name}`"),
            ),
        },
        Progress::Malformed(error) => Refusal::hello("tls_malformed", error.to_string()),
    };
    Some(Err(refusal))
}

fn incomplete() -> Refusal {
    Refusal::hello("tls_incomplete", "the client did not end its TLS hello".to_owned())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Reads what is there; safe to cancel.
pub(crate) async fn read_some(stream: &TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        into.reserve(READ);
        match stream.try_read_buf(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// A fatal TLS alert, `unrecognized_name`: tells a TLS client more than a reset does.
pub(crate) const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The last words to a client: it reads them and closes. SECURITY: what it still sends is
/// discarded within bounds; closing at once would reset the connection under the answer.
pub(crate) async fn farewell(mut client: impl Stream, words: &[u8]) {
    let goodbye = async {
        client.write_all(words).await?;
        client.shutdown().await?;
        let mut discarded = vec![0; READ];
        let mut left = limits::FAREWELL_BYTES;
        loop {
            match client.read(&mut discarded).await? {
                0 => return io::Result::Ok(()),
                read => left = left.checked_sub(read).ok_or(io::ErrorKind::InvalidData)?,
            }
        }
    };
    tokio::select! {
        _end = goodbye => {}
        () = sleep(limits::FAREWELL) => {}
    }
}

/// Ends a connection with a reset, so that nothing can be taken for a regular end.
pub(crate) fn reset(stream: impl Stream) {
    // Failing means that the connection is already gone.
    let _ = stream.tcp().set_zero_linger();
}

/// Bytes to make room for in one read of first bytes.
const READ: usize = 4096;
