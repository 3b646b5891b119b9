//! Reading a server's answer and passing it on.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use openshell_codec::http1::{RequestHead, ResponseBody, ResponseHead, Version};
use openshell_codec::websocket::{Agreed, Upgrade};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::body::{self, Broken, Incoming, Outgoing};
use super::echo::Echo;
use super::inbox::Inbox;
use crate::halves::Bare;
use crate::limits;
use crate::refusal::Refusal;

/// How passing an answer on went wrong.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The server broke off, or said what is no answer, before the client got a byte of one.
    Unanswered(io::Error),
    /// One side broke off in the middle.
    Midway,
    /// The operator's proxy, which was asked for the request, refused it with this status.
    Proxy(u16),
    /// Something is in the request's body, or in the answer, that must not pass.
    Denied(Box<Refusal>),
}

/// What came of an answer.
pub(crate) struct Answered {
    /// The server goes on after it.
    pub(crate) server_stays: bool,
    /// The client was told that its connection goes on.
    pub(crate) client_stays: bool,
    /// The server authenticated the connection.
    pub(crate) is_private: bool,
    /// What follows is a WebSocket.
    pub(crate) switched: Option<Agreed>,
}

/// What was asked, as far as the answer depends on it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) version: Version,
    /// Whether the client's connection goes on after it.
    pub(crate) stays: bool,
    /// The WebSocket that it asks for.
    pub(crate) upgrade: Option<&'a Upgrade>,
    /// Whether the operator's proxy was asked for it.
    pub(crate) is_forward: bool,
    /// What is looked for in the answer.
    pub(crate) echo: Option<&'a Echo<'a>>,
    /// Is set when the client gets the first byte of its answer.
    pub(crate) has_begun: &'a AtomicBool,
}

/// Passes one answer on, interim ones before it.
pub(crate) async fn relay<R: AsyncRead + Unpin + Bare, W: AsyncWrite + Unpin + Bare>(
    asked: &Asked<'_>,
    from: &mut Inbox<R>,
    to: &mut W,
) -> Result<Answered, Failed> {
    let mut interim = 0;
    let mut head = loop {
        let mut head = read_head(from, asked.method).await.map_err(Failed::Unanswered)?;
        if !head.is_interim() {
            break head;
        }
        // SECURITY: E8; these could go on for ever.
        interim += 1;
        if interim > limits::INTERIM_RESPONSES {
            return Err(Failed::Unanswered(invalid("it sends interim responses without end")));
        }
        if asked.version == Version::Http11 {
            mask(asked, &mut head);
            let bytes = head.to_client(asked.version, false);
            send(to, &bytes).await.map_err(|_| Failed::Midway)?;
        }
    };
    if asked.is_forward && head.status == 407 {
        // The proxy means us by it, not the client.
        return Err(Failed::Proxy(head.status));
    }
    if head.status == 101 {
        return switch(asked, head, to).await;
    }
    mask(asked, &mut head);
    let search = match asked.echo {
        Some(echo) if head.body != ResponseBody::None => {
            Some(echo.body(&head.headers).await.map_err(Failed::Denied)?)
        }
        Some(_) | None => None,
    };
    let ends_by_close = head.body == ResponseBody::UntilClose || head.body == ResponseBody::Chunked;
    let client_stays = asked.stays && !(ends_by_close && asked.version == Version::Http10);
    let outgoing = match (head.body, asked.version) {
        (ResponseBody::Chunked | ResponseBody::UntilClose, Version::Http11) => Outgoing::Chunked,
        _ => Outgoing::Plain,
    };
    let bytes = head.to_client(asked.version, !client_stays);
    asked.has_begun.store(true, Ordering::Relaxed);
    to.write_all(&bytes).await.map_err(|_| Failed::Midway)?;
    let incoming = Incoming::of_response(head.body);
    let passed = match search {
        Some(search) => body::relay(from, incoming, to, outgoing, Some(search)).await,
        None => body::pass(from, incoming, to, outgoing).await,
    };
    passed.map_err(|broken| match broken {
        Broken::Denied(refusal) => Failed::Denied(refusal),
        Broken::Source(error) => {
            tracing::debug!(%error, "A server broke off in its answer");
            Failed::Midway
        }
        Broken::Sink => Failed::Midway,
    })?;
    to.flush().await.map_err(|_| Failed::Midway)?;
    Ok(Answered {
        server_stays: head.keeps_alive,
        client_stays,
        is_private: authenticates_connection(&head),
        switched: None,
    })
}

