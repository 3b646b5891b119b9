//! `tests`: questions that stand in the text with the answers that they must have.

use std::net::IpAddr;

use jiff::Timestamp;
use openshell_types::{Digest, HostName, Port};

use super::findings::{Findings, Position, Spanned};
use super::model::OperationType;
use super::node::{Kind, Node};
use super::reader::{Fields, choice, shown, text, wrong_type};
use super::sections::check_path;
use super::spelling::canonical;
use crate::limits::{ENDPOINT_ITEMS, MATCHER_NAMES, MATCHER_PATTERNS, TESTS};

/// One of `tests`.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub at: Position,
    pub name: Option<String>,
    pub to: (Target, Port),
    /// Path of the program.
    pub by: String,
    pub sha256: Option<Digest>,
    /// Paths, the parent first.
    pub ancestors: Vec<String>,
    pub udp: bool,
    /// `None`: before the end of every rule.
    pub time: Option<Timestamp>,
    /// `None`: only the connection is asked for.
    pub request: Option<TrialRequest>,
    pub want: Want,
    pub rule: Option<String>,
    pub reason: Option<String>,
}

/// Where to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Name(HostName),
    Address(IpAddr),
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct TrialRequest {
    pub method: Option<String>,
    /// As requests have it, without its query.
    pub path: String,
    /// The query as it is written; empty when there is none.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub graphql: Option<TrialOperation>,
    pub rpc: Option<TrialCall>,
}

#[derive(Clone, Debug)]
pub(crate) struct TrialOperation {
    pub operation_type: OperationType,
    pub name: String,
    pub fields: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct TrialCall {
    pub method: String,
    pub tool: Option<String>,
    pub params: Vec<(String, String)>,
}

/// The answer that a test must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Allow,
    Deny,
}

pub(super) fn read(root: &mut Fields, findings: &mut Findings) -> Vec<Trial> {
    let list = root.list("tests", TESTS, findings).map(|list| list.value).unwrap_or_default();
    list.into_iter().filter_map(|node| trial(node, findings)).collect()
}

fn refuse(at: Position, message: String, help: &str, findings: &mut Findings) {
    findings.error_with_help("P0602", at, message, help.to_owned());
}

fn trial(node: Node, findings: &mut Findings) -> Option<Trial> {
    let mut fields = Fields::of(node, "a test", findings)?;
    let at = fields.at;
    let name = fields.text("name", findings).map(|name| name.value);
    let to = required(&mut fields, "to", findings).and_then(|text| target(&text, findings));
    let by = required(&mut fields, "by", findings).filter(|path| program(path, findings));
    let sha256 = fields.text("sha256", findings).and_then(|text| {
        let digest = Digest::parse(&text.value).ok();
        if digest.is_none() {
            let message = "`sha256` is 64 hexadecimal digits".to_owned();
            refuse(text.at, message, "copy it from the binary of the rule", findings);
        }
        digest
    });
    let ancestors = texts(&mut fields, "ancestors", ENDPOINT_ITEMS, findings);
    let ancestors = ancestors.into_iter().filter(|path| program(path, findings));
    let ancestors = ancestors.map(|path| path.value).collect();
    let transports = [("tcp", false), ("udp", true)];
    let udp = fields.text("transport", findings);
    let udp = udp.and_then(|word| choice(&word, "transport", &transports, findings));
    let time = fields.text("time", findings).and_then(|text| time(&text, findings));
    let request = request(&mut fields, findings);
    let wants = [("allow", Want::Allow), ("deny", Want::Deny)];
    let want = required(&mut fields, "want", findings);
    let want = want.and_then(|word| choice(&word, "want", &wants, findings));
    let rule = fields.text("rule", findings).map(|rule| rule.value);
    let reason = fields.text("reason", findings).map(|reason| reason.value);
    fields.refuse_rest(findings);
    let udp = udp.unwrap_or_default();
    if udp && request.is_some() {
        let message = "requests are sent over TCP".to_owned();
        refuse(at, message, "remove `transport`, or what the request is", findings);
    }
    let (to, by, want) = (to?, by?.value, want?);
    Some(Trial { at, name, to, by, sha256, ancestors, udp, time, request, want, rule, reason })
}

fn required(
    fields: &mut Fields,
    key: &'static str,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let Some(node) = fields.take(key) else {
        findings.error("P0103", fields.at, format!("a test needs `{key}`"));
        return None;
    };
    text(node, key, findings)
}

fn texts(
    fields: &mut Fields,
    key: &'static str,
    most: usize,
    findings: &mut Findings,
) -> Vec<Spanned<String>> {
    let list = fields.list(key, most, findings).map(|list| list.value).unwrap_or_default();
    list.into_iter().filter_map(|node| text(node, key, findings)).collect()
}

