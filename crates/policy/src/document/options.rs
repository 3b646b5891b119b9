//! What an endpoint says beside its rules: limits, registered operations, credentials, budgets.

use std::collections::BTreeMap;

use openshell_types::Period;

use super::findings::{Findings, Position};
use super::model::{
    Budget, OperationType, Options, PersistedQuery, Protocol, Signing, SigningMode,
};
use super::node::{Entry, Kind, Node};
use super::reader::{Fields, choice, list, number, shown, text, wrong_type};
use super::requests::{Requests, refuse_foreign, take};
use crate::limits::{
    BODY_BYTES, BODY_BYTES_MOST, BUDGET_MOST, MATCHER_PATTERNS, MCP_VERSIONS, NAME_CHARS,
    PERSISTED_QUERIES,
};

const HTTP: [Protocol; 5] =
    [Protocol::Rest, Protocol::WebSocket, Protocol::GraphQl, Protocol::JsonRpc, Protocol::Mcp];
const WITH_GRPC: [Protocol; 6] = [
    Protocol::Rest,
    Protocol::WebSocket,
    Protocol::GraphQl,
    Protocol::JsonRpc,
    Protocol::Mcp,
    Protocol::Grpc,
];
const GRAPHQL: [Protocol; 2] = [Protocol::GraphQl, Protocol::WebSocket];

pub(super) fn read(fields: &mut Fields, requests: &Requests, findings: &mut Findings) -> Options {
    let protocol = requests.protocol;
    let mut options = Options {
        allow_encoded_slash: flag(fields, "allow_encoded_slash", (protocol, &WITH_GRPC), findings),
        websocket_credential_rewrite: flag(
            fields,
            "websocket_credential_rewrite",
            (protocol, &HTTP),
            findings,
        ),
        request_body_credential_rewrite: flag(
            fields,
            "request_body_credential_rewrite",
            (protocol, &HTTP),
            findings,
        ),
        allow_uninspected_credentials: fields
            .boolean("allow_uninspected_credentials", findings)
            .is_some_and(|flag| flag.value),
        persisted_queries: persisted_queries(fields, protocol, findings),
        signing: signing(fields, requests, findings),
        credential_provider: credential_provider(fields, findings),
        budget: budget(fields, protocol, findings),
        ..Options::default()
    };
    let graphql = take(fields, "graphql_max_body_bytes", (protocol, &GRAPHQL), findings)
        .and_then(|node| body_bytes(&node, "graphql_max_body_bytes", findings));
    let json_rpc = take(fields, "json_rpc", (protocol, &[Protocol::JsonRpc]), findings)
        .and_then(|node| json_rpc(node, findings));
    options.max_body_bytes = graphql.or(json_rpc);
    if let Some(node) = take(fields, "mcp", (protocol, &[Protocol::Mcp]), findings) {
        mcp(node, &mut options, findings);
    }
    options
}

/// A switch that only some protocols have. Off, it is taken everywhere.
fn flag(
    fields: &mut Fields,
    key: &'static str,
    (protocol, owners): (Option<Protocol>, &[Protocol]),
    findings: &mut Findings,
) -> bool {
    let at = fields.place_of(key);
    let on = fields.boolean(key, findings).is_some_and(|flag| flag.value);
    match (protocol, at) {
        (Some(protocol), Some(at)) if on && !owners.contains(&protocol) => {
            refuse_foreign(key, at, (protocol, owners), findings);
            false
        }
        _ => on,
    }
}

/// A limit of bodies; the default is no limit that was said.
fn body_bytes(node: &Node, what: &str, findings: &mut Findings) -> Option<u32> {
    let bytes = number(node, what, "P0415", 1..=u64::from(BODY_BYTES_MOST), findings)?;
    u32::try_from(bytes).ok().filter(|bytes| *bytes != BODY_BYTES)
}

fn json_rpc(node: Node, findings: &mut Findings) -> Option<u32> {
    let mut fields = Fields::of(node, "json_rpc", findings)?;
    let bytes = fields.take("max_body_bytes");
    fields.refuse_rest(findings);
    bytes.and_then(|node| body_bytes(&node, "max_body_bytes", findings))
}

fn mcp(node: Node, options: &mut Options, findings: &mut Findings) {
    let Some(mut fields) = Fields::of(node, "mcp", findings) else { return };
    options.max_body_bytes = fields
        .take("max_body_bytes")
        .and_then(|node| body_bytes(&node, "max_body_bytes", findings));
    let strict = fields.boolean("strict_tool_names", findings);
    options.strict_tool_names = strict.map(|flag| flag.value).filter(|strict| !strict);
    options.allow_all_known_mcp_methods =
        fields.boolean("allow_all_known_mcp_methods", findings).is_some_and(|flag| flag.value);
    options.mcp_versions = fields
        .take("versions")
        .map(|node| words(node, ("versions", MCP_VERSIONS), is_version, findings))
        .unwrap_or_default();
    fields.refuse_rest(findings);
}

