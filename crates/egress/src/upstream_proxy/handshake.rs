//! Asking a proxy for a tunnel (RFC 9110, section 9.3.6), and reading its answer strictly.

use std::fmt::Write as _;
use std::io;

use openshell_codec::http1::{HeadError, ResponseHead};
use openshell_types::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{Credentials, Outbound};
use crate::limits;
use crate::refusal::Refusal;

/// Why there is no tunnel.
#[derive(Debug)]
pub(super) enum Rejection {
    /// The proxy said no, or something that is no yes.
    Status(u16),
    /// Its answer is none of HTTP/1.
    NoHttp,
    /// Its answer is malformed.
    Malformed(HeadError),
    /// Its answer is too long.
    TooLong,
    /// It ended the connection, or the connection broke.
    Broken(io::Error),
    /// It did not answer in time.
    Late,
}

/// Asks for a tunnel to `to`. When this returns, the next byte of `stream` is the server's.
pub(super) async fn ask(
    stream: &mut Outbound,
    to: &Authority,
    credentials: Option<&Credentials>,
) -> Result<(), Rejection> {
    let request = request(to, credentials);
    let sent = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    };
    sent.await.map_err(Rejection::Broken)?;
    match read_head(stream).await?.status {
        200..=299 => Ok(()),
        status => Err(Rejection::Status(status)),
    }
}

fn request(to: &Authority, credentials: Option<&Credentials>) -> Zeroizing<String> {
    let value = credentials.map_or("", |credentials| credentials.0.expose().as_str());
    // Room from the start, so that no copy of a password is left behind when it grows: a name twice,
    // and the rest.
    let mut request = Zeroizing::new(String::with_capacity(1024_usize.saturating_add(value.len())));
    // Writing to a string does not fail.
    let _ = write!(request, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if credentials.is_some() {
        request.push_str("Proxy-Authorization: ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

/// Reads the answer line by line, and nothing behind it: that is the tunnel's.
async fn read_head(stream: &mut Outbound) -> Result<ResponseHead, Rejection> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let mut head = Vec::new();
    loop {
        take_line(stream, &mut head).await.map_err(Rejection::Broken)?;
        let begun = head.get(..BEGIN.len()).unwrap_or(&head);
        if !BEGIN.starts_with(begun) {
            return Err(Rejection::NoHttp);
        }
        if head.len() > limits::PROXY_HEAD {
            return Err(Rejection::TooLong);
        }
        if head.ends_with(b"\n") {
            // SECURITY: E8; a head that two readers could end in two places is refused.
            let found = ResponseHead::parse(&head, "CONNECT").map_err(Rejection::Malformed)?;
            if let Some((head, _)) = found {
                return Ok(head);
            }
        }
    }
}

/// Takes the next line, or what there is of it.
async fn take_line(stream: &mut Outbound, into: &mut Vec<u8>) -> io::Result<()> {
    match stream {
        Outbound::Direct(stream) => {
            let mut seen = [0; 512];
            let there = stream.peek(&mut seen).await?;
            let seen = seen.get_mut(..there).unwrap_or_default();
            let end = seen.iter().position(|byte| *byte == b'\n').map_or(there, |at| at + 1);
            let line = seen.get_mut(..end).unwrap_or_default();
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.read_exact(line).await?;
            into.extend_from_slice(line);
        }
        // What was decrypted waits in memory, so single bytes cost little.
        Outbound::ToProxy(stream) => into.push(stream.read_u8().await?),
    }
    Ok(())
}

impl Rejection {
    /// Whether the proxy failed to reach this address, so that it may reach another.
    pub(super) const fn is_about_the_address(&self) -> bool {
        matches!(self, Self::Status(500 | 502..=504) | Self::Late)
    }

    /// The same in words. SECURITY: E8; none of them is the proxy's own.
    pub(super) fn to_refusal(&self, to: &Authority) -> Refusal {
        let (predicate, detail) = match self {
            Self::Status(status) => {
                let why = match status {
                    407 => ": it wants a user and a password, or other ones",
                    403 | 405 if to.port.number() != 443 => {
                        ": many proxies let nothing but port 443 be reached by CONNECT"
                    }
                    500 | 502..=504 => ": it could not reach the server",
                    _ => "",
                };
                let detail =
                    format!("the operator's proxy refused `{to}` with status {status}{why}");
                ("upstream_proxy_refused", detail)
            }
            Self::NoHttp => garbled("its answer is not HTTP/1"),
            Self::Malformed(error) => garbled(&error.to_string()),
            Self::TooLong => {
                garbled(&format!("its answer is longer than {} bytes", limits::PROXY_HEAD))
            }
            Self::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                garbled("it closed the connection before it answered")
            }
            Self::Broken(error) => garbled(&format!("the connection broke: {error}")),
            Self::Late => garbled("it did not answer in time"),
        };
        Refusal::unreachable(predicate, detail)
    }
}

fn garbled(why: &str) -> (&'static str, String) {
    ("upstream_proxy_answer", format!("the operator's proxy gave no usable answer: {why}"))
}
