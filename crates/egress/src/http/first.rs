//! What a client's first bytes say about the protocol that it speaks.

use std::io;

use openshell_codec::client_hello::{ClientHello, Progress, Reader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::exchange::read_some;
use crate::limits;
use crate::refusal::Refusal;

/// The first bytes of a client, as far as they were read.
pub(crate) struct First {
    held: Vec<u8>,
    hello: Reader,
}

/// A protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// TLS, with this hello.
    Tls(ClientHello),
    /// HTTP/1, in plain text.
    Http1,
    /// HTTP/2, in plain text.
    Http2,
}

impl First {
    /// Of a client of which `held` was read already.
    pub(crate) fn new(held: Vec<u8>) -> Self {
        Self { held, hello: Reader::new() }
    }

    /// The bytes, which belong to whoever serves the client.
    pub(crate) fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Reads until it is clear which protocol it is.
    pub(crate) async fn listen(&mut self, client: &mut TcpStream) -> Result<Speech, Refusal> {
        let mut fed = 0;
        let mut deadline: Option<Instant> = None;
        loop {
            let progress = self.hello.feed(self.held.get(fed..).unwrap_or_default());
            fed = self.held.len();
            if let Some(verdict) = self.judge(progress) {
                return verdict;
            }
            if !self.held.is_empty() && deadline.is_none() {
                deadline = Some(Instant::now() + limits::HELLO_TIMEOUT);
            }
            let read = read_some(client, &mut self.held);
            let read = match deadline {
                // SECURITY: C7; bytes in drops are never treated as another protocol.
                Some(deadline) => timeout_at(deadline, read).await,
                None => timeout(limits::KEPT_ALIVE, read).await,
            };
            match read {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return Err(went_away(None)),
                Ok(Err(error)) => return Err(went_away(Some(&error))),
                Err(_) => {
                    let detail = "the client did not say in time which protocol it speaks";
                    return Err(Refusal::unsupported(detail.to_owned()));
                }
            }
        }
    }

    /// `None` when it takes more bytes.
    fn judge(&self, progress: Progress) -> Option<Result<Speech, Refusal>> {
        match progress {
            Progress::Hello(hello) => Some(Ok(Speech::Tls(hello))),
            Progress::Malformed(error) => {
                Some(Err(Refusal::hello("tls_malformed", error.to_string())))
            }
            Progress::NeedMore => None,
            Progress::NotTls => plain(&self.held).map(|speech| {
                speech.ok_or_else(|| {
                    let detail = "what the client says is neither HTTP nor TLS".to_owned();
                    Refusal::unsupported(detail)
                })
            }),
        }
    }
}

/// Which protocol without TLS: `Some(None)` when it is neither.
fn plain(bytes: &[u8]) -> Option<Option<Speech>> {
    if bytes.starts_with(PREFACE) {
        return Some(Some(Speech::Http2));
    }
    if PREFACE.starts_with(bytes) {
        return None;
    }
    // The token of a method, and a space.
    let is_token = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    let token = bytes.iter().take_while(|byte| is_token(byte)).count();
    match bytes.get(token) {
        Some(b' ') if token > 0 => Some(Some(Speech::Http1)),
        None if token <= LONGEST_METHOD => None,
        _ => Some(None),
    }
}

fn went_away(error: Option<&io::Error>) -> Refusal {
    let detail = match error {
        Some(error) => format!("the client went away: {error}"),
        None => "the client closed before it said anything that can be judged".to_owned(),
    };
    Refusal::no_request("no_request", &detail)
}

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest method, in octets.
const LONGEST_METHOD: usize = 32;
