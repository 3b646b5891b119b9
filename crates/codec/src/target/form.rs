//! The forms of a request target.

use std::fmt;

use openshell_types::{Authority, Port};

use super::escape::{Unit, units};
use super::query::Pair;
use super::{Method, TargetError, canonical, query};

/// A request target in its one form: what is judged is what is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    form: Form,
    origin: Option<Origin>,
}

/// What an endpoint says about targets that two servers may read in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `%2F` in a path.
    pub encoded_slash: Doubtful,
    /// A raw `;` in a query, and keys that some servers take for one key. To be allowed only where
    /// no rule that could decide about the request names a key.
    pub query: Doubtful,
}

/// Whether something doubtful passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubtful {
    /// It is refused.
    #[default]
    Refused,
    /// It is kept as it is.
    Allowed,
}

/// Which server an absolute form names. It must be the one that the connection was judged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// How it is reached.
    pub scheme: Scheme,
    /// Host and port, the scheme's own port when none was written.
    pub authority: Authority,
}

/// The scheme of an absolute form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Path { path: String, query: Option<String>, pairs: Vec<Pair> },
    Authority(Authority),
    Asterisk,
}

impl Target {
    /// The longest target, in octets, as it is written and as it is forwarded.
    pub const LONGEST: usize = 4096;

    /// Reads the target of a request line, or `:path` of HTTP/2, in a form that fits the method
    /// (RFC 9112, section 3.2).
    pub fn parse(method: &Method, raw: &[u8], options: Options) -> Result<Self, TargetError> {
        let text = checked(raw)?;
        let plain = |form| Self { form, origin: None };
        let target = if method.as_str() == "CONNECT" {
            plain(Form::Authority(Authority::parse(text).map_err(TargetError::Authority)?))
        } else if method.as_str() == "OPTIONS" && text == "*" {
            plain(Form::Asterisk)
        } else if text.starts_with('/') {
            plain(Form::read(text, options)?)
        } else {
            Self::absolute(method, text, options)?
        };
        if target.to_string().len() > Self::LONGEST {
            return Err(TargetError::TooLong);
        }
        Ok(target)
    }

    /// The path that is judged: from its first `/`, without the query. `*` for the server as a
    /// whole, empty for a `CONNECT`.
    pub fn path(&self) -> &str {
        match &self.form {
            Form::Path { path, .. } => path,
            Form::Authority(_) => "",
            Form::Asterisk => "*",
        }
    }

    /// The query that is forwarded, as it was written and without its `?`.
    pub fn query(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Path { query, .. } => query.as_deref().map(str::as_bytes),
            _ => None,
        }
    }

    /// The keys and values of the query, decoded and in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs: &[Pair] = match &self.form {
            Form::Path { pairs, .. } => pairs,
            _ => &[],
        };
        pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What the absolute form said about the server.
    pub const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Where a `CONNECT` leads.
    pub const fn authority(&self) -> Option<&Authority> {
        match &self.form {
            Form::Authority(authority) => Some(authority),
            _ => None,
        }
    }

    /// What goes upstream; an absolute form became the form for the server itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn absolute(method: &Method, text: &str, options: Options) -> Result<Self, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::Form)?;
        let scheme = Scheme::parse(scheme)?;
        let (authority, rest) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at_checked(at).ok_or(TargetError::Form)?,
            None => (rest, ""),
        };
        let authority = Authority::parse_with_default(authority, Some(scheme.port()))
            .map_err(TargetError::Authority)?;
        let form = match rest {
            // RFC 9112, section 3.2.4: the last proxy asks for the server as a whole.
            "" if method.as_str() == "OPTIONS" => Form::Asterisk,
            _ => Form::read(rest, options)?,
        };
        Ok(Self { form, origin: Some(Origin { scheme, authority }) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Path { path, query: Some(query), .. } => write!(f, "{path}?{query}"),
            Form::Path { path, query: None, .. } => f.write_str(path),
            Form::Authority(authority) => authority.fmt(f),
            Form::Asterisk => f.write_str("*"),
        }
    }
}

impl Form {
    /// Reads a path, which may be empty, and what follows it.
    fn read(text: &str, options: Options) -> Result<Self, TargetError> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Ok(Self::Path {
            path: canonical::path(path, options.encoded_slash)?,
            query: query.map(str::to_owned),
            pairs: query::pairs(query.unwrap_or_default(), options.query)?,
        })
    }
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, TargetError> {
        if text.eq_ignore_ascii_case("http") {
            Ok(Self::Http)
        } else if text.eq_ignore_ascii_case("https") {
            Ok(Self::Https)
        } else {
            Err(TargetError::Scheme)
        }
    }

    const fn port(self) -> Port {
        const HTTP: Port = match Port::new(80) {
            Some(port) => port,
            None => unreachable!(),
        };
        const HTTPS: Port = match Port::new(443) {
            Some(port) => port,
            None => unreachable!(),
        };
        match self {
            Self::Http => HTTP,
            Self::Https => HTTPS,
        }
    }
}

/// The text of a target in which every byte is graphic ASCII and every `%` begins an escape.
fn checked(raw: &[u8]) -> Result<&str, TargetError> {
    if raw.len() > Target::LONGEST {
        return Err(TargetError::TooLong);
    }
    if !raw.iter().all(u8::is_ascii_graphic) {
        return Err(TargetError::Character);
    }
    if raw.contains(&b'#') {
        return Err(TargetError::Fragment);
    }
    if units(raw).any(|unit| unit == Unit::Stray) {
        return Err(TargetError::Percent);
    }
    std::str::from_utf8(raw).map_err(|_| TargetError::Character)
}
