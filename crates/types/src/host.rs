//! Hosts, ports and authorities, as they stand in policies, proxy requests and DNS questions.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A DNS host name in canonical form: lower case, no trailing dot, letters, digits, hyphens and
/// underscores, labels of 1 to 63 octets, 253 in all (RFC 1035, RFC 1123; underscores occur in
/// practice). The last label is not a number, so nothing that reads as an IPv4 address in some
/// notation is ever a name (WHATWG URL, "ends in a number").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(Box<str>);

impl HostName {
    /// Reads a name of either case, with or without one trailing dot.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        const LONGEST: usize = 253;
        const LONGEST_LABEL: usize = 63;
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostNameError::Empty);
        }
        if name.len() > LONGEST {
            return Err(HostNameError::TooLong);
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return Err(HostNameError::Label);
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostNameError::Hyphen);
            }
            if let Some(bad) =
                label.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_'))
            {
                return Err(HostNameError::Character(bad));
            }
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.bytes().all(|b| b.is_ascii_digit()) || is_hex_number(last) {
            return Err(HostNameError::Number);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name, lower case and without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from the leftmost to the top-level domain.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

fn is_hex_number(label: &str) -> bool {
    label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Why a host name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostNameError {
    /// Nothing, or only a dot.
    #[error("a host name cannot be empty")]
    Empty,
    /// More than 253 octets.
    #[error("a host name has at most 253 characters")]
    TooLong,
    /// An empty label or one of more than 63 octets.
    #[error("each label of a host name has 1 to 63 characters")]
    Label,
    /// A label that begins or ends with a hyphen.
    #[error("a label of a host name neither begins nor ends with a hyphen")]
    Hyphen,
    /// A character outside of letters, digits, hyphens and underscores.
    #[error("a host name has only letters, digits, hyphens and dots, not {0:?}")]
    Character(char),
    /// The last label is a number: an address in a notation that we do not take.
    #[error("a host name does not end in a number; write an address as four decimal numbers")]
    Number,
}

/// A TCP or UDP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(NonZeroU16);

impl Port {
    /// Takes a number that is not zero.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Reads decimal digits without sign or leading zero.
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            !text.starts_with('0') && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse().ok().and_then(Self::new) } else { None }
    }

    /// The number, 1 to 65535.
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host as a client names it: a DNS name, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name.
    Name(HostName),
    /// An address literal.
    Address(IpAddr),
}

impl Host {
    /// Reads a name, a dotted quad or an IPv6 address in brackets. Addresses in any other notation
    /// (octal, hexadecimal, one number, a zone id) are refused.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner
                .parse::<Ipv6Addr>()
                .map(|addr| Self::Address(addr.into()))
                .map_err(|_| AuthorityError::Address);
        }
        if let Ok(addr) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(addr.into()));
        }
        HostName::parse(text).map(Self::Name).map_err(AuthorityError::Host)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(addr)) => addr.fmt(f),
            Self::Address(IpAddr::V6(addr)) => write!(f, "[{addr}]"),
        }
    }
}

/// A host and a port, as in `CONNECT host:port` (RFC 9112, section 3.2.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// Where to.
    pub host: Host,
    /// Which port there.
    pub port: Port,
}

impl Authority {
    /// Reads `host:port`; the port is required and user information is refused.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        Self::parse_with_default(text, None)
    }

    /// Reads `host` or `host:port`; `default` is the port of a text that names none.
    pub fn parse_with_default(text: &str, default: Option<Port>) -> Result<Self, AuthorityError> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(Port::parse(port).ok_or(AuthorityError::Port)?))
            }
            _ => (text, default),
        };
        let port = port.ok_or(AuthorityError::NoPort)?;
        Ok(Self { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why an authority was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// The host is not a name.
    #[error(transparent)]
    Host(#[from] HostNameError),
    /// The brackets do not hold an IPv6 address.
    #[error("an IPv6 address stands in brackets and has no zone")]
    Address,
    /// The port is not 1 to 65535 in plain digits.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// There is no port.
    #[error("the port is missing")]
    NoPort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for text in ["API.Example.com", "api.example.com.", "api.example.com"] {
            assert_eq!(HostName::parse(text).unwrap().as_str(), "api.example.com");
        }
        assert_eq!(HostName::parse("_dmarc.example.com").unwrap().as_str(), "_dmarc.example.com");
    }

    #[test]
    fn a01_names_with_foreign_bytes_are_refused() {
        for text in [
            "allowed.com\0.evil.com",
            "a b.com",
            "a/b.com",
            "a@b.com",
            "api\u{ff0e}com",
            "api\u{3002}com",
            "ex\u{e4}mple.com",
            "a..b",
            ".a",
            "-a.com",
            "a-.com",
            "",
            ".",
            "a:b",
            "*.com",
        ] {
            assert!(HostName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn b04_odd_notations_of_addresses_are_neither_names_nor_addresses() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "0x7f000001",
            "1.2.3.4.5",
            "127.0.0.01",
        ] {
            assert!(Host::parse(text).is_err(), "{text:?}");
        }
        for text in ["[::1%lo]", "[::1", "::1", "[127.0.0.1]", "[]"] {
            assert!(Host::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Host::parse("[::1]"), Ok(Host::Address(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(Host::parse("127.0.0.1"), Ok(Host::Address(Ipv4Addr::LOCALHOST.into())));
    }

    #[test]
    fn b11_authorities_have_a_strict_grammar() {
        let good = Authority::parse("Example.com:443").unwrap();
        assert_eq!(good.to_string(), "example.com:443");
        assert_eq!(Authority::parse("[2001:db8::1]:443").unwrap().to_string(), "[2001:db8::1]:443");
        for text in [
            "host:443@evil.com:443",
            "user@host:443",
            "host:0",
            "host:65536",
            "host:+443",
            "host: 443",
            "host:0443",
            "host:",
            "host",
            ":443",
            "[::1]",
            "[::1]443",
            "a:b:443",
        ] {
            assert!(Authority::parse(text).is_err(), "{text:?}");
        }
    }
}
