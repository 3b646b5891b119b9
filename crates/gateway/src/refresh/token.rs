//! Asks a token endpoint (RFC 6749), and reads what it says.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use openshell_credential::SecretValue;
use openshell_credential::profile::Strategy;
use openshell_types::Redacted;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::{Failure, Material, Plan, Recovery};
use crate::limits::{TOKEN_ANSWER, TOKEN_ERROR, TOKEN_PATIENCE};
use crate::outbound::{Outbound, OutboundError, Outgoing};

/// What a token endpoint gave.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) access: SecretValue,
    /// How long it is good, in seconds; `None` when it does not say.
    pub(crate) lifetime: Option<u64>,
    /// The refresh token that takes the place of the one before.
    pub(crate) refresh: Option<SecretValue>,
    /// All texts of the answer by name.
    texts: BTreeMap<String, Redacted<String>>,
}

impl Token {
    /// A part of the answer, if it can stand in a request.
    pub(crate) fn output(&self, name: &str) -> Option<SecretValue> {
        SecretValue::parse(self.texts.get(name)?.expose().clone()).ok()
    }
}

/// Asks for a token.
pub(crate) async fn mint(
    outbound: &Outbound,
    plan: &Plan,
    material: &Material,
) -> Result<Token, Failure> {
    let request = Outgoing {
        method: Method::POST,
        url: plan.url.clone(),
        headers: headers(plan, material)?,
        body: form(plan, material),
        patience: TOKEN_PATIENCE,
        most: TOKEN_ANSWER,
    };
    let answer = outbound.send(request).await.map_err(|error| unsent(&error))?;
    read(answer.status, answer.body.expose(), material)
}

fn unsent(error: &OutboundError) -> Failure {
    let (code, recovery) = match error {
        OutboundError::Trust(_) => ("no_trust", Recovery::FixConfiguration),
        OutboundError::Tls { .. } => ("tls_failed", Recovery::Investigate),
        OutboundError::Connect { .. } => ("unreachable", Recovery::Retry),
        OutboundError::Timeout { .. } => ("timeout", Recovery::Retry),
        OutboundError::Http { .. } | OutboundError::TooLong { .. } => {
            ("malformed_answer", Recovery::Investigate)
        }
    };
    Failure::new(code, error.to_string(), recovery)
}

fn headers(plan: &Plan, material: &Material) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let json = HeaderValue::from_static("application/json");
    let mut all = vec![(CONTENT_TYPE, form), (ACCEPT, json)];
    if plan.by_basic {
        let encode = |name| encode(material.get(name).unwrap_or_default());
        let pair = Zeroizing::new(format!(
            "{}:{}",
            encode("client_id").as_str(),
            encode("client_secret").as_str()
        ));
        let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Failure::new("malformed_client", "the client cannot be told", Recovery::Investigate)
        })?;
        value.set_sensitive(true);
        all.push((AUTHORIZATION, value));
    }
    Ok(all)
}

fn form(plan: &Plan, material: &Material) -> Redacted<Vec<u8>> {
    let grant = match plan.strategy {
        Strategy::Oauth2ClientCredentials => "client_credentials",
        _ => "refresh_token",
    };
    let mut fields = vec![("grant_type", grant)];
    let mut from_material = vec!["audience", "resource"];
    if !plan.by_basic {
        from_material.extend(["client_id", "client_secret"]);
    }
    if grant == "refresh_token" {
        from_material.push("refresh_token");
    }
    fields.extend(from_material.iter().filter_map(|name| Some((*name, material.get(name)?))));
    if !plan.scope.is_empty() {
        fields.push(("scope", &plan.scope));
    }
    let lengths = fields.iter().map(|(name, value)| name.len().saturating_add(value.len()));
    let room = lengths.fold(64, |sum: usize, one| sum.saturating_add(one.saturating_mul(3)));
    let mut body = Vec::with_capacity(room);
    for (at, (name, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        body.extend_from_slice(encode(value).as_bytes());
    }
    Redacted::new(body)
}

fn encode(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string())
}