/// Passes the switch to a WebSocket on, if it was asked for.
async fn switch<W: AsyncWrite + Unpin>(
    asked: &Asked<'_>,
    mut head: ResponseHead,
    to: &mut W,
) -> Result<Answered, Failed> {
    // SECURITY: E8, F7; nobody asked for another protocol.
    let Some(upgrade) = asked.upgrade else {
        return Err(Failed::Unanswered(invalid("it switches protocols unasked")));
    };
    let fields = head.headers.iter().map(|own| (own.name.as_str(), own.value.as_slice()));
    let agreed = upgrade
        .check(head.status, fields)
        .map_err(|error| Failed::Unanswered(invalid(&error.to_string())))?;
    mask(asked, &mut head);
    asked.has_begun.store(true, Ordering::Relaxed);
    send(to, &head.to_switching_client()).await.map_err(|_| Failed::Midway)?;
    let switched = Some(agreed);
    Ok(Answered { server_stays: false, client_stays: false, is_private: true, switched })
}

/// Masks values of credentials in a head.
fn mask(asked: &Asked<'_>, head: &mut ResponseHead) {
    if let Some(echo) = asked.echo {
        echo.mask(&mut head.reason);
        echo.mask_fields(&mut head.headers);
    }
}

async fn send<W: AsyncWrite + Unpin>(to: &mut W, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

async fn read_head<R: AsyncRead + Unpin>(
    from: &mut Inbox<R>,
    method: &str,
) -> io::Result<ResponseHead> {
    let mut seen = 0;
    loop {
        let new = from.bytes().get(seen..).unwrap_or_default();
        // A head ends with a line: between line ends there is nothing new to see.
        if new.contains(&b'\n') || from.bytes().len() >= RequestHead::LONGEST {
            let found = ResponseHead::parse(from.bytes(), method);
            if let Some((head, length)) = found.map_err(|error| invalid(&error.to_string()))? {
                from.take(length);
                return Ok(head);
            }
        }
        seen = from.bytes().len();
        if from.more().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// NTLM and Negotiate authenticate a connection: whoever sends the next request over it would be
/// taken for the same client.
fn authenticates_connection(head: &ResponseHead) -> bool {
    ["www-authenticate", "proxy-authenticate"]
        .iter()
        .flat_map(|name| head.values(name))
        .any(is_of_connection)
}

/// Whether a field that authenticates, or asks for that, begins with such a scheme.
pub(super) fn is_of_connection(value: &[u8]) -> bool {
    let schemes: [&[u8]; 2] = [b"ntlm", b"negotiate"];
    schemes.iter().any(|scheme| {
        value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncReadExt as _, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::halves::{ReadHalf, split};

    /// A server's side that counts what is copied of it.
    struct Copied(ReadHalf<TcpStream>, Arc<AtomicUsize>);

    impl AsyncRead for Copied {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let before = into.filled().len();
            let polled = Pin::new(&mut self.0).poll_read(context, into);
            self.1.fetch_add(into.filled().len() - before, Ordering::Relaxed);
            polled
        }
    }

    impl Bare for Copied {
        fn bare<T>(&self, look: impl FnOnce(&TcpStream) -> T) -> Option<T> {
            self.0.bare(look)
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn i03_a_long_answer_of_a_server_without_values_is_not_copied() {
        const LENGTH: usize = 3_000_000;
        let ((mut server, from), (to, mut client)) = (pair().await, pair().await);
        let writing = tokio::spawn(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            server.write_all(head.as_bytes()).await.unwrap();
            server.write_all(&vec![1; LENGTH]).await.unwrap();
        });
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got.len()
        });
        let (copied, has_begun) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
        let ((read, _write), (_read, mut write)) = (split(from), split(to));
        let mut inbox = Inbox::new(Copied(read, Arc::clone(&copied)), &[]);
        let asked = Asked {
            method: "GET",
            version: Version::Http11,
            stays: true,
            upgrade: None,
            is_forward: false,
            echo: None,
            has_begun: &has_begun,
        };
        assert!(relay(&asked, &mut inbox, &mut write).await.is_ok());
        drop((write, _read));
        writing.await.unwrap();
        assert!(reading.await.unwrap() > LENGTH);
        assert!(copied.load(Ordering::Relaxed) < LENGTH / 10, "{copied:?}");
    }
}
