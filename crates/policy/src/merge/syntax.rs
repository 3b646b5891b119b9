//! The little language of `policy update`: endpoints and request rules on one line.
//!
//! `host:port[:access[:protocol[:enforcement[:options]]]]`, and `host:port:METHOD:path`. An error
//! names the segment that is wrong.

use std::fmt;

use openshell_types::Port;

use super::operation::{Clauses, NewRule, Operation, Target, placed};
use crate::document::findings::Position;
use crate::document::model::{Access, Clause, Enforcement, Options, PathCase, Protocol};
use crate::document::{Binary, Endpoint, Rule};
use crate::pattern::{HostPattern, Network, PortRange};
use crate::words;

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The host.
    Host,
    /// The port, or a range.
    Port,
    /// The preset.
    Access,
    /// The protocol.
    Protocol,
    /// Whether it is enforced.
    Enforcement,
    /// The list of options.
    Options,
    /// The method of a request.
    Method,
    /// The path of a request.
    Path,
    /// The program, which stands beside the line.
    Binary,
}

impl Segment {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Port => "port",
            Self::Access => "access",
            Self::Protocol => "protocol",
            Self::Enforcement => "enforcement",
            Self::Options => "options",
            Self::Method => "method",
            Self::Path => "path",
            Self::Binary => "binary",
        }
    }
}

/// Why a line is not an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The part that is wrong.
    pub segment: Segment,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.segment.as_str(), self.message)
    }
}

impl std::error::Error for SyntaxError {}

type Syntax<T> = Result<T, SyntaxError>;

fn wrong<T>(segment: Segment, message: impl Into<String>) -> Syntax<T> {
    Err(SyntaxError { segment, message: message.into() })
}

impl Operation {
    /// `host:port[:access[:protocol[:enforcement[:options]]]]` for some programs: an `add_rule`.
    /// Without a name the rule is called after host and port.
    pub fn parse_endpoint(text: &str, binaries: &[&str], rule: Option<&str>) -> Syntax<Self> {
        let (host, rest) = host(text)?;
        let mut segments = rest.splitn(5, ':');
        let ports = ports(segments.next())?;
        let mut next = || segments.next().filter(|segment| !segment.is_empty());
        let access = next().map(access).transpose()?;
        let protocol = protocol(next(), access)?;
        let mut endpoint = Endpoint {
            at: Position::default(),
            host: Some(placed(host)),
            ports: vec![ports],
            allowed_ips: Vec::new(),
            raw: false,
            path: None,
            path_case: PathCase::default(),
            protocol,
            enforcement: Enforcement::default(),
            access,
            rules: Vec::new(),
            deny_rules: Vec::new(),
            options: Options::default(),
        };
        if let Some(word) = next() {
            endpoint.enforcement = enforcement(word, protocol)?;
        }
        for option in next().into_iter().flat_map(|list| list.split(',')) {
            read_option(option.trim(), &mut endpoint)?;
        }
        let key = rule.map_or_else(|| generated_key(&endpoint), str::to_owned);
        let binaries = binaries.iter().map(|path| binary(path)).collect::<Syntax<Vec<_>>>()?;
        let endpoints = vec![endpoint];
        let rule = Rule { name: key.clone(), key: placed(key), until: None, endpoints, binaries };
        Ok(Self::AddRule(NewRule(rule)))
    }

    /// `host:port`: a `remove_endpoint`.
    pub fn parse_removal(text: &str) -> Syntax<Self> {
        let (host, rest) = host(text)?;
        Ok(Self::RemoveEndpoint(Target::new(&host.to_string(), single_port(rest)?)))
    }

    /// `host:port:METHOD:path`: an `add_allow_rules`.
    pub fn parse_allow(text: &str) -> Syntax<Self> {
        request(text).map(|(target, clause)| Self::AddAllowRules(target, Clauses(vec![clause])))
    }

