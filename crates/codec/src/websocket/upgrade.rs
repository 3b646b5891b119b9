//! The handshake (RFC 6455, section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use thiserror::Error;

use super::extension::{Deflate, Offer, is_token, parse};
use crate::http1::Version;

/// A client's wish to speak WebSocket, and what of its offers may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    key: String,
    offers: Vec<Offer>,
    protocols: Vec<String>,
}

/// What a server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Compression, when it is in use.
    pub deflate: Option<Deflate>,
    /// The subprotocol, when there is one.
    pub protocol: Option<String>,
}

/// Why a client's request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UpgradeError {
    /// Not `GET` (RFC 6455, section 4.1).
    #[error("a WebSocket is not asked for with GET")]
    Method,
    /// Not HTTP/1.1.
    #[error("a WebSocket is not asked for with HTTP/1.1")]
    Version,
    /// `Upgrade` names another protocol, or several.
    #[error("the upgrade is to another protocol than WebSocket")]
    Protocol,
    /// `Connection` does not list `upgrade`.
    #[error("the upgrade is not named by `Connection`")]
    Connection,
    /// The request has a body, behind which the frames would begin.
    #[error("a WebSocket is asked for with a body")]
    Body,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("the WebSocket version is not 13")]
    WebSocketVersion,
    /// Not one `Sec-WebSocket-Key` of 16 octets in base64.
    #[error("the WebSocket key is missing or malformed")]
    Key,
    /// `Sec-WebSocket-Extensions` is malformed or longer than 4 KiB.
    #[error("the offered WebSocket extensions are malformed or too many")]
    Extensions,
    /// `Sec-WebSocket-Protocol` is malformed, names one twice or more than 32, or is longer than
    /// 4 KiB.
    #[error("the offered WebSocket subprotocols are malformed or too many")]
    Subprotocols,
}

/// Why a server's answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The status is not 101.
    #[error("the server does not switch protocols")]
    Status,
    /// `Upgrade`, `Connection` or the framing is not that of a WebSocket.
    #[error("the server switches to something that is no WebSocket")]
    Protocol,
    /// Not one `Sec-WebSocket-Accept` that was made from the key.
    #[error("the server's answer does not belong to the WebSocket key")]
    Accept,
    /// An extension, or a parameter, that was not offered, or is malformed.
    #[error("the server agrees to a WebSocket extension that was not offered")]
    Extension,
    /// A subprotocol that was not offered, or several.
    #[error("the server agrees to a WebSocket subprotocol that was not offered")]
    Subprotocol,
}

impl Upgrade {
    /// The most subprotocols that a client may offer.
    pub const MOST_SUBPROTOCOLS: usize = 32;
    /// The most octets that the subprotocols, and the extensions, of a request may have.
    pub const LONGEST_OFFERS: usize = 4096;

    /// Reads a request. `None`: it has no `Upgrade` field, so that no server may switch protocols
    /// for it. An upgrade to anything but a WebSocket is refused.
    pub fn parse<'a>(
        method: &str,
        version: Version,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Option<Self>, UpgradeError> {
        let fields = Fields::new(fields);
        if fields.values("upgrade").next().is_none() {
            return Ok(None);
        }
        if !fields.switches() {
            return Err(UpgradeError::Protocol);
        }
        if method != "GET" {
            return Err(UpgradeError::Method);
        }
        if version != Version::Http11 {
            return Err(UpgradeError::Version);
        }
        if !fields.connection_switches() {
            return Err(UpgradeError::Connection);
        }
        // SECURITY: F7, E1; octets behind the head are either a body or frames.
        if fields.has_body() {
            return Err(UpgradeError::Body);
        }
        if fields.single("sec-websocket-version") != Some("13") {
            return Err(UpgradeError::WebSocketVersion);
        }
        let key = fields
            .single("sec-websocket-key")
            .filter(|key| STANDARD.decode(key).is_ok_and(|octets| octets.len() == KEY_OCTETS))
            .ok_or(UpgradeError::Key)?;
        Ok(Some(Self { key: key.to_owned(), offers: offers(&fields)?, protocols: names(&fields)? }))
    }

    /// The same without any extension on offer, so that messages come as they are.
    #[must_use]
    pub fn without_extensions(self) -> Self {
        Self { offers: Vec::new(), ..self }
    }

    /// The key, as the client wrote it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What `Sec-WebSocket-Accept` must be (RFC 6455, section 4.2.2).
    pub fn accept(&self) -> String {
        let hash = Sha1::new().chain_update(&self.key).chain_update(GUID).finalize();
        STANDARD.encode(hash)
    }

    /// The value of `Sec-WebSocket-Extensions` that may be forwarded; `None` when no offer may.
    pub fn extensions(&self) -> Option<String> {
        let offers: Vec<_> = self.offers.iter().map(ToString::to_string).collect();
        (!offers.is_empty()).then(|| offers.join(", "))
    }

