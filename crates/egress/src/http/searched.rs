//! Credentials in what follows a head: bodies are searched for placeholders while they pass, and held
//! where values are put into them.
//!
//! | the body | what is done |
//! |---|---|
//! | was read to be judged | it is searched as it was judged; values are put into it |
//! | is for a path where a value is put into bodies, and of a kind into which one is put | it is read, and that is done |
//! | has a content coding | it is held until its end, decoded and searched, then passed as it came |
//! | is any other | it is searched while it passes |

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use openshell_codec::content::{self, ContentError};
use openshell_codec::http1::Header;
use openshell_codec::websocket::Message;
use openshell_credential::{Asked, BodySearch, Credentials, Filled, Going, Kind, Misuse};
use openshell_policy::BoundEndpoint;
use openshell_types::Authority;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::{Session, body};
use crate::authorize::Permit;
use crate::limits;
use crate::refusal::Refusal;

/// A search through the body of one request, which passes meanwhile.
pub(crate) struct Search {
    parts: BodySearch,
    coded: Option<Coded>,
    hold: Option<Hold>,
}

/// What a body takes that has to come whole before anything of it passes. SECURITY: N6; neither a
/// client that sends slowly nor a server that reads slowly has it for as long as it likes.
struct Hold {
    _room: OwnedSemaphorePermit,
    until: Instant,
}

/// A body that has to be decoded before it can be searched.
struct Coded {
    codings: Vec<Vec<u8>>,
    raw: Vec<u8>,
    credentials: Arc<Credentials>,
    to: Authority,
    path: String,
    bound: Vec<BoundEndpoint>,
}

impl Search {
    /// The search through the body of a request; `None` where there is nothing to look for.
    pub(super) fn new(credentials: &Arc<Credentials>, asked: &Asked<'_>) -> Option<Self> {
        let (going, headers) = (asked.going(), asked.headers);
        let parts = BodySearch::new(credentials, going)?;
        let parts = if is_of_messages(headers) { parts.of_messages() } else { parts };
        let codings = codings(headers);
        let coded = (!codings.is_empty()).then(|| Coded {
            codings,
            raw: Vec::new(),
            credentials: Arc::clone(credentials),
            to: going.to.clone(),
            path: going.path.to_owned(),
            bound: going.bound.to_vec(),
        });
        Some(Self { parts, coded, hold: None })
    }

    /// Waits for the room that it needs.
    pub(super) async fn reserve(&mut self, session: &Session<'_>) -> Result<(), Refusal> {
        if self.coded.is_some() && self.hold.is_none() {
            let room = body::owned_room(session, limits::SEARCHED).await?;
            self.hold = Some(Hold { _room: room, until: deadline() });
        }
        Ok(())
    }
}

/// Lets pass what may of a body, while it comes.
pub(crate) trait Sieve {
    /// Takes a part of the body, the last one if it `ends` there, and gives what may pass now.
    fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Result<Cow<'a, [u8]>, Box<Refusal>>;

    /// The same for octets that are shared.
    fn pass_shared(&mut self, part: &Bytes, ends: bool) -> Result<Bytes, Box<Refusal>> {
        self.pass(part, ends).map(|passed| shared(part, passed))
    }

    /// Until when the rest of what it holds has to come, or what it held has to be sent.
    fn until(&self) -> Option<Instant> {
        None
    }

    /// Whether something waits that may pass when nothing comes for [`limits::ANSWER_WAITS`].
    fn is_short(&self) -> bool {
        false
    }