    /// `host:port:METHOD:path`: an `add_deny_rules`.
    pub fn parse_deny(text: &str) -> Syntax<Self> {
        request(text).map(|(target, clause)| Self::AddDenyRules(target, Clauses(vec![clause])))
    }
}

/// The host, and what follows its colon. IPv6 addresses stand in brackets.
fn host(text: &str) -> Syntax<(HostPattern, &str)> {
    let (host, rest) = if text.starts_with('[') {
        match text.split_once(']') {
            Some((address, rest)) => {
                (address.trim_start_matches('['), rest.strip_prefix(':').unwrap_or(rest))
            }
            None => return wrong(Segment::Host, "`[` has no `]`"),
        }
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    if host.is_empty() {
        return wrong(Segment::Host, "it is missing; write `host:port`");
    }
    if rest.starts_with("//") {
        return wrong(Segment::Host, format!("write the host alone, without `{host}://`"));
    }
    match HostPattern::parse(host) {
        Ok(pattern) => Ok((pattern, rest)),
        Err(why) => wrong(Segment::Host, format!("`{host}` cannot be a host: {why}")),
    }
}

fn ports(word: Option<&str>) -> Syntax<PortRange> {
    let word = word.unwrap_or_default();
    match PortRange::parse(word) {
        Some(range) => Ok(range),
        None if word.is_empty() => wrong(Segment::Port, "it is missing; write `host:port`"),
        None => wrong(Segment::Port, format!("`{word}` is not a number from 1 to 65535")),
    }
}

fn single_port(word: &str) -> Syntax<Port> {
    let range = ports(Some(word))?;
    if range.is_single() { Ok(range.ends().0) } else { wrong(Segment::Port, "one port is meant") }
}

fn access(word: &str) -> Syntax<Access> {
    match word {
        "read-only" => Ok(Access::ReadOnly),
        "read-write" => Ok(Access::ReadWrite),
        "full" => Ok(Access::Full),
        _ => wrong(
            Segment::Access,
            format!("`{word}` is none of `read-only`, `read-write` and `full`"),
        ),
    }
}

/// A preset without a protocol is meant for HTTP requests.
fn protocol(word: Option<&str>, access: Option<Access>) -> Syntax<Protocol> {
    let protocol = match (word, access) {
        (None, None) => return Ok(Protocol::Opaque),
        (None, Some(_)) => Protocol::Rest,
        (Some("tcp"), _) => Protocol::Tcp,
        (Some("udp"), _) => Protocol::Udp,
        (Some("rest"), _) => Protocol::Rest,
        (Some("websocket"), _) => Protocol::WebSocket,
        (Some("graphql"), _) => Protocol::GraphQl,
        (Some("json-rpc"), _) => Protocol::JsonRpc,
        (Some("mcp"), _) => Protocol::Mcp,
        (Some("grpc"), _) => Protocol::Grpc,
        (Some("sql"), _) => return wrong(Segment::Protocol, "`sql` is not judged by anything"),
        (Some(word), _) => {
            return wrong(
                Segment::Protocol,
                format!(
                    "`{word}` is none of `tcp`, `udp`, `rest`, `websocket`, `graphql`, `json-rpc`, \
                     `mcp` and `grpc`"
                ),
            );
        }
    };
    let name = protocol.as_str().unwrap_or_default();
    let calls = matches!(protocol, Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc);
    match access {
        None if protocol.judges_requests() => {
            wrong(Segment::Access, format!("`{name}` needs one, such as `read-only`"))
        }
        Some(Access::ReadOnly | Access::ReadWrite) if calls => {
            wrong(Segment::Access, format!("`{name}` takes only `full`, or rules in the file"))
        }
        Some(Access::ReadOnly | Access::ReadWrite) if !protocol.judges_requests() => {
            wrong(Segment::Access, format!("`{name}` judges no requests, so it takes none"))
        }
        _ => Ok(protocol),
    }
}

fn enforcement(word: &str, protocol: Protocol) -> Syntax<Enforcement> {
    match word {
        "enforce" => Ok(Enforcement::Enforce),
        "audit" if protocol.judges_requests() => Ok(Enforcement::Audit),
        "audit" => wrong(
            Segment::Enforcement,
            "`audit` only notes denied requests, and this endpoint judges none",
        ),
        _ => wrong(Segment::Enforcement, format!("`{word}` is neither `enforce` nor `audit`")),
    }
}

fn read_option(word: &str, endpoint: &mut Endpoint) -> Syntax<()> {
    let http = endpoint.protocol.judges_requests();
    match word {
        "websocket-credential-rewrite" if http => {
            endpoint.options.websocket_credential_rewrite = true;
        }
        "request-body-credential-rewrite" if http => {
            endpoint.options.request_body_credential_rewrite = true;
        }
        "websocket-credential-rewrite" | "request-body-credential-rewrite" => {
            return wrong(
                Segment::Options,
                format!("`{word}` needs a protocol whose requests are read, such as `rest`"),
            );
        }
        "allow-uninspected-credentials" => endpoint.options.allow_uninspected_credentials = true,
        _ => match word.split_once('=') {
            Some(("allowed-ip", range)) => match Network::parse(range) {
                Ok(range) => endpoint.allowed_ips.push(placed(range)),
                Err(why) => {
                    let message = format!("`{range}` is not an address range: {why}");
                    return wrong(Segment::Options, message);
                }
            },
            _ => {
                return wrong(
                    Segment::Options,
                    format!(
                        "`{word}` is none of `websocket-credential-rewrite`, \
                         `request-body-credential-rewrite`, `allow-uninspected-credentials` and \
                         `allowed-ip=RANGE`"
                    ),
                );
            }
        },
    }
    Ok(())
}

fn binary(path: &str) -> Syntax<Binary> {
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return wrong(Segment::Binary, format!("`{path}` is not an absolute path"));
    }
    Ok(Binary { path: placed(path.to_owned()), sha256: None, descendants: false })
}