/// Reads an answer: a token, or why there is none.
pub(super) fn read(status: StatusCode, body: &[u8], material: &Material) -> Result<Token, Failure> {
    // SECURITY: I8; what the parser says could quote what it read.
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    // Some servers say so with the status of a success.
    if let Some(failure) = answer.as_ref().and_then(|answer| answer.failure(status, material)) {
        return Err(failure);
    }
    if status != StatusCode::OK {
        let recovery = match status.as_u16() {
            408 | 429 | 500..=599 => Recovery::Retry,
            _ => Recovery::Investigate,
        };
        let message = format!("the token endpoint answered with status {}", status.as_u16());
        return Err(Failure::new("unexpected_status", message, recovery));
    }
    let wrong = |what: &str| {
        let message = format!("the token endpoint's answer {what}");
        Failure::new("malformed_answer", message, Recovery::Investigate)
    };
    let Answer { texts, expires_in } = answer.ok_or_else(|| wrong("is no JSON object"))?;
    let text = |name: &str| texts.get(name).map(|text| text.expose().clone());
    // SECURITY: I6; it stands in the head of requests.
    let secret = |name: &str| match text(name) {
        None => Ok(None),
        Some(value) => SecretValue::parse(value)
            .map(Some)
            .map_err(|error| wrong(&format!("has a `{name}` that cannot be used: {error}"))),
    };
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(wrong("has a `token_type` other than `bearer`"));
    }
    let access = secret("access_token")?.ok_or_else(|| wrong("has no `access_token`"))?;
    let refresh = secret("refresh_token")?;
    Ok(Token { access, lifetime: expires_in, refresh, texts })
}

/// The parts of an answer that are looked at.
struct Answer {
    texts: BTreeMap<String, Redacted<String>>,
    expires_in: Option<u64>,
}

impl Answer {
    /// RFC 6749, section 5.2.
    fn failure(&self, status: StatusCode, material: &Material) -> Option<Failure> {
        let error = self.texts.get("error")?.expose();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
        let code = match error.len() {
            1..=64 if error.bytes().all(is_word) && !tells(error, material) => error.as_str(),
            _ => "unreadable_error",
        };
        let description = self.texts.get("error_description").map(|text| text.expose());
        let description = description.filter(|text| !tells(text, material)).map(|text| shown(text));
        let recovery = match code {
            "invalid_grant" | "interaction_required" | "login_required" => Recovery::Reauthorize,
            "invalid_client"
            | "invalid_request"
            | "invalid_scope"
            | "unauthorized_client"
            | "unsupported_grant_type" => Recovery::FixConfiguration,
            "temporarily_unavailable" | "server_error" | "slow_down" => Recovery::Retry,
            _ if status.is_server_error() => Recovery::Retry,
            _ => Recovery::Investigate,
        };
        let message = match description {
            Some(description) if !description.is_empty() => {
                format!("the token endpoint refused: {code}: {description}")
            }
            _ => format!("the token endpoint refused: {code}"),
        };
        Some(Failure::new(code, message, recovery))
    }
}

/// SECURITY: I8; a server may say what it was sent, as it is or as it stood in a form or in `Basic`.
/// Then nothing that it says is repeated.
fn tells(text: &str, material: &Material) -> bool {
    let lower = text.to_ascii_lowercase();
    let base64 = text.replace('-', "+").replace('_', "/");
    material.secrets().any(|secret| {
        let encoded = encode(secret);
        text.contains(secret)
            || lower.contains(&encoded.to_ascii_lowercase())
            || is_within(&base64, secret.as_bytes())
            || is_within(&base64, encoded.as_bytes())
    })
}

/// Whether octets stand in a text in Base64, whatever stands around them there.
fn is_within(base64: &str, octets: &[u8]) -> bool {
    (0..3_usize).any(|before| {
        let mut padded = Zeroizing::new(vec![0; before]);
        padded.extend_from_slice(octets);
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(padded.as_slice()));
        // Of six bits each; the first and the last can be a neighbour's, too. Three letters stand in
        // many words.
        let begin = before.saturating_mul(8).div_ceil(6);
        let end = padded.len().saturating_mul(8) / 6;
        encoded.get(begin..end).is_some_and(|own| own.len() > 3 && base64.contains(own))
    })
}

/// A text from elsewhere, short and without what a terminal would obey.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let escaped: String = c.escape_debug().collect();
        let piece = if c == '"' || c == '\'' { c.to_string() } else { escaped };
        if shown.len().saturating_add(piece.len()) > TOKEN_ERROR {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let mut names = std::collections::BTreeSet::new();
        let mut answer = Answer { texts: BTreeMap::new(), expires_in: None };
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name stands twice"));
            }
            match map.next_value::<Part>()? {
                Part::Text(text) => drop(answer.texts.insert(name, text)),
                Part::Number(number) if name == "expires_in" => answer.expires_in = Some(number),
                Part::Other if name == "expires_in" => {
                    return Err(A::Error::custom("`expires_in` is no number"));
                }
                Part::Number(_) | Part::Other => {}
            }
        }
        if answer.texts.contains_key("expires_in") {
            return Err(A::Error::custom("`expires_in` is no number"));
        }
        Ok(answer)
    }
}

/// One value of an answer.
enum Part {
    Text(Redacted<String>),
    Number(u64),
    Other,
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Part, E> {
        Ok(Part::Text(Redacted::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Part, E> {
        Ok(Part::Text(Redacted::new(text)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Part, E> {
        Ok(Part::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_unit<E>(self) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Part::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Part::Other)
    }
}
