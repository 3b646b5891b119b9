//! What servers answer, searched for the values that go to them: a server that tells what it was
//! asked, or keeps it and tells it later, would give the sandbox what it must not hold.
//!
//! | the answer | what is done |
//! |---|---|
//! | its fields, and trailers | values are masked; a field whose name has one in it does not pass |
//! | its body, as it is | values are masked while it passes; what may begin one waits, and a few octets of it for a second |
//! | its body, with a content coding | it passes as it came, and is decoded beside that; it is broken off before a value is whole |
//! | with a coding that cannot be undone | it does not pass |
//! | messages of a WebSocket | as a body; servers are not offered to compress them |

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use openshell_codec::content::{ContentError, Decoder};
use openshell_codec::http1::Header;
use openshell_credential::{Disclosure, EchoSearch, Echoes, Misuse};
use tokio::sync::OwnedSemaphorePermit;

use super::searched::{Sieve, is_of_messages};
use super::{Session, body, record};
use crate::limits;
use crate::refusal::Refusal;

/// What is looked for in the answer to one request, and of what it is told.
pub(crate) struct Echo<'a> {
    session: &'a Session<'a>,
    echoes: Arc<Echoes>,
    method: String,
    path: String,
    /// One event is enough: the others would say the same.
    is_told: AtomicBool,
}

impl<'a> Echo<'a> {
    /// Of a request for which this is looked for.
    pub(crate) fn new(
        session: &'a Session<'a>,
        echoes: Arc<Echoes>,
        (method, path): (&str, &str),
    ) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { session, echoes, method, path, is_told: AtomicBool::new(false) }
    }

    /// What is looked for now. A value that changed since may stand in what is still coming; where
    /// none is bound any more, the ones of before are looked for to the end.
    pub(crate) fn current(&self) -> Arc<Echoes> {
        let policy = self.session.context.policy.borrow();
        let in_force = policy.credentials.echoes(&self.session.to);
        Arc::clone(in_force.unwrap_or(&self.echoes))
    }

    /// Masks what is found in a text.
    pub(crate) fn mask(&self, text: &mut [u8]) {
        if let Some(name) = self.current().mask(text) {
            self.tell(&name);
        }
    }

    /// The same in the fields of a head.
    pub(crate) fn mask_fields(&self, fields: &mut Vec<Header>) {
        fields.retain(|field| !self.is_named(field.name.as_bytes()));
        fields.iter_mut().for_each(|field| self.mask(&mut field.value));
    }

    /// The same in the fields of a head or of trailers.
    pub(crate) fn mask_map(&self, fields: &mut HeaderMap) {
        for name in named(fields, |name| self.is_named(name)) {
            fields.remove(name);
        }
        for value in fields.values_mut() {
            if let Some(masked) = self.masked(value) {
                *value = masked;
            }
        }
    }

    /// Whether something is found in the name of a field.
    fn is_named(&self, name: &[u8]) -> bool {
        let found = self.current().mask(&mut name.to_vec());
        found.inspect(|name| self.tell(name)).is_some()
    }

    /// The same in one value; `None`: nothing is found.
    fn masked(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let (masked, name) = masked(&self.current(), value)?;
        self.tell(&name);
        Some(masked)
    }

    /// Reports that a value was masked.
    pub(crate) fn tell(&self, name: &str) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let (name, how) = (name.to_owned(), Disclosure::Masked);
            let refusal = Refusal::credential(&Misuse::Echoed { name, how });
            record::cut(self.session, (&self.method, &self.path), &refusal);
        }
    }

    /// The search through the body that follows a head with these fields; an error when it cannot
    /// be searched.
    pub(crate) async fn body(&self, fields: &[Header]) -> Result<Answer<'_>, Box<Refusal>> {
        let codings: Vec<&[u8]> = fields
            .iter()
            .filter(|field| field.name == "content-encoding")
            .map(|field| field.value.as_slice())
            .collect();
        // What has no stated end may be a stream whose reader acts on each part of it.
        let is_stream =
            is_of_messages(fields) || !fields.iter().any(|field| field.name == "content-length");
        let search = AnswerSearch::new(&self.current(), &codings, is_stream);
        let search = search.map_err(|misuse| Refusal::credential(&misuse))?;
        let room = match search.memory() {
            0 => None,
            octets => Some(body::room_for_decoder(self.session, octets).await?),
        };
        Ok(Answer { echo: self, search, _room: room })
    }
}

