//! What an endpoint says about the requests within its connections.

use super::clause;
use super::findings::{Findings, Position, Spanned};
use super::model::{Access, Clause, Enforcement, Options, PathCase, Protocol};
use super::node::Node;
use super::patterns;
use super::reader::{Fields, choice, list, listed, text};
use crate::check::published_reading;
use crate::limits::CLAUSES;

/// The part of an endpoint that is about requests.
pub(super) struct Requests {
    /// `None`: it could not be read, and what depends on it is not checked.
    pub protocol: Option<Protocol>,
    pub raw: bool,
    pub path: Option<Spanned<String>>,
    pub path_case: PathCase,
    pub enforcement: Enforcement,
    pub access: Option<Access>,
    pub rules: Vec<Clause>,
    pub deny_rules: Vec<Clause>,
    /// `access` or `rules` is there, well-formed or not.
    says_what_is_allowed: bool,
}

/// All protocols that judge requests.
const JUDGING: [Protocol; 6] = [
    Protocol::Rest,
    Protocol::WebSocket,
    Protocol::GraphQl,
    Protocol::JsonRpc,
    Protocol::Mcp,
    Protocol::Grpc,
];

pub(super) fn read(fields: &mut Fields, findings: &mut Findings) -> Requests {
    let protocol = protocol(fields, findings);
    let judges = protocol.is_none_or(Protocol::judges_requests);
    let raw = tls(fields, protocol, findings);
    let enforcement = enforcement(fields, protocol, findings);
    let path = take(fields, "path", (protocol, &JUDGING), findings)
        .and_then(|node| patterns::path(node, findings));
    let path_case = take(fields, "path_case", (protocol, &JUDGING), findings)
        .and_then(|node| path_case(node, findings))
        .unwrap_or_default();
    let access_at = fields.place_of("access");
    let access = access(fields, protocol, findings);
    let rules_at = fields.place_of("rules");
    if let (Some(at), Some(_)) = (rules_at, access_at) {
        let message = "`access` and `rules` stand side by side".to_owned();
        let help = "a preset takes the place of rules: remove one".to_owned();
        findings.error_with_help("P0405", at, message, help);
    }
    let rules = clauses(fields, ("rules", clause::read_allow), protocol, findings);
    let deny_rules = clauses(fields, ("deny_rules", clause::read_deny), protocol, findings);
    Requests {
        protocol,
        raw,
        path,
        path_case,
        enforcement,
        access: access.filter(|_| judges),
        rules,
        deny_rules,
        says_what_is_allowed: rules_at.is_some() || access_at.is_some(),
    }
}

impl Requests {
    /// Reports an endpoint that judges requests and does not say which are allowed.
    pub fn require_allowing(&self, options: &Options, at: Position, findings: &mut Findings) {
        let Some(protocol) = self.protocol.filter(|protocol| protocol.judges_requests()) else {
            return;
        };
        if self.says_what_is_allowed || options.allow_all_known_mcp_methods {
            return;
        }
        let word = protocol.as_str().unwrap_or_default();
        let help = match protocol {
            Protocol::GraphQl => "add `access: read-only`, which allows queries, or `rules`",
            Protocol::JsonRpc => "add `rules`, such as `[{ allow: { method: eth_call } }]`",
            Protocol::Mcp => "add `rules`, or `mcp: { allow_all_known_mcp_methods: true }`",
            Protocol::Grpc => "add `rules`, such as `[{ allow: { service: my.api.Reader } }]`",
            _ => "add `access: read-only`, or `rules` such as `[{ allow: { method: GET } }]`",
        };
        let message =
            format!("`protocol: {word}` judges requests, and nothing says which to allow");
        findings.error_with_help("P0406", at, message, help.to_owned());
    }
}

/// Takes a key that only some protocols have, and reports it at any other.
pub(super) fn take(
    fields: &mut Fields,
    key: &'static str,
    (protocol, owners): (Option<Protocol>, &[Protocol]),
    findings: &mut Findings,
) -> Option<Node> {
    let entry = fields.take_entry(key).filter(|entry| !entry.value.is_null())?;
    match protocol {
        Some(protocol) if !owners.contains(&protocol) => {
            refuse_foreign(key, entry.at, (protocol, owners), findings);
            None
        }
        _ => Some(entry.value),
    }
}

pub(super) fn refuse_foreign(
    key: &str,
    at: Position,
    (protocol, owners): (Protocol, &[Protocol]),
    findings: &mut Findings,
) {
    let message = match protocol.as_str() {
        Some(word) => format!("`{key}` has no meaning with `protocol: {word}`"),
        None => format!("`{key}` has no meaning without a `protocol`"),
    };
    let names: Vec<&str> = owners.iter().filter_map(|owner| owner.as_str()).collect();
    let verb = if protocol.as_str().is_some() { "change" } else { "add" };
    let help = format!("it belongs to {}; remove it, or {verb} `protocol`", listed(&names));
    findings.error_with_help("P0404", at, message, help);
}