fn is_version(text: &str) -> bool {
    plain_word(text, 32, |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

fn plain_word(text: &str, most: usize, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(fits)
}

/// A list of words that `fits`, not empty.
fn words(
    node: Node,
    (what, most): (&'static str, usize),
    fits: impl Fn(&str) -> bool,
    findings: &mut Findings,
) -> Vec<String> {
    let Some(items) = list(node, what, most, findings) else { return Vec::new() };
    if items.value.is_empty() {
        super::patterns::refuse_empty(what, items.at, findings);
    }
    let mut read = Vec::with_capacity(items.value.len());
    for node in items.value {
        let Some(word) = text(node, what, findings) else { continue };
        if fits(&word.value) {
            read.push(word.value);
        } else {
            let message = format!("`{what}` cannot hold `{}`", shown(&word.value));
            findings.error("P0104", word.at, message);
        }
    }
    read
}

fn persisted_queries(
    fields: &mut Fields,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<BTreeMap<String, PersistedQuery>> {
    let owners = (protocol, GRAPHQL.as_slice());
    let word_at = fields.place_of("persisted_queries");
    let allowed = take(fields, "persisted_queries", owners, findings)
        .and_then(|node| text(node, "persisted_queries", findings))
        .and_then(|word| {
            let choices = [("deny", false), ("allow_registered", true)];
            choice(&word, "persisted_queries", &choices, findings)
        });
    let map_at = fields.place_of("graphql_persisted_queries");
    let map = take(fields, "graphql_persisted_queries", owners, findings)
        .map(|node| registered(node, findings));
    match (allowed, map) {
        (Some(true), Some(map)) => Some(map),
        (Some(true), None) => {
            let message = "`persisted_queries: allow_registered` needs \
                           `graphql_persisted_queries`: nothing is registered";
            let help = "add `graphql_persisted_queries`, a mapping from hashes to operations";
            let at = word_at.unwrap_or(fields.at);
            findings.error_with_help("P0417", at, message.to_owned(), help.to_owned());
            None
        }
        (Some(false), Some(_)) | (None, Some(_)) if word_at.is_none() || allowed.is_some() => {
            let message = "`graphql_persisted_queries` registers operations that \
                           `persisted_queries` denies";
            let help = "add `persisted_queries: allow_registered`";
            let at = map_at.unwrap_or(fields.at);
            findings.error_with_help("P0417", at, message.to_owned(), help.to_owned());
            None
        }
        _ => None,
    }
}

fn registered(node: Node, findings: &mut Findings) -> BTreeMap<String, PersistedQuery> {
    let entries = match node.kind {
        Kind::Map(entries) if entries.len() <= PERSISTED_QUERIES => entries,
        Kind::Map(_) => {
            let message = format!("more than {PERSISTED_QUERIES} registered operations");
            findings.error("P0002", node.at, message);
            return BTreeMap::new();
        }
        kind => {
            let node = Node { at: node.at, kind };
            let wanted = "a mapping from hashes to operations";
            wrong_type(&node, "graphql_persisted_queries", wanted, findings);
            return BTreeMap::new();
        }
    };
    if entries.is_empty() {
        let message = "`graphql_persisted_queries` is empty".to_owned();
        findings.error_with_help("P0407", node.at, message, "fill it or remove it".to_owned());
    }
    let mut read = BTreeMap::new();
    for Entry { at, key, value } in entries {
        if !plain_word(&key, 128, |b| b.is_ascii_alphanumeric() || b"_.:/+=-".contains(&b)) {
            let message = format!("`{}` is not the hash of an operation", shown(&key));
            findings.error("P0417", at, message);
        }
        if let Some(operation) = operation(value, findings) {
            read.insert(key, operation);
        }
    }
    read
}

fn operation(node: Node, findings: &mut Findings) -> Option<PersistedQuery> {
    let mut fields = Fields::of(node, "a registered operation", findings)?;
    let at = fields.at;
    let operation_type = match fields.text("operation_type", findings) {
        Some(word) => {
            let choices = [
                ("query", OperationType::Query),
                ("mutation", OperationType::Mutation),
                ("subscription", OperationType::Subscription),
            ];
            choice(&word, "operation_type", &choices, findings)
        }
        None => {
            let message = "a registered operation needs an `operation_type`".to_owned();
            findings.error("P0103", at, message);
            None
        }
    };
    let name = fields.text("operation_name", findings).map(|name| name.value).unwrap_or_default();
    // SECURITY: rules ask that every root field is allowed; of no fields, that holds.
    let given = fields.take("fields");
    if given.is_none() {
        let message = "a registered operation needs its root `fields`".to_owned();
        findings.error("P0103", at, message);
    }
    let of_fields = given.map(|node| {
        words(node, ("fields", MATCHER_PATTERNS), |word| plain_word(word, 128, is_name), findings)
    });
    fields.refuse_rest(findings);
    Some(PersistedQuery {
        operation_type: operation_type?,
        operation_name: name,
        fields: of_fields?,
    })
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn signing(fields: &mut Fields, requests: &Requests, findings: &mut Findings) -> Option<Signing> {
    let mode_at = fields.place_of("credential_signing");
    let mode = fields.text("credential_signing", findings).and_then(|word| {
        let choices = [
            ("sigv4", SigningMode::Auto),
            ("sigv4:body", SigningMode::Body),
            ("sigv4:no_body", SigningMode::NoBody),
        ];
        choice(&word, "credential_signing", &choices, findings)
    });
    let service_at = fields.place_of("signing_service");
    let region_at = fields.place_of("signing_region");
    let service = signing_word(fields, "signing_service", findings);
    let region = signing_word(fields, "signing_region", findings);
    let Some(at) = mode_at else {
        if let Some(at) = service_at.or(region_at) {
            let message = "a service or region to sign for, and no `credential_signing`".to_owned();
            let help = "add `credential_signing: sigv4`".to_owned();
            findings.error_with_help("P0416", at, message, help);
        }
        return None;
    };
    let unread = matches!(requests.protocol, Some(Protocol::Tcp | Protocol::Udp));
    if requests.raw || unread {
        let message = "`credential_signing` needs requests that can be read".to_owned();
        let help = "remove it, or `tls: skip` and `protocol`".to_owned();
        findings.error_with_help("P0416", at, message, help);
    }
    if service_at.is_none() {
        let message = "`credential_signing` needs a `signing_service`".to_owned();
        let help = "name the service in the way of its signatures: `signing_service: s3`";
        findings.error_with_help("P0416", at, message, help.to_owned());
    }
    Some(Signing { mode: mode?, service: service?, region })
}

fn signing_word(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> Option<String> {
    let word = fields.text(key, findings)?;
    if plain_word(&word.value, 64, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some(word.value);
    }
    let message = format!("`{key}` cannot be `{}`", shown(&word.value));
    let help = "it has small letters, digits and hyphens".to_owned();
    findings.error_with_help("P0104", word.at, message, help);
    None
}

fn credential_provider(fields: &mut Fields, findings: &mut Findings) -> Option<String> {
    let node = fields.take("credential_binding")?;
    let mut fields = Fields::of(node, "credential_binding", findings)?;
    let at = fields.at;
    let given = fields.take("provider");
    if given.is_none() {
        let message = "`credential_binding` needs a `provider`".to_owned();
        findings.error("P0103", at, message);
    }
    fields.refuse_rest(findings);
    let name = given.and_then(|node| text(node, "provider", findings))?;
    if plain_word(&name.value, NAME_CHARS, |b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        return Some(name.value);
    }
    let message = format!("`{}` is not the name of a provider", shown(&name.value));
    findings.error("P0104", name.at, message);
    None
}

fn budget(
    fields: &mut Fields,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Budget> {
    let node = fields.take("budget")?;
    let mut fields = Fields::of(node, "budget", findings)?;
    let at = fields.at;
    let requests_at = fields.place_of("requests");
    let amount = |key: &'static str, fields: &mut Fields, findings: &mut Findings| {
        let node = fields.take(key)?;
        number(&node, key, "P0418", 1..=BUDGET_MOST, findings)
    };
    let requests = amount("requests", &mut fields, findings);
    let bytes_at = fields.place_of("bytes");
    let bytes = amount("bytes", &mut fields, findings);
    let per = fields.text("per", findings).and_then(|word| {
        let choices = Period::ALL.map(|period| (period.as_str(), period));
        choice(&word, "per", &choices, findings)
    });
    fields.refuse_rest(findings);
    if requests_at.is_none() && bytes_at.is_none() {
        refuse_budget(at, "`budget` needs `requests` or `bytes`", findings);
    }
    if let Some(at) = requests_at
        && protocol.is_some_and(|protocol| !protocol.judges_requests())
    {
        let why = "a budget of `requests` needs a `protocol` that judges requests";
        refuse_budget(at, why, findings);
    }
    Some(Budget { requests, bytes, per: per.unwrap_or_default() })
}

fn refuse_budget(at: Position, why: &str, findings: &mut Findings) {
    let help = "such as `budget: { bytes: 1000000, per: hour }`".to_owned();
    findings.error_with_help("P0418", at, why.to_owned(), help);
}
