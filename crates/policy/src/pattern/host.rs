//! Host patterns: exact names, addresses, and wildcards over whole labels.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use openshell_types::{Host, HostName};

use super::glob::Piece;
use crate::address::canonical;

/// What the `host` of an endpoint stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// This name alone.
    Exact(HostName),
    /// This address alone.
    Address(IpAddr),
    /// Names that fit label by label.
    Wildcard(Wildcard),
}

/// A pattern with a star, from the leftmost label to the top-level domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    text: Box<str>,
    labels: Box<[Label]>,
}

/// One label of a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    /// This label.
    Exact(Box<str>),
    /// `*`: any one label.
    One,
    /// `**`: one label or more.
    Many,
    /// A label with stars inside, such as `api-*`; only the leftmost.
    Partial(Box<str>),
}

/// Why a text is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// Not a name, an address or a wildcard.
    Malformed(String),
    /// A wildcard over everything, or over a whole registry such as `*.com` or `*.co.uk`.
    TooBroad,
    /// A star inside a label that is not the leftmost.
    StarInside,
    /// More than one `**`.
    ManyTwice,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::TooBroad => f.write_str("anybody can register a name that this wildcard matches"),
            Self::StarInside => f.write_str(
                "a star stands for a whole label; inside a label only in the leftmost one",
            ),
            Self::ManyTwice => f.write_str("`**` stands at most once in a host"),
        }
    }
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.contains('*') {
            return Wildcard::parse(text).map(Self::Wildcard);
        }
        // An IPv6 address is unmistakable here without its brackets, too.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(canonical(address.into())));
        }
        match Host::parse(text) {
            Ok(Host::Name(name)) => Ok(Self::Exact(name)),
            Ok(Host::Address(address)) => Ok(Self::Address(canonical(address))),
            Err(error) => Err(HostError::Malformed(error.to_string())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Wildcard(wildcard) => f.write_str(&wildcard.text),
        }
    }
}

impl Wildcard {
    fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        // With each star replaced by a letter it must be a name: that checks lengths and bytes.
        HostName::parse(&text.replace('*', "x"))
            .map_err(|error| HostError::Malformed(error.to_string()))?;
        let mut labels = Vec::new();
        for (index, label) in text.split('.').enumerate() {
            labels.push(match label {
                "*" => Label::One,
                "**" => Label::Many,
                _ if !label.contains('*') => Label::Exact(label.into()),
                _ if index == 0 && !label.contains("**") => Label::Partial(label.into()),
                _ => return Err(HostError::StarInside),
            });
        }
        if labels.iter().filter(|label| **label == Label::Many).count() > 1 {
            return Err(HostError::ManyTwice);
        }
        let wildcard = Self { text: text.into(), labels: labels.into() };
        if wildcard.is_too_broad() { Err(HostError::TooBroad) } else { Ok(wildcard) }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern read from right to left. Names have no empty labels, so a star between dots (or
    /// a dot and an end) is a label, and two stars are labels.
    pub fn reversed(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.text.len());
        for label in self.labels.iter().rev() {
            if !pieces.is_empty() {
                pieces.push(Piece::Byte(b'.'));
            }
            match label {
                Label::One => pieces.push(Piece::Within),
                Label::Many => pieces.push(Piece::Across),
                Label::Exact(text) | Label::Partial(text) => {
                    pieces.extend(Piece::of_path(text).into_iter().rev());
                }
            }
        }
        pieces
    }

    /// The labels without stars at the end: what every matching name ends with.
    fn fixed_end(&self) -> Vec<&str> {
        let mut end: Vec<&str> = self
            .labels
            .iter()
            .rev()
            .map_while(|label| match label {
                Label::Exact(text) => Some(&**text),
                _ => None,
            })
            .collect();
        end.reverse();
        end
    }

    // SECURITY: `*.com` or `*.co.uk` allows whoever buys a name there (A6). So at least one label
    // below a registry's suffix must be fixed.
    fn is_too_broad(&self) -> bool {
        let end = self.fixed_end().join(".");
        match psl::suffix(end.as_bytes()) {
            None => true,
            // A suffix that is not on the list (an internal domain, say) is one label long.
            Some(suffix) => {
                suffix.typ() != Some(psl::Type::Private) && suffix.as_bytes().len() == end.len()
            }
        }
    }

    /// The suffix that strangers share, such as `github.io`, when all names beneath it match.
    pub fn shared_suffix(&self) -> Option<String> {
        let end = self.fixed_end().join(".");
        let suffix = psl::suffix(end.as_bytes())?;
        let shared =
            suffix.typ() == Some(psl::Type::Private) && suffix.as_bytes().len() == end.len();
        shared.then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a06_wildcards_over_a_registry_are_refused() {
        for text in
            ["*", "**", "*.com", "**.com", "*.co.uk", "a.*.com", "*.*.com", "x.**.org", "*.uk"]
        {
            assert_eq!(HostPattern::parse(text), Err(HostError::TooBroad), "{text}");
        }
        for text in ["*.example.com", "**.example.co.uk", "api.*.example.com", "*.corp.internal"] {
            assert!(matches!(HostPattern::parse(text), Ok(HostPattern::Wildcard(_))), "{text}");
        }
    }

    #[test]
    fn a06_wildcards_over_a_shared_suffix_are_known() {
        let Ok(HostPattern::Wildcard(wildcard)) = HostPattern::parse("*.github.io") else {
            panic!()
        };
        assert_eq!(wildcard.shared_suffix().as_deref(), Some("github.io"));
        let Ok(HostPattern::Wildcard(wildcard)) = HostPattern::parse("*.me.github.io") else {
            panic!()
        };
        assert_eq!(wildcard.shared_suffix(), None);
    }

    #[test]
    fn reads_names_addresses_and_wildcards() {
        assert!(matches!(HostPattern::parse("Api.Example.com."), Ok(HostPattern::Exact(_))));
        for text in ["10.0.0.1", "2001:db8::1", "[2001:db8::1]"] {
            assert!(matches!(HostPattern::parse(text), Ok(HostPattern::Address(_))), "{text}");
        }
        for text in
            ["", "a b", "127.1", "0x7f.1", "a..*.com", "https://x.com", "x.com:443", "api.*"]
        {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(HostPattern::parse("a.b*.example.com"), Err(HostError::StarInside));
        assert_eq!(HostPattern::parse("**.a.**.example.com"), Err(HostError::ManyTwice));
        assert_eq!(HostPattern::parse("x**.example.com"), Err(HostError::StarInside));
    }
}