    /// The offered subprotocols, in order.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// Checks a server's answer against what was offered (RFC 6455, section 4.1).
    pub fn check<'a>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Agreed, AnswerError> {
        if status != 101 {
            return Err(AnswerError::Status);
        }
        let fields = Fields::new(fields);
        if !fields.switches() || !fields.connection_switches() || fields.has_body() {
            return Err(AnswerError::Protocol);
        }
        if fields.single("sec-websocket-accept") != Some(&self.accept()) {
            return Err(AnswerError::Accept);
        }
        Ok(Agreed {
            deflate: self.agreed_deflate(&fields)?,
            protocol: self.agreed_protocol(&fields)?,
        })
    }

    fn agreed_deflate(&self, fields: &Fields<'_>) -> Result<Option<Deflate>, AnswerError> {
        let mut agreed = None;
        for value in fields.values("sec-websocket-extensions") {
            let extensions = text(value).and_then(parse).ok_or(AnswerError::Extension)?;
            for extension in &extensions {
                let deflate = Deflate::from_extension(extension)
                    .filter(|answer| self.offers.iter().any(|offer| offer.covers(answer)))
                    .ok_or(AnswerError::Extension)?;
                if agreed.replace(deflate).is_some() {
                    return Err(AnswerError::Extension);
                }
            }
        }
        Ok(agreed)
    }

    fn agreed_protocol(&self, fields: &Fields<'_>) -> Result<Option<String>, AnswerError> {
        if fields.values("sec-websocket-protocol").next().is_none() {
            return Ok(None);
        }
        fields
            .single("sec-websocket-protocol")
            .and_then(|agreed| self.protocols.iter().find(|offered| *offered == agreed))
            .cloned()
            .map(Some)
            .ok_or(AnswerError::Subprotocol)
    }
}

/// The offers that may be forwarded.
fn offers(fields: &Fields<'_>) -> Result<Vec<Offer>, UpgradeError> {
    let mut offers = Vec::new();
    for value in fields.bounded("sec-websocket-extensions").ok_or(UpgradeError::Extensions)? {
        let extensions = text(value).and_then(parse).ok_or(UpgradeError::Extensions)?;
        offers.extend(extensions.iter().filter_map(Offer::from_extension));
    }
    Ok(offers)
}

/// The offered subprotocols (RFC 6455, section 4.1: each a token, none twice).
fn names(fields: &Fields<'_>) -> Result<Vec<String>, UpgradeError> {
    let mut names = Vec::new();
    for value in fields.bounded("sec-websocket-protocol").ok_or(UpgradeError::Subprotocols)? {
        for name in text(value).ok_or(UpgradeError::Subprotocols)?.split(',') {
            let name = name.trim_matches(SPACE).to_owned();
            if !is_token(&name)
                || names.contains(&name)
                || names.len() >= Upgrade::MOST_SUBPROTOCOLS
            {
                return Err(UpgradeError::Subprotocols);
            }
            names.push(name);
        }
    }
    Ok(names)
}

/// The fields of a head, in order.
struct Fields<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Fields<'a> {
    fn new(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(fields.into_iter().collect())
    }

    /// The values of a field, whose name may be written in any case.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1)
    }

    /// The one value of a field.
    fn single(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (Some(value), None) => text(value),
            _ => None,
        }
    }

    /// The values of a field, unless they are longer than a client's offers may be.
    fn bounded(&self, name: &str) -> Option<impl Iterator<Item = &'a [u8]>> {
        let length: usize = self.values(name).map(<[u8]>::len).sum();
        (length <= Upgrade::LONGEST_OFFERS).then(|| self.values(name))
    }

    /// Whether `Upgrade` is `websocket` and nothing else.
    fn switches(&self) -> bool {
        self.single("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
    }

    /// Whether `Connection` lists `upgrade`.
    fn connection_switches(&self) -> bool {
        self.values("connection")
            .filter_map(text)
            .flat_map(|list| list.split(','))
            .any(|option| option.trim_matches(SPACE).eq_ignore_ascii_case("upgrade"))
    }

    /// Whether a body is announced.
    fn has_body(&self) -> bool {
        self.values("transfer-encoding").next().is_some()
            || self.values("content-length").any(|length| text(length) != Some("0"))
    }
}

/// A value as text, without white space at its ends; `None` when it is not ASCII.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
        .map(|text| text.trim_matches(SPACE))
}

/// White space of a field (RFC 9110, section 5.6.3).
const SPACE: [char; 2] = [' ', '\t'];

/// Octets of a key.
const KEY_OCTETS: usize = 16;

/// What is hashed behind the key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
