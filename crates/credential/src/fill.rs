//! Putting values in the place of placeholders in a body, or a message, that is all there.

use aho_corasick::AhoCorasick;
use openshell_codec::content::MediaType;
use openshell_codec::http1::Header;
use openshell_codec::json::Json;
use openshell_types::{Placement, Redacted};

use crate::held::{Credentials, Going, Held};
use crate::misuse::Misuse;
use crate::place::{Asked, encoded};

/// Bodies into which values are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON: within strings, and not in names.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Any other text, in which a value stands as it is.
    Text,
}

impl Kind {
    /// What a body with these fields is; `None`: nothing into which values are put.
    pub fn of(headers: &[Header]) -> Option<Self> {
        let mut types = headers.iter().filter(|header| header.name == "content-type");
        // SECURITY: H3; which of two counts depends on the server.
        let (Some(written), None) = (types.next(), types.next()) else { return None };
        let media_type = MediaType::parse(&written.value).ok()?;
        let essence = media_type.essence();
        if essence == "application/json" || essence == "text/json" || essence.ends_with("+json") {
            return media_type.is_utf8().then_some(Self::Json);
        }
        if essence == "application/x-www-form-urlencoded" {
            return Some(Self::Form);
        }
        essence.starts_with("text/").then_some(Self::Text)
    }

    /// What a message is, which says nothing of its type.
    fn of_message(text: &str) -> Self {
        if Json::parse(text.as_bytes()).is_ok() { Self::Json } else { Self::Text }
    }
}

/// A body with values in it.
#[derive(Debug)]
pub struct Filled {
    /// All of it.
    pub body: Redacted<Vec<u8>>,
    /// The credentials that are in it, by name, for the audit.
    pub names: Vec<String>,
}

/// Why a body has no place for a value.
pub(crate) const OTHER: &str = "it is of another type";
const MALFORMED: &str = "it says to be JSON, and is none that every reader reads alike";
const NAME: &str = "the placeholder stands in a name, and not in a value";

impl Credentials {
    /// Puts values into a body whose codings are undone; `None` when nothing changes. The misuse that
    /// it is when a placeholder stands in it that must not.
    pub fn fill(
        &self,
        asked: &Asked<'_>,
        kind: Option<Kind>,
        body: &[u8],
        now_ms: i64,
    ) -> Result<Option<Filled>, Misuse> {
        self.fill_at(&Placement::Body, asked, (kind, body), now_ms)
    }

    fn fill_at(
        &self,
        place: &Placement,
        asked: &Asked<'_>,
        (kind, body): (Option<Kind>, &[u8]),
        now_ms: i64,
    ) -> Result<Option<Filled>, Misuse> {
        if let Some(misuse) = self.beside_values(asked.going(), body) {
            return Err(misuse);
        }
        let wanted = self.wanted(place, asked.going(), body);
        let Some(first) = wanted.first() else { return Ok(None) };
        let unfit = |why| Misuse::Unfit { name: first.name.clone(), why };
        for held in &wanted {
            asked.may_carry(held, now_ms)?;
        }
        let kind = kind.ok_or_else(|| unfit(OTHER))?;
        let values = Values::new(&wanted, kind).ok_or_else(|| unfit(OTHER))?;
        let body = match kind {
            Kind::Form | Kind::Text => values.put(body),
            Kind::Json => values.put_into_strings(body).map_err(unfit)?,
        };
        let names = wanted.iter().map(|held| held.name.clone()).collect();
        Ok(Some(Filled { body: Redacted::new(body), names }))
    }

    /// The same for a message over a WebSocket that `asked` opened.
    pub fn fill_message(
        &self,
        asked: &Asked<'_>,
        text: &str,
        now_ms: i64,
    ) -> Result<Option<Filled>, Misuse> {
        let content = (Some(Kind::of_message(text)), text.as_bytes());
        self.fill_at(&Placement::Message, asked, content, now_ms)
    }

    /// The credentials for such a body whose placeholders stand in it.
    fn wanted(&self, place: &Placement, going: Going<'_>, body: &[u8]) -> Vec<&Held> {
        let mut wanted: Vec<&Held> = Vec::new();
        for (held, bound) in self.bound(going.to) {
            let is_known = wanted.iter().any(|known| std::ptr::eq(*known, held));
            if bound.placement == *place && bound.covers(going) && !is_known {
                wanted.push(held);
            }
        }
        if wanted.is_empty() {
            return wanted;
        }
        let Ok(automaton) = AhoCorasick::new(wanted.iter().map(|held| &held.placeholder)) else {
            return Vec::new();
        };
        let mut found = vec![false; wanted.len()];
        for hit in automaton.find_iter(body) {
            if let Some(one) = found.get_mut(hit.pattern().as_usize()) {
                *one = true;
            }
        }
        let mut found = found.into_iter();
        wanted.retain(|_| found.next().unwrap_or(false));
        wanted
    }
}

/// What is put, and in the place of what.
struct Values {
    placeholders: AhoCorasick,
    values: Vec<Redacted<String>>,
}

impl Values {
    fn new(wanted: &[&Held], kind: Kind) -> Option<Self> {
        let placeholders = AhoCorasick::new(wanted.iter().map(|held| &held.placeholder)).ok()?;
        let value = |held: &&Held| {
            let secret = held.secret.expose();
            Redacted::new(match kind {
                Kind::Text => secret.clone(),
                Kind::Form => encoded(secret),
                Kind::Json => escaped(secret),
            })
        };
        Some(Self { placeholders, values: wanted.iter().map(value).collect() })
    }

    fn put(&self, bytes: &[u8]) -> Vec<u8> {
        let values: Vec<&str> = self.values.iter().map(|value| value.expose().as_str()).collect();
        self.placeholders.replace_all_bytes(bytes, &values)
    }

    /// Puts values into the strings of a JSON text.
    fn put_into_strings(&self, json: &[u8]) -> Result<Vec<u8>, &'static str> {
        // SECURITY: H2; where a string begins and ends must not depend on the reader.
        Json::parse(json).map_err(|_| MALFORMED)?;
        let mut out = Vec::with_capacity(json.len());
        let mut rest = json;
        while let Some(begin) = rest.iter().position(|byte| *byte == b'"') {
            let (before, string) = rest.split_at(begin.saturating_add(1));
            let (inner, after) = string.split_at(length(string));
            let mut behind = after.iter().skip(1).skip_while(|byte| byte.is_ascii_whitespace());
            out.extend_from_slice(before);
            if !self.placeholders.is_match(inner) {
                out.extend_from_slice(inner);
            } else if behind.next() == Some(&b':') {
                return Err(NAME);
            } else {
                out.extend_from_slice(&self.put(inner));
            }
            out.extend(after.iter().take(1));
            rest = after.get(1..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        Ok(out)
    }
}

/// How long the string is that begins here, without its quotes.
fn length(string: &[u8]) -> usize {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    string.iter().position(is_end).unwrap_or(string.len())
}

/// A text as a JSON string has it, without the quotes.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
