//! Where the model calls of a sandbox go, as its supervisor is given it.

use std::fmt;
use std::time::Duration;

use crate::{Authority, CallBudget, Host, Port, Redacted};

/// A protocol in which models are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelProtocol {
    /// Chat completions, completions, responses, embeddings and models of OpenAI.
    OpenAi,
    /// Messages of Anthropic.
    Anthropic,
    /// `generateContent` of Gemini.
    Gemini,
}

/// A word that names no protocol of models.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol of models; there are `openai`, `anthropic` and `gemini`")]
pub struct ModelProtocolError(String);

impl ModelProtocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];

    /// Reads the word that [`ModelProtocol::as_str`] gives.
    pub fn parse(text: &str) -> Result<Self, ModelProtocolError> {
        let named = Self::ALL.into_iter().find(|own| own.as_str() == text);
        named.ok_or_else(|| ModelProtocolError(text.escape_debug().to_string()))
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

impl fmt::Display for ModelProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The backend of one protocol: the model calls of a sandbox in this protocol go there.
#[derive(Clone, Debug)]
pub struct Route {
    /// The protocol, which calls and backend have in common.
    pub protocol: ModelProtocol,
    /// The provider whose credentials it has: for people and the audit.
    pub provider: String,
    /// The model that answers, whichever a call names.
    pub model: String,
    /// Where the backend is.
    pub base: BaseUrl,
    /// What authenticates a call: a field's name in lower case, and its whole value. `None`: nothing.
    pub auth: Option<(String, Redacted<String>)>,
    /// When that ends to be good, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// Fields of the caller that go on, beside those that always do; in lower case.
    pub passed: Vec<String>,
    /// Fields that a call gets when it has none of the name.
    pub defaults: Vec<(String, String)>,
    /// How long the backend may be silent, before its answer and within it.
    pub idle: Duration,
    /// How much its calls may take; `None`: any amount.
    pub budget: Option<CallBudget>,
}

impl Route {
    /// How long a backend may be silent when nobody said otherwise: as long as the clients of the
    /// vendors wait for an answer.
    pub const IDLE: Duration = Duration::from_secs(600);

    /// With what the keys of the policy's rules begin that say who may use a route; the word of its
    /// protocol follows. No policy that a person writes has them.
    pub const RULE_PREFIX: &str = "_inference_";

    /// The longest name of a model, in bytes.
    pub const LONGEST_MODEL: usize = 256;
}

/// The base of a backend's URLs, as `https://api.example.com/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether TLS carries it.
    pub is_secure: bool,
    /// Host and port.
    pub authority: Authority,
    /// The path before that of a call, without `/` at its end; empty: none.
    pub path: String,
}

/// A base URL that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base URL is `http[s]://HOST[:PORT][/PATH]`, without a query, a user or a password: {0}")]
pub struct BaseUrlError(&'static str);

impl BaseUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BaseUrlError("it has no scheme"))?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(BaseUrlError("its scheme is another")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            // What it says would be in every listing.
            return Err(BaseUrlError("it names a user"));
        }
        let default = if is_secure { 443 } else { 80 };
        let authority = match Host::parse(authority) {
            Ok(host) => Port::new(default).map(|port| Authority { host, port }),
            Err(_) => Authority::parse(authority).ok(),
        };
        let authority = authority.ok_or(BaseUrlError("its host or port cannot be read"))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let path = path.trim_end_matches('/');
        if !path.bytes().all(is_plain) || path.split('/').any(|part| part == "." || part == "..") {
            return Err(BaseUrlError("its path has other than letters, digits and `/-._~`"));
        }
        Ok(Self { is_secure, authority, path: path.to_owned() })
    }

    /// The port that goes without saying.
    const fn default_port(&self) -> u16 {
        if self.is_secure { 443 } else { 80 }
    }

    /// Host, and port if it has to be said: what `Host` says.
    pub fn host(&self) -> String {
        if self.authority.port.number() == self.default_port() {
            match &self.authority.host {
                Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
                host => host.to_string(),
            }
        } else {
            self.authority.to_string()
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_read_what_they_write() {
        for (text, written) in [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            ("HTTPS://API.example.com:443/v1/", "https://api.example.com/v1"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
            ("http://host.openshell.internal:11434/v1", "http://host.openshell.internal:11434/v1"),
        ] {
            assert_eq!(BaseUrl::parse(text).expect(text).to_string(), written);
        }
        for bad in [
            "",
            "api.example.com",
            "ftp://api.example.com",
            "https://",
            "https://user:password@api.example.com",
            "https://api.example.com/v1?key=x",
            "https://api.example.com/v1#x",
            "https://api.example.com/../v1",
            "https://api.example.com/a b",
            "https://api.example.com:0/",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn protocols_read_what_they_write() {
        for protocol in ModelProtocol::ALL {
            assert_eq!(ModelProtocol::parse(protocol.as_str()), Ok(protocol));
        }
        assert!(ModelProtocol::parse("OpenAI").is_err());
    }
}