fn request(text: &str) -> Syntax<(Target, Clause)> {
    let (host, rest) = host(text)?;
    let mut segments = rest.splitn(3, ':');
    let port = single_port(segments.next().unwrap_or_default())?;
    let method = method(segments.next().unwrap_or_default())?;
    let path = path(segments.next().unwrap_or_default())?;
    let clause = Clause { method: Some(placed(method)), path, ..Clause::default() };
    Ok((Target::new(&host.to_string(), port), clause))
}

fn method(word: &str) -> Syntax<String> {
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "" => wrong(Segment::Method, "it is missing; write `host:port:METHOD:path`"),
        "CONNECT" | "TRACE" | "PRI" => {
            wrong(Segment::Method, format!("`{upper}` is never relayed, so no rule names it"))
        }
        "*" => Ok(upper),
        _ if upper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) => {
            Ok(upper)
        }
        _ => wrong(Segment::Method, format!("`{word}` is not the name of a method")),
    }
}

fn path(word: &str) -> Syntax<Option<crate::document::findings::Spanned<String>>> {
    if word.is_empty() {
        return wrong(Segment::Path, "it is missing; `**` is every path");
    }
    if word == "**" {
        return Ok(None);
    }
    if !word.starts_with('/') && !word.starts_with("**") {
        return wrong(Segment::Path, format!("`{word}` does not begin with `/`"));
    }
    if let Some(bad) = word.chars().find(|c| "?[]\\#".contains(*c) || c.is_control()) {
        return wrong(
            Segment::Path,
            format!("`{}` has no meaning in a path", bad.escape_default()),
        );
    }
    Ok(Some(placed(word.to_owned())))
}

/// `allow_api_example_com_443`.
fn generated_key(endpoint: &Endpoint) -> String {
    let host: String = words::host(endpoint)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let port = endpoint.ports.first().map(ToString::to_string).unwrap_or_default();
    format!("allow_{host}_{}", port.replace('-', "_"))
}