fn target(written: &Spanned<String>, findings: &mut Findings) -> Option<(Target, Port)> {
    let found = written.value.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse().ok().and_then(Port::new)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let target = match bare.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(HostName::parse(host).ok()?),
        };
        Some((target, port))
    });
    if found.is_none() {
        let message = format!("`{}` is no host and port", shown(&written.value));
        refuse(written.at, message, "write `to: api.example.com:443`", findings);
    }
    found
}

/// Whether a path is one of a program, and no pattern.
fn program(path: &Spanned<String>, findings: &mut Findings) -> bool {
    if path.value.contains('*') {
        let message = format!("`{}` is no program, but a pattern", shown(&path.value));
        refuse(path.at, message, "write the path of one program", findings);
        return false;
    }
    check_path(path, findings)
}

fn time(text: &Spanned<String>, findings: &mut Findings) -> Option<Timestamp> {
    let time = text.value.parse().ok();
    if time.is_none() {
        let message = format!("`{}` is not a time", shown(&text.value));
        refuse(text.at, message, "write it as `2030-01-31T12:00:00Z`", findings);
    }
    time
}

fn request(fields: &mut Fields, findings: &mut Findings) -> Option<TrialRequest> {
    let method = fields.text("method", findings).map(|method| method.value);
    let written = fields.text("path", findings);
    let headers = fields.take("headers").map(|node| pairs(node, "headers", findings));
    let graphql = fields.take("graphql").and_then(|node| operation(node, findings));
    let rpc = fields.take("rpc").and_then(|node| call(node, findings));
    if method.is_none()
        && written.is_none()
        && headers.is_none()
        && graphql.is_none()
        && rpc.is_none()
    {
        return None;
    }
    let (path, query) = match written {
        None => ("/".to_owned(), String::new()),
        Some(written) => path(&written, findings)?,
    };
    let headers = headers.unwrap_or_default().into_iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Some(TrialRequest { method, path, query, headers, graphql, rpc })
}

/// A path as requests have it before they are judged, and its query.
fn path(written: &Spanned<String>, findings: &mut Findings) -> Option<(String, String)> {
    let (path, query) = written.value.split_once('?').unwrap_or((&written.value, ""));
    let why = match canonical(path) {
        _ if !path.starts_with('/') => "does not begin with `/`".to_owned(),
        _ if path.contains(['#', '\\']) => "is refused before it is judged".to_owned(),
        Err((why, _)) => why,
        Ok(path)
            if path.contains("//") || path.split('/').any(|part| [".", ".."].contains(&part)) =>
        {
            "is another one once it is judged".to_owned()
        }
        Ok(path) => {
            return Some((path.replace('{', "%7B").replace('}', "%7D"), query.to_owned()));
        }
    };
    let message = format!("the path `{}` {why}", shown(&written.value));
    refuse(written.at, message, "write the path that a server gets", findings);
    None
}

/// Names and values.
fn pairs(node: Node, what: &'static str, findings: &mut Findings) -> Vec<(String, String)> {
    match node.kind {
        Kind::Map(entries) if entries.len() <= MATCHER_NAMES => {
            let pairs = entries.into_iter().filter_map(|entry| {
                let value = text(entry.value, what, findings)?;
                Some((entry.key, value.value))
            });
            pairs.collect()
        }
        Kind::Map(_) => {
            let message = format!("`{what}` has more than {MATCHER_NAMES} names");
            findings.error("P0002", node.at, message);
            Vec::new()
        }
        kind => {
            let node = Node { at: node.at, kind };
            wrong_type(&node, what, "a mapping from names to values", findings);
            Vec::new()
        }
    }
}

fn operation(node: Node, findings: &mut Findings) -> Option<TrialOperation> {
    let mut own = Fields::of(node, "an operation of a test", findings)?;
    let kinds = [
        ("query", OperationType::Query),
        ("mutation", OperationType::Mutation),
        ("subscription", OperationType::Subscription),
    ];
    let kind = required(&mut own, "operation_type", findings);
    let kind = kind.and_then(|word| choice(&word, "operation_type", &kinds, findings));
    let name = own.text("operation_name", findings).map(|name| name.value).unwrap_or_default();
    let fields = texts(&mut own, "fields", MATCHER_PATTERNS, findings);
    own.refuse_rest(findings);
    let fields = fields.into_iter().map(|field| field.value).collect();
    Some(TrialOperation { operation_type: kind?, name, fields })
}

fn call(node: Node, findings: &mut Findings) -> Option<TrialCall> {
    let mut own = Fields::of(node, "a call of a test", findings)?;
    let method = required(&mut own, "method", findings);
    let tool = own.text("tool", findings).map(|tool| tool.value);
    let params = own.take("params").map(|node| pairs(node, "params", findings));
    own.refuse_rest(findings);
    Some(TrialCall { method: method?.value, tool, params: params.unwrap_or_default() })
}
