//! The operator's proxy, through which upstreams are reached: where it is, and what goes around it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::{Authority, AuthorityError, HostName, HostNameError, Port};

/// Where a proxy is, and how it is spoken to: `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// What carries the connection to it.
    pub scheme: ProxyScheme,
    /// Host and port.
    pub authority: Authority,
}

/// What carries a connection to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// TCP alone.
    Http,
    /// TLS, with the proxy's certificate verified.
    Https,
}

impl ProxyUrl {
    /// Reads one. The port has to be there: what goes without saying differs between programs.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ProxyUrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            _ => return Err(ProxyUrlError::Scheme),
        };
        // SECURITY: first of all, and without a word of it: it may hold a password.
        if rest.contains('@') {
            return Err(ProxyUrlError::UserInfo);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Path);
        }
        let authority = Authority::parse(rest)?;
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Why a proxy's URL was refused. Says nothing of the URL itself, in which a password may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyUrlError {
    /// Neither `http://` nor `https://`.
    #[error("write `http://host:port`, or `https://host:port` for TLS to the proxy")]
    Scheme,
    /// A user, and perhaps a password.
    #[error(
        "a user and password do not belong here, where logs and listings show them; put \
         `user:password` into a file of mode 0600 and name it in `proxy_auth_file`"
    )]
    UserInfo,
    /// Something behind the port.
    #[error("nothing stands behind the port: write `http://host:port`")]
    Path,
    /// Host or port are malformed.
    #[error("{0}; write `http://host:port`")]
    Authority(#[from] AuthorityError),
}

/// What goes around a proxy: one entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyException {
    hosts: Hosts,
    port: Option<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// This name.
    Name(HostName),
    /// The names beneath this one.
    Beneath(HostName),
    /// The addresses whose first bits are these.
    Range { base: IpAddr, prefix: u8 },
}

impl ProxyException {
    /// Reads a name, a `.suffix`, an address or a range (`10.0.0.0/8`), each with a port or without.
    pub fn parse(text: &str) -> Result<Self, ProxyExceptionError> {
        if text.starts_with('*') {
            return Err(ProxyExceptionError::Star);
        }
        // An IPv6 address or range without brackets has no port.
        if text.matches(':').count() > 1 && !text.starts_with('[') {
            return Ok(Self { hosts: range(text)?, port: None });
        }
        let (hosts, port) = match text.rsplit_once(':') {
            Some((hosts, port)) if !port.ends_with(']') => {
                (hosts, Some(Port::parse(port).ok_or(ProxyExceptionError::Port)?))
            }
            _ => (text, None),
        };
        let inner = hosts.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let hosts = if let Some(inner) = inner {
            range(inner)?
        } else if let Some(suffix) = hosts.strip_prefix('.') {
            Hosts::Beneath(HostName::parse(suffix)?)
        } else if hosts.contains('/') || hosts.parse::<Ipv4Addr>().is_ok() {
            range(hosts)?
        } else {
            Hosts::Name(HostName::parse(hosts)?)
        };
        Ok(Self { hosts, port })
    }

    /// Whether the name, at this port, goes around the proxy.
    pub fn has_name(&self, name: &HostName, port: Port) -> bool {
        self.has_port(port)
            && match &self.hosts {
                Hosts::Name(own) => own == name,
                Hosts::Beneath(suffix) => name
                    .as_str()
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.ends_with('.')),
                Hosts::Range { .. } => false,
            }
    }

    /// Whether the address, at this port, goes around the proxy.
    pub fn has_address(&self, address: IpAddr, port: Port) -> bool {
        let address = address.to_canonical();
        self.has_port(port)
            && matches!(&self.hosts, Hosts::Range { base, prefix }
                if base.is_ipv4() == address.is_ipv4() && first_bits(address, *prefix) == *base)
    }

    fn has_port(&self, port: Port) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// Reads an address or `ADDRESS/BITS`.
fn range(text: &str) -> Result<Hosts, ProxyExceptionError> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let base: IpAddr = address.parse().map_err(|_| ProxyExceptionError::Address)?;
    let mapped = base.is_ipv6() && base.to_canonical().is_ipv4();
    let (width, skipped) =
        if base.is_ipv4() { (32, 0) } else { (128, if mapped { 96 } else { 0 }) };
    let prefix = match bits {
        None => width,
        Some(bits) => {
            let plain = bits == "0" || !bits.starts_with('0');
            let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
            let number = bits.parse::<u8>().ok().filter(|bits| plain && digits && *bits <= width);
            number.filter(|bits| *bits >= skipped).ok_or(ProxyExceptionError::Bits)?
        }
    };
    let (base, prefix) = (base.to_canonical(), prefix.saturating_sub(skipped));
    if first_bits(base, prefix) != base {
        return Err(ProxyExceptionError::Beyond);
    }
    Ok(Hosts::Range { base, prefix })
}

