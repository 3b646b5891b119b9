//! A question to a policy, as a command line asks it: where to, by whom, and with which request.

use std::net::IpAddr;

use openshell_codec::target::{self, Target};
use openshell_policy::{
    BinaryTable, Binding, Call, Caller, Content, Destination, Policy, Program, Request,
};
use openshell_types::{Authority, Digest, FileId, Host};

use crate::error::CliError;

/// Where to, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Question {
    to: Authority,
    pub by: Caller,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    call: Option<RpcCall>,
}

/// A call of JSON-RPC or MCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RpcCall {
    pub method: String,
    pub tool: Option<String>,
}

/// The method of a WebSocket message.
const MESSAGE: &str = "WEBSOCKET_TEXT";

impl Question {
    /// The policy as it is where each literal path of a binary is a file of its own, and the
    /// question of it. No rule can name a program that the agent could have written.
    pub fn of(policy: &Policy, to: Authority, programs: Programs<'_>) -> (Policy, Self) {
        let mut paths: Vec<&str> = policy.binary_paths().chain(programs.paths()).collect();
        paths.sort_unstable();
        paths.dedup();
        let file = |path: &str| {
            let at = paths.iter().position(|known| *known == path).unwrap_or(paths.len());
            FileId { device: 1, inode: u64::try_from(at).unwrap_or(u64::MAX) }
        };
        let mut table = BinaryTable::new();
        for path in &paths {
            let binding = if policy.agent_writes(path) {
                Binding::Writable
            } else {
                Binding::Files(vec![file(path)])
            };
            table.insert(path, binding);
        }
        let program =
            |path: &str, sha256| Program { file: file(path), path: Some(path.into()), sha256 };
        let by = Caller {
            exe: program(programs.by, programs.sha256),
            ancestors: programs.started_by.iter().map(|path| program(path, None)).collect(),
        };
        (policy.bind(&table), Self { to, by })
    }

    /// Where to.
    pub fn to(&self) -> Destination<'_> {
        match &self.to.host {
            Host::Name(name) => Destination::Name(name, self.to.port),
            Host::Address(address) => Destination::Address(unmapped(*address), self.to.port),
        }
    }
}

fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The programs behind a question, by their paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Programs<'a> {
    pub by: &'a str,
    /// Its digest, when it matters.
    pub sha256: Option<Digest>,
    /// Its ancestors, the parent first.
    pub started_by: &'a [String],
}

impl<'a> Programs<'a> {
    fn paths(self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.by).chain(self.started_by.iter().map(String::as_str))
    }
}

impl Asked {
    /// A request as a client would write it: the path is brought into the form that the egress
    /// judges, and the query is split.
    pub fn new(method: &str, target: &str, headers: &[String]) -> Result<Self, CliError> {
        // The words for a message are ours; it belongs to the path of the upgrade.
        let sent = if method == MESSAGE { "GET" } else { method };
        let read = target::Method::parse(sent.as_bytes())
            .map_err(|error| CliError::usage(format!("`{method}` is no method: {error}")))?;
        let target = Target::parse(&read, target.as_bytes(), target::Options::default()).map_err(
            |error| {
                CliError::usage(format!("a request for `{target}` is refused: {error}"))
                    .help("write it as a request has it, such as `/v1/items?page=2`")
            },
        )?;
        if !target.path().starts_with('/') || target.origin().is_some() {
            return Err(CliError::usage(format!("`{target}` is not the path of a request"))
                .help("host and port stand in `--to`; the path begins with `/`"));
        }
        let pairs = target.pairs().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(Self {
            method: method.to_owned(),
            path: target.path().to_owned(),
            query: pairs.collect(),
            headers: headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?,
            call: None,
        })
    }

    /// The same with a call in its body.
    pub fn calling(self, call: Option<RpcCall>) -> Self {
        Self { call, ..self }
    }

    /// Asks something with the request as the policy takes it.
    pub fn with<T>(&self, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        fn pairs(list: &[(String, String)]) -> Vec<(&str, &str)> {
            list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        let tool = self.call.as_ref().and_then(|call| call.tool.as_deref());
        let params: Vec<(&str, &str)> = tool.map(|tool| ("name", tool)).into_iter().collect();
        let calls: Vec<Call<'_>> = self
            .call
            .iter()
            .map(|call| Call { method: &call.method, tool, params: &params })
            .collect();
        let content = match (self.method.as_str(), calls.as_slice()) {
            (MESSAGE, _) => Content::Message { operations: &[], control: false },
            (_, []) => Content::Plain,
            (_, calls) => Content::Rpc(calls),
        };
        let (query, headers) = (pairs(&self.query), pairs(&self.headers));
        ask(&Request {
            method: &self.method,
            path: &self.path,
            query: &query,
            headers: &headers,
            content,
        })
    }
}

fn header(text: &str) -> Result<(String, String), CliError> {
    let word = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    match text.split_once(':').map(|(name, value)| (name.trim_end(), value.trim())) {
        Some((name, value)) if word(&name) => Ok((name.to_ascii_lowercase(), value.to_owned())),
        _ => Err(CliError::usage(format!("`{text}` is no header"))
            .help("write name and value, such as `--header 'accept: application/json'`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_the_egress_reads_them() {
        let asked =
            Asked::new("GET", "/a/./%62?q=x+y&q=%7A", &["Accept: json".to_owned()]).unwrap();
        assert_eq!(asked.path, "/a/b");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(asked.query, [pair("q", "x y"), pair("q", "z")]);
        assert_eq!(asked.headers, [pair("accept", "json")]);
        let message = Asked::new("WEBSOCKET_TEXT", "/socket", &[]).unwrap();
        let words = Content::Message { operations: &[], control: false };
        assert!(message.with(|request| request.content == words));
        let mut said = String::new();
        for (method, path, header) in [
            ("GET", "/../x", "a: b"),
            ("GET", "https://example.com/x", "a: b"),
            ("OPTIONS", "*", "a: b"),
            ("G ET", "/x", "a: b"),
            ("GET", "/x", "no header"),
            ("GET", "/x", ": b"),
        ] {
            let error = Asked::new(method, path, &[header.to_owned()]).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            said.push_str(&error.to_string());
        }
        insta::assert_snapshot!(said);
    }
}
