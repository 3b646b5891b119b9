//! What a sandbox's programs may authenticate with, as its supervisor is given it.

use crate::{Host, Port, Redacted};

/// All credentials of one sandbox.
#[derive(Clone, Debug)]
pub struct CredentialSet {
    /// Grows with every change of what is attached, or of a value.
    pub epoch: u64,
    /// Tells the placeholders of this gateway from everything else.
    pub mark: Redacted<[u8; 32]>,
    /// Each credential.
    pub all: Vec<Credential>,
}

/// One credential: what stands for it in the jail, and what is put in its place outside.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Provider and variable, as `claude/ANTHROPIC_API_KEY`: for people and the audit.
    pub name: String,
    /// What the jail holds. No secret.
    pub placeholder: String,
    /// The value itself.
    pub secret: Redacted<String>,
    /// When the value ends to be good, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// Where the value may be put; empty: nowhere.
    pub bindings: Vec<Binding>,
}

/// A place where a credential may be put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The host: one, never a wildcard.
    pub host: Host,
    /// Its port.
    pub port: Port,
    /// Paths, as a policy's `path` has them; absent: all.
    pub path: Option<String>,
    /// Where in a request.
    pub placement: Placement,
    /// The key of the rule of the sandbox's policy that makes the binding: it is for the programs of
    /// that rule alone, and for requests for which its endpoint with this `path` speaks. Absent: it
    /// is for every program.
    pub rule: Option<String>,
}

/// Where in a request a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In `Authorization`: as `Bearer`, as GitHub's `token`, or as a name or password of `Basic`.
    Authorization,
    /// The whole value of this field, in lower case.
    Header(String),
    /// The whole value of this query parameter.
    Query(String),
    /// A segment of the path, or a part of one, where this template has `{credential}`.
    Path(String),
    /// In `Authorization`, or as the whole of any field, parameter or segment of the path.
    Any,
    /// Within the body: beside another placement, or alone.
    Body,
    /// The same within a text message over a WebSocket.
    Message,
    /// In the signature of the request.
    SigV4(SigV4),
}

/// A part of what signs requests in version 4 of AWS's way, and what they may be signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    /// Which of them it is.
    pub part: SigV4Part,
    /// The service, as signatures have it: `s3`.
    pub service: String,
    /// The region.
    pub region: String,
    /// What is said of the body.
    pub payload: Payload,
}

/// What a signature says of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// What the program said of it.
    #[default]
    AsSaid,
    /// Its digest.
    Digest,
    /// Nothing: `UNSIGNED-PAYLOAD`.
    Unsigned,
}

/// What signs together. One provider has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigV4Part {
    /// The id of the key, which stands in the signature.
    KeyId,
    /// The key itself, which is never sent.
    Secret,
    /// What goes along with a key that ends to be good.
    Token,
}

impl SigV4Part {
    /// The part that a variable holds, by the names that all programs of AWS know.
    pub fn of_variable(name: &str) -> Option<Self> {
        match name {
            "AWS_ACCESS_KEY_ID" => Some(Self::KeyId),
            "AWS_SECRET_ACCESS_KEY" => Some(Self::Secret),
            "AWS_SESSION_TOKEN" => Some(Self::Token),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::KeyId => "key",
            Self::Secret => "secret",
            Self::Token => "token",
        }
    }
}

impl SigV4 {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(':');
        let part = words.next()?;
        let part = [SigV4Part::KeyId, SigV4Part::Secret, SigV4Part::Token]
            .into_iter()
            .find(|one| one.as_str() == part)?;
        let (service, region) = (words.next()?, words.next()?);
        let payload = words.next().map_or(Some(Payload::AsSaid), Payload::parse)?;
        let is_all = words.next().is_none() && is_word(service) && is_word(region);
        let (service, region) = (service.to_owned(), region.to_owned());
        is_all.then_some(Self { part, service, region, payload })
    }
}

impl Payload {
    fn parse(word: &str) -> Option<Self> {
        [Self::Digest, Self::Unsigned].into_iter().find(|one| one.as_str() == Some(word))
    }

    /// The last part of a placement; none for what is said by default.
    const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::AsSaid => None,
            Self::Digest => Some("body"),
            Self::Unsigned => Some("no_body"),
        }
    }
}

/// A placement that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a placement is `any`, `authorization`, `header:NAME`, `query:NAME`, `path:TEMPLATE`, `body`, \
     `message` or `sigv4:PART:SERVICE:REGION`"
)]
pub struct PlacementError;

impl Placement {
    /// Reads the form that [`fmt::Display`](std::fmt::Display) writes.
    pub fn parse(text: &str) -> Result<Self, PlacementError> {
        match text.split_once(':') {
            None if text == "authorization" => Ok(Self::Authorization),
            None if text == "any" => Ok(Self::Any),
            None if text == "body" => Ok(Self::Body),
            None if text == "message" => Ok(Self::Message),
            Some(("header", name)) if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            Some(("path", template)) if template.matches(CREDENTIAL).count() == 1 => {
                Ok(Self::Path(template.to_owned()))
            }
            Some(("sigv4", rest)) => SigV4::parse(rest).map(Self::SigV4).ok_or(PlacementError),
            _ => Err(PlacementError),
        }
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authorization => f.write_str("authorization"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path(template) => write!(f, "path:{template}"),
            Self::Any => f.write_str("any"),
            Self::Body => f.write_str("body"),
            Self::Message => f.write_str("message"),
            Self::SigV4(SigV4 { part, service, region, payload }) => {
                write!(f, "sigv4:{}:{service}:{region}", part.as_str())?;
                payload.as_str().map_or(Ok(()), |word| write!(f, ":{word}"))
            }
        }
    }
}

/// What a path's template has in the place of the credential.
pub const CREDENTIAL: &str = "{credential}";

/// Whether it can be a field's name (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether it can be a service or a region.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_read_what_they_write() {
        for text in [
            "authorization",
            "header:x-api-key",
            "query:key",
            "path:/bot{credential}/**",
            "any",
            "body",
            "message",
            "sigv4:key:s3:eu-central-1",
            "sigv4:key:s3:eu-central-1:body",
            "sigv4:key:s3:eu-central-1:no_body",
            "sigv4:secret:s3:us-east-1",
            "sigv4:token:s3:us-east-1",
        ] {
            assert_eq!(Placement::parse(text).expect(text).to_string(), text);
        }
        for bad in [
            "",
            "bearer",
            "body:",
            "body:token",
            "header:",
            "header:a b",
            "query:",
            "path:/x",
            "path:{credential}{credential}",
            "sigv4:key:s3",
            "sigv4:key:s3:",
            "sigv4:other:s3:us-east-1",
            "sigv4:key:s3:us/east",
            "sigv4:key:s3:us-east-1:more",
            "sigv4:key:s3:us-east-1:",
            "sigv4:key:s3:us-east-1:body:more",
            "any:",
            "message:text",
        ] {
            assert_eq!(Placement::parse(bad), Err(PlacementError), "{bad}");
        }
    }
}