    /// Has that pass.
    fn late(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Notes that what it gave is sent.
    fn sent(&mut self) {}

    /// Has of trailers only what may pass.
    fn trailers(&self, _fields: &mut HeaderMap) {}
}

/// What passes of shared octets, shared as they are.
pub(crate) fn shared(part: &Bytes, passed: Cow<'_, [u8]>) -> Bytes {
    match passed {
        Cow::Borrowed(bytes) => part.slice_ref(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

impl Sieve for Search {
    fn until(&self) -> Option<Instant> {
        self.hold.as_ref().map(|hold| hold.until)
    }

    fn sent(&mut self) {
        if self.coded.is_none() {
            self.hold = None;
        }
    }

    fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Result<Cow<'a, [u8]>, Box<Refusal>> {
        let refused = |misuse: Misuse| Box::new(Refusal::credential(&misuse));
        let Some(coded) = &mut self.coded else {
            return self.parts.pass(part, ends).map_err(refused);
        };
        coded.raw.extend_from_slice(part);
        let is_long = coded.raw.len() > limits::SEARCHED;
        if !is_long && !ends {
            return Ok(Cow::Borrowed(&[]));
        }
        coded.search(is_long).map_err(refused)?;
        // What cannot be decoded may be no more than it seems.
        let raw = std::mem::take(&mut coded.raw);
        self.coded = None;
        if let Some(hold) = &mut self.hold {
            hold.until = deadline();
        }
        self.parts.pass(&raw, ends).map(|bytes| Cow::Owned(bytes.into_owned())).map_err(refused)
    }
}

impl Coded {
    fn going(&self) -> Going<'_> {
        Going { to: &self.to, path: &self.path, bound: &self.bound }
    }

    /// SECURITY: I7; what cannot be read passes only to servers that no credential is for.
    fn search(&self, is_long: bool) -> Result<(), Misuse> {
        let decoded =
            if is_long { Err(ContentError::TooLong) } else { decode(&self.codings, &self.raw) };
        match decoded {
            Ok(body) => self.credentials.in_body(self.going(), &body).map_or(Ok(()), Err),
            Err(error) if self.credentials.binds(&self.to) => {
                Err(Misuse::Unread { why: error.to_string() })
            }
            Err(_) => Ok(()),
        }
    }
}

fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(limits::BODY_TIMEOUT).unwrap_or(now)
}

/// Does a part of the work for which a body is held, in the time that it has.
pub(super) async fn in_time<T>(
    until: Option<Instant>,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match until {
        Some(until) => {
            timeout_at(until, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        None => work.await,
    }
}

fn decode(codings: &[Vec<u8>], raw: &[u8]) -> Result<Vec<u8>, ContentError> {
    let codings: Option<Vec<&str>> =
        codings.iter().map(|value| std::str::from_utf8(value).ok()).collect();
    content::decode(&codings.ok_or(ContentError::Unknown)?, raw, limits::SEARCHED_DECODED)
}

fn codings(headers: &[Header]) -> Vec<Vec<u8>> {
    let named = headers.iter().filter(|header| header.name == "content-encoding");
    // Clients of S3 send a checksum behind a body so. Its chunks are searched as they are: what a
    // chunk's head cuts in two is worth nothing there.
    let is_frame = |coding: &&[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"aws-chunked");
    let without = |header: &Header| {
        let kept = header.value.split(|byte| *byte == b',').filter(|coding| !is_frame(coding));
        kept.collect::<Vec<_>>().join(&b","[..])
    };
    let all = named.map(without).filter(|value| !value.is_empty());
    let all: Vec<Vec<u8>> = all.collect();
    let is_none = all.iter().all(|value| value.eq_ignore_ascii_case(b"identity"));
    if is_none { Vec::new() } else { all }
}

/// Whether both sides may talk in turns within one request.
pub(super) fn is_of_messages(headers: &[Header]) -> bool {
    const TYPES: [&[u8]; 2] = [b"application/grpc", b"application/connect+"];
    headers.iter().filter(|header| header.name == "content-type").any(|header| {
        TYPES.iter().any(|kind| {
            header.value.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))
        })
    })
}

/// Whether a body with these fields is read as a whole, since a value may be put into it, or since it
/// is signed.
pub(super) fn is_held(permit: &Permit, path: &str, headers: &[Header]) -> bool {
    let bound = permit.bound_endpoints(path);
    let going = Going { to: permit.to(), path, bound: &bound };
    let credentials = permit.credentials();
    credentials.signs_body(going, headers)
        || credentials.fills_bodies(going) && Kind::of(headers).is_some()
}

/// Such a body without its codings; `None` when it has none.
pub(super) fn decoded(headers: &[Header], raw: &[u8]) -> Result<Option<Vec<u8>>, Misuse> {
    let codings = codings(headers);
    if codings.is_empty() || raw.is_empty() {
        return Ok(None);
    }
    decode(&codings, raw).map(Some).map_err(|error| Misuse::Unread { why: error.to_string() })
}

/// Searches a body that was read, its codings undone, and puts values into it.
pub(super) fn fill(
    credentials: &Credentials,
    asked: &Asked<'_>,
    body: &[u8],
) -> Result<Option<Filled>, Misuse> {
    if !credentials.search_bodies(asked.to) {
        return Ok(None);
    }
    credentials.fill(asked, Kind::of(asked.headers), body, Timestamp::now().as_millisecond())
}

/// Searches a message, and puts values into a text: the one that goes out, if it is another.
pub(super) fn fill_message(
    credentials: &Credentials,
    asked: &Asked<'_>,
    message: &Message,
) -> Result<Option<Message>, Misuse> {
    if !credentials.search_bodies(asked.to) {
        return Ok(None);
    }
    let octets = match message {
        Message::Text(text) => {
            let now = Timestamp::now().as_millisecond();
            let filled = credentials.fill_message(asked, text, now)?;
            let text = |filled: Filled| String::from_utf8(filled.body.expose().clone()).ok();
            return Ok(filled.and_then(text).map(Message::Text));
        }
        Message::Binary(octets) | Message::Ping(octets) | Message::Pong(octets) => octets,
        Message::Close { reason, .. } => reason.as_bytes(),
    };
    credentials.in_body(asked.going(), octets).map_or(Ok(None), Err)
}