fn protocol(fields: &mut Fields, findings: &mut Findings) -> Option<Protocol> {
    let Some(node) = fields.take("protocol") else { return Some(Protocol::Opaque) };
    let word = text(node, "protocol", findings)?;
    if word.value == "sql" {
        findings.error_with_help(
            "P0401",
            word.at,
            "this build does not judge SQL, and the endpoint asks for `protocol: sql`".to_owned(),
            "remove `protocol` and its rules to allow the whole connection; what a database user \
             may do is the database's to say"
                .to_owned(),
        );
        return None;
    }
    let all = JUDGING.into_iter().chain([Protocol::Tcp, Protocol::Udp]);
    let choices: Vec<_> = all.filter_map(|p| p.as_str().map(|word| (word, p))).collect();
    choice(&word, "protocol", &choices, findings)
}

/// Whether `tls: skip` is set.
fn tls(fields: &mut Fields, protocol: Option<Protocol>, findings: &mut Findings) -> bool {
    let Some(word) = fields.text("tls", findings) else { return false };
    let choices = [("skip", true), ("terminate", false), ("passthrough", false)];
    match choice(&word, "tls", &choices, findings) {
        Some(true) => {
            if let Some(judging) = protocol.filter(|p| p.judges_requests()) {
                let name = judging.as_str().unwrap_or_default();
                let message = format!(
                    "`tls: skip` relays what cannot be read, and `protocol: {name}` is to read it"
                );
                let help = "remove one of the two".to_owned();
                findings.error_with_help("P0404", word.at, message, help);
            }
            if protocol == Some(Protocol::Udp) {
                let message = "`tls` has no meaning with `protocol: udp`".to_owned();
                findings.error_with_help("P0404", word.at, message, "remove it".to_owned());
            }
            true
        }
        Some(false) => {
            let message = format!("`tls: {}` has no meaning any more", word.value);
            let help = "remove it: TLS is terminated where a rule needs it".to_owned();
            findings.warning("P0105", word.at, message, Some(help));
            false
        }
        None => false,
    }
}

fn enforcement(
    fields: &mut Fields,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Enforcement {
    let judges = protocol.is_none_or(Protocol::judges_requests);
    let at = fields.at;
    let Some(word) = fields.text("enforcement", findings) else {
        if judges {
            published_reading::enforcement_left_out(at, findings);
        }
        return Enforcement::Enforce;
    };
    let choices = [("enforce", Enforcement::Enforce), ("audit", Enforcement::Audit)];
    match choice(&word, "enforcement", &choices, findings) {
        Some(Enforcement::Audit) if !judges => {
            findings.error_with_help(
                "P0402",
                word.at,
                "`enforcement: audit` lets violations through, and this endpoint has no request \
                 rules that it could only log"
                    .to_owned(),
                "remove it: the default is `enforce`".to_owned(),
            );
            Enforcement::Enforce
        }
        chosen => chosen.unwrap_or_default(),
    }
}

fn path_case(node: Node, findings: &mut Findings) -> Option<PathCase> {
    let word = text(node, "path_case", findings)?;
    let choices = [("sensitive", PathCase::Sensitive), ("insensitive", PathCase::Insensitive)];
    choice(&word, "path_case", &choices, findings)
}

fn access(
    fields: &mut Fields,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Access> {
    let word = fields.text("access", findings)?;
    let choices = [
        ("full", Access::Full),
        ("read-only", Access::ReadOnly),
        ("read-write", Access::ReadWrite),
    ];
    let access = choice(&word, "access", &choices, findings)?;
    if access == Access::Full {
        return Some(access);
    }
    match protocol {
        Some(Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc) => {
            let message = format!(
                "`access: {}` has no meaning with `protocol: {}`: the names of calls do not say \
                 which of them write",
                word.value,
                protocol.and_then(Protocol::as_str).unwrap_or_default()
            );
            let help = "list the calls in `rules`, or write `access: full`".to_owned();
            findings.error_with_help("P0408", word.at, message, help);
        }
        Some(other) if !other.judges_requests() => {
            let message =
                format!("`access: {}` needs a `protocol` that judges requests", word.value);
            let help = "for HTTP add `protocol: rest`".to_owned();
            findings.error_with_help("P0404", word.at, message, help);
        }
        _ => {}
    }
    Some(access)
}

type ReadClause = fn(Node, Option<Protocol>, &mut Findings) -> Option<Clause>;

fn clauses(
    fields: &mut Fields,
    (key, read): (&'static str, ReadClause),
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Vec<Clause> {
    let Some(node) = take(fields, key, (protocol, &JUDGING), findings) else { return Vec::new() };
    let Some(items) = list(node, key, CLAUSES, findings) else { return Vec::new() };
    if items.value.is_empty() {
        patterns::refuse_empty(key, items.at, findings);
    }
    items.value.into_iter().filter_map(|node| read(node, protocol, findings)).collect()
}