/// The fields of such names.
pub(crate) fn named(fields: &HeaderMap, is: impl Fn(&[u8]) -> bool) -> Vec<HeaderName> {
    fields.keys().filter(|name| is(name.as_str().as_bytes())).cloned().collect()
}

/// A value of a field in which something is masked, and the name of the first credential.
pub(crate) fn masked(echoes: &Echoes, value: &HeaderValue) -> Option<(HeaderValue, Arc<str>)> {
    if !echoes.stands_in(value.as_bytes()) {
        return None;
    }
    let mut octets = value.as_bytes().to_vec();
    let name = echoes.mask(&mut octets)?;
    // What is not a field's value afterwards, which nothing is, is not told at all.
    Some((HeaderValue::from_bytes(&octets).unwrap_or(HeaderValue::from_static("")), name))
}

/// The body of an answer, on its way to its client.
pub(crate) struct Answer<'a> {
    echo: &'a Echo<'a>,
    search: AnswerSearch,
    /// For what a decoder holds.
    _room: Option<OwnedSemaphorePermit>,
}

impl Sieve for Answer<'_> {
    fn pass<'b>(&mut self, part: &'b [u8], ends: bool) -> Result<Cow<'b, [u8]>, Box<Refusal>> {
        self.search.look_for(&self.echo.current());
        let passed = self.search.pass(part, ends);
        if let Some(name) = self.search.found() {
            self.echo.tell(name);
        }
        passed.map_err(|misuse| Box::new(Refusal::credential(&misuse)))
    }

    fn is_short(&self) -> bool {
        self.search.is_short()
    }

    fn late(&mut self) -> Vec<u8> {
        self.search.late()
    }

    fn trailers(&self, fields: &mut HeaderMap) {
        self.echo.mask_map(fields);
    }
}

/// A search through the body of an answer.
pub(crate) enum AnswerSearch {
    Plain(EchoSearch),
    Coded(Coded),
}

/// One that is decoded beside its way.
pub(crate) struct Coded {
    decoder: Decoder,
    search: EchoSearch,
    /// Through what comes as it is: some codings have room for what is no part of the body, such as a
    /// file's name in gzip (RFC 1952, section 2.3).
    raw: EchoSearch,
    /// What came and waits, since what it becomes may be the beginning of a value.
    held: Vec<u8>,
}

impl AnswerSearch {
    /// Of a body with these values of `Content-Encoding`. `is_of_messages`: both sides may talk in
    /// turns within it.
    pub(crate) fn new(
        echoes: &Arc<Echoes>,
        codings: &[&[u8]],
        is_of_messages: bool,
    ) -> Result<Self, Misuse> {
        let plain = EchoSearch::new(Arc::clone(echoes));
        let texts: Option<Vec<&str>> =
            codings.iter().map(|value| std::str::from_utf8(value).ok()).collect();
        let texts = texts.ok_or(ContentError::Unknown).map_err(veiled)?;
        let texts: Vec<&str> =
            texts.iter().flat_map(|text| text.split(',')).filter(|one| is_coding(one)).collect();
        let decoder = if texts.is_empty() { None } else { Decoder::new(&texts).map_err(veiled)? };
        Ok(match decoder {
            Some(decoder) => {
                let search = plain.of_messages();
                let raw = EchoSearch::new(Arc::clone(echoes)).of_messages();
                Self::Coded(Coded { decoder, search, raw, held: Vec::new() })
            }
            None if is_of_messages => Self::Plain(plain.of_messages()),
            None => Self::Plain(plain),
        })
    }