/// The address with all but its first bits cleared.
fn first_bits(address: IpAddr, prefix: u8) -> IpAddr {
    let kept = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(kept)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(kept)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for ProxyException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Name(name) => name.fmt(f)?,
            Hosts::Beneath(suffix) => write!(f, ".{suffix}")?,
            Hosts::Range { base, prefix } => {
                let bracketed = base.is_ipv6() && self.port.is_some();
                let host = if bracketed {
                    format!("[{base}/{prefix}]")
                } else {
                    format!("{base}/{prefix}")
                };
                f.write_str(&host)?;
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Why an entry of `no_proxy` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyExceptionError {
    /// A star.
    #[error("there are no stars here: write `.example.com` for all names beneath `example.com`")]
    Star,
    /// The port is none.
    #[error("a port is a number from 1 to 65535; an IPv6 address with a port stands in brackets")]
    Port,
    /// Not an address.
    #[error("an address is four decimal numbers, or IPv6")]
    Address,
    /// The length of the prefix is none.
    #[error("behind the slash stands how many first bits count, up to 32 or 128")]
    Bits,
    /// The range is not written by its first address.
    #[error("a range is written by its first address: the bits that do not count are zero")]
    Beyond,
    /// Not a name.
    #[error("{0}")]
    Name(#[from] HostNameError),
}

/// What a proxy is told that it shall connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectBy {
    /// An address that was checked.
    #[default]
    Address,
    /// A name, which the proxy resolves: nobody but the proxy checks where that leads.
    Hostname,
}

/// How HTTP/1 without TLS goes through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// In a tunnel, as everything else does.
    #[default]
    Connect,
    /// As requests that name their server, which the proxy resolves.
    Forward,
}

impl Serialize for ProxyUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for ProxyException {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProxyException {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_scheme_host_and_port() {
        for (text, written) in [
            ("http://proxy.corp.example:3128", "http://proxy.corp.example:3128"),
            ("HTTPS://Proxy.Corp.Example:443/", "https://proxy.corp.example:443"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(ProxyUrl::parse(written), Ok(url));
        }
        for text in [
            "proxy:3128",
            "socks5://proxy:1080",
            "http://proxy",
            "http://proxy:0",
            "http://proxy:3128/path",
            "http://proxy:3128?x",
            "http://proxy:3128#x",
            "http://:3128",
            "http://2001:db8::1:3128",
            "http:///",
            "",
        ] {
            assert!(ProxyUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_repeated() {
        for text in ["http://ada:s3cret@proxy:3128", "https://s3cret@proxy", "http://a:s3cret@/@"] {
            let error = ProxyUrl::parse(text).unwrap_err();
            assert_eq!(error, ProxyUrlError::UserInfo);
            let said = format!("{error} {error:?}");
            assert!(said.contains("proxy_auth_file") && !said.contains("s3cret"), "{said}");
        }
    }

    fn has(entry: &str, host: &str, port: u16) -> bool {
        let entry = ProxyException::parse(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
        let written = ProxyException::parse(&entry.to_string()).unwrap();
        assert_eq!(written, entry, "{written}");
        let port = Port::new(port).unwrap();
        match host.parse() {
            Ok(address) => entry.has_address(address, port),
            Err(_) => entry.has_name(&HostName::parse(host).unwrap(), port),
        }
    }

    #[test]
    fn an_exception_has_exactly_what_it_says() {
        for (entry, host, port) in [
            ("api.example.com", "API.example.com", 443),
            ("api.example.com:443", "api.example.com", 443),
            (".example.com", "a.b.example.com", 80),
            (".Example.com:80", "a.example.com", 80),
            ("10.1.2.3", "10.1.2.3", 1),
            ("10.1.2.3", "::ffff:10.1.2.3", 1),
            ("10.0.0.0/8", "10.255.0.1", 1),
            ("10.0.0.0/8:22", "10.255.0.1", 22),
            ("0.0.0.0/0", "203.0.113.1", 1),
            ("::/0", "2001:db8::1", 1),
            ("2001:db8::/32", "2001:db8:ffff::1", 1),
            ("[2001:db8::/32]:443", "2001:db8::1", 443),
            ("[2001:db8::1]:443", "2001:db8::1", 443),
            ("::1", "::1", 1),
            ("::ffff:10.0.0.0/104", "10.1.1.1", 1),
        ] {
            assert!(has(entry, host, port), "{entry} {host}:{port}");
        }
        for (entry, host, port) in [
            ("api.example.com", "www.api.example.com", 443),
            ("api.example.com:443", "api.example.com", 80),
            (".example.com", "example.com", 80),
            (".example.com", "badexample.com", 80),
            (".example.com:80", "a.example.com", 443),
            ("10.1.2.3", "10.1.2.4", 1),
            ("10.0.0.0/8", "11.0.0.1", 1),
            ("10.0.0.0/8:22", "10.0.0.1", 23),
            ("0.0.0.0/0", "2001:db8::1", 1),
            ("::/0", "203.0.113.1", 1),
            ("2001:db8::/32", "2001:db9::1", 1),
            ("10.0.0.0/8", "ten.example.com", 1),
        ] {
            assert!(!has(entry, host, port), "{entry} {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_exception_is_refused() {
        for entry in [
            "*",
            "*.example.com",
            "",
            ".",
            ":80",
            "a b",
            "a:0",
            "a:x",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/",
            "10.0/8",
            "2001:db8::1/32",
            "2001:db8::/129",
            "[::1",
            "[x]",
            "example.com/8",
            "::ffff:0.0.0.0/0",
            "10.0.0.256",
            "010.0.0.1",
            "a..b",
        ] {
            assert!(ProxyException::parse(entry).is_err(), "{entry}");
        }
    }
}