    /// Most octets that its decoder holds; 0 when there is none.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Coded(coded) => coded.decoder.memory(),
        }
    }

    /// How many octets wait for what follows them.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Plain(search) => search.waiting(),
            Self::Coded(coded) => coded.held.len(),
        }
    }

    /// Whether something waits that may pass when nothing follows it for long.
    fn is_short(&self) -> bool {
        match self {
            Self::Plain(search) => search.is_short(),
            Self::Coded(Coded { decoder, search, raw, .. }) => {
                let is_free = |one: &EchoSearch| one.is_short() || one.waiting() == 0;
                let is_any = search.waiting().max(raw.waiting()) > 0;
                is_any && decoder.is_settled() && is_free(search) && is_free(raw)
            }
        }
    }

    /// Has that pass.
    fn late(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(search) => search.late(),
            Self::Coded(coded) => {
                coded.search.late();
                coded.raw.late();
                std::mem::take(&mut coded.held)
            }
        }
    }

    /// Looks for others from now on.
    pub(crate) fn look_for(&mut self, echoes: &Arc<Echoes>) {
        match self {
            Self::Plain(search) => search.look_for(echoes),
            Self::Coded(Coded { search, raw, .. }) => {
                search.look_for(echoes);
                raw.look_for(echoes);
            }
        }
    }

    /// The name of a credential whose value was masked.
    pub(crate) const fn found(&self) -> Option<&Arc<str>> {
        match self {
            Self::Plain(search) => search.found(),
            Self::Coded(_) => None,
        }
    }

    /// Takes a part, the last one if it `ends` there, and gives what may pass now. After an error
    /// nothing more may pass.
    pub(crate) fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Result<Cow<'a, [u8]>, Misuse> {
        match self {
            Self::Plain(search) => Ok(search.pass(part, ends)),
            Self::Coded(coded) => coded.pass(part, ends),
        }
    }
}

impl Coded {
    fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Result<Cow<'a, [u8]>, Misuse> {
        let search = &mut self.search;
        let decoded = self.decoder.push(part, &mut |given| {
            search.pass(given, false);
        });
        self.raw.pass(part, ends);
        if ends {
            self.search.pass(&[], true);
        }
        // What was given before an error is known, too.
        if let Some(name) = self.search.found().or(self.raw.found()) {
            let (name, how) = (name.to_string(), Disclosure::BrokenOff);
            return Err(Misuse::Echoed { name, how });
        }
        decoded.map_err(veiled)?;
        let is_settled = self.decoder.is_settled();
        if ends && !is_settled {
            return Err(veiled(ContentError::Truncated));
        }
        let waiting = self.search.waiting().max(self.raw.waiting());
        let waits = !ends && (waiting > 0 || !is_settled);
        if !waits && self.held.is_empty() {
            return Ok(Cow::Borrowed(part));
        }
        self.held.extend_from_slice(part);
        if !waits {
            return Ok(Cow::Owned(std::mem::take(&mut self.held)));
        }
        if self.held.len() > limits::ANSWER_HELD {
            return Err(veiled(ContentError::TooLong));
        }
        Ok(Cow::Borrowed(&[]))
    }
}

/// Whether this is a coding, and none of what servers write there that code nothing: an empty element
/// (RFC 9110, section 5.6.1.2), the frame of uploads to S3, which its servers keep with what was
/// uploaded, or something else that clients pass over.
fn is_coding(name: &str) -> bool {
    const NONE: [&str; 6] = ["", "aws-chunked", "none", "binary", "utf-8", "identity"];
    !NONE.iter().any(|none| name.trim_ascii().eq_ignore_ascii_case(none))
}

fn veiled(error: ContentError) -> Misuse {
    Misuse::Veiled { why: error.to_string() }
}
