//! Parts of a document as short texts of one line: equal exactly when the parts mean the same, so
//! they serve people and comparisons alike.

use std::collections::BTreeMap;

use crate::document::model::{
    Access, Clause, Enforcement, OperationChoice, Options, PathCase, Patterns, SigningMode,
};
use crate::document::{Binary, Endpoint, OperationType, quoted};
use crate::pattern::port_set;

/// A value as it stands in a sentence: plain where nothing can be mistaken.
pub(crate) fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'/' | b'.' | b'_' | b'-' | b'+' | b'*' | b'{' | b'}' | b'~' | b'%')
        });
    if plain { text.to_owned() } else { quoted(text) }
}

/// The fields of a rule.
pub(crate) fn clause(clause: &Clause) -> String {
    let mut out = Vec::new();
    let mut one = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            out.push(format!("{name}: {}", scalar(value)));
        }
    };
    one("service", clause.service.as_ref().map(|text| text.value.as_str()));
    one("method", clause.method.as_ref().map(|text| text.value.as_str()));
    one("path", clause.path.as_ref().map(|text| text.value.as_str()));
    one("tool", clause.tool.as_ref().map(|text| text.value.as_str()));
    one("operation_type", clause.operation_type.map(operation_choice));
    one("operation_name", clause.operation_name.as_ref().map(|text| text.value.as_str()));
    if !clause.fields.is_empty() {
        out.push(format!("fields: {}", set(clause.fields.iter().map(|text| text.value.as_str()))));
    }
    for (name, matchers) in
        [("query", &clause.query), ("headers", &clause.headers), ("params", &clause.params)]
    {
        named(&mut out, name, matchers);
    }
    if out.is_empty() { "anything".to_owned() } else { out.join(", ") }
}

fn named(out: &mut Vec<String>, what: &str, matchers: &BTreeMap<String, Patterns>) {
    for (name, patterns) in matchers {
        let values = set(patterns.0.iter().map(|text| text.value.as_str()));
        out.push(format!("{what} {}: {values}", scalar(name)));
    }
}

fn set<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut values: Vec<String> = values.map(scalar).collect();
    values.sort_unstable();
    values.dedup();
    values.join(" | ")
}

/// The word of a choice of operations.
pub(crate) const fn operation_choice(choice: OperationChoice) -> &'static str {
    match choice {
        OperationChoice::Any => "*",
        OperationChoice::Only(only) => operation_type(only),
    }
}

/// The word of a kind of operation.
pub(crate) const fn operation_type(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// The word of a preset.
pub(crate) const fn access(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "read-only",
        Access::ReadWrite => "read-write",
        Access::Full => "full",
    }
}

/// The rules of a list, in order and without repetitions.
pub(crate) fn clauses(list: &[Clause]) -> Vec<String> {
    let mut texts: Vec<String> = list.iter().map(clause).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The host of an endpoint, or its address ranges.
pub(crate) fn host(endpoint: &Endpoint) -> String {
    match &endpoint.host {
        Some(host) => host.value.to_string(),
        None => allowed_ips(endpoint),
    }
}

fn allowed_ips(endpoint: &Endpoint) -> String {
    let mut ranges: Vec<String> =
        endpoint.allowed_ips.iter().map(|range| range.value.to_string()).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges.join(" | ")
}

/// What tells endpoints of one host apart, beside ports: host, and path.
pub(crate) fn place(endpoint: &Endpoint) -> String {
    match &endpoint.path {
        Some(path) => format!("{} {}", host(endpoint), scalar(&path.value)),
        None => host(endpoint),
    }
}

/// The settings of an endpoint that are not the default, by name; ports, place and rules are not
/// among them.
pub(crate) fn settings(endpoint: &Endpoint) -> BTreeMap<&'static str, String> {
    let mut out = BTreeMap::new();
    if endpoint.host.is_some() && !endpoint.allowed_ips.is_empty() {
        out.insert("allowed_ips", allowed_ips(endpoint));
    }
    // `tcp` is what none means, too.
    if endpoint.protocol != crate::Protocol::Tcp
        && let Some(word) = endpoint.protocol.as_str()
    {
        out.insert("protocol", word.to_owned());
    }
    if endpoint.raw {
        out.insert("tls", "skip".to_owned());
    }
    if endpoint.enforcement == Enforcement::Audit {
        out.insert("enforcement", "audit".to_owned());
    }
    if let Some(preset) = endpoint.access
        && endpoint.protocol.judges_requests()
    {
        out.insert("access", access(preset).to_owned());
    }
    match endpoint.path_case {
        PathCase::Careful => {}
        PathCase::Sensitive => drop(out.insert("path_case", "sensitive".to_owned())),
        PathCase::Insensitive => drop(out.insert("path_case", "insensitive".to_owned())),
    }
    options(&mut out, &endpoint.options);
    out
}

fn options(out: &mut BTreeMap<&'static str, String>, options: &Options) {
    for (name, set) in [
        ("allow_encoded_slash", options.allow_encoded_slash),
        ("websocket_credential_rewrite", options.websocket_credential_rewrite),
        ("request_body_credential_rewrite", options.request_body_credential_rewrite),
        ("allow_uninspected_credentials", options.allow_uninspected_credentials),
        ("allow_all_known_mcp_methods", options.allow_all_known_mcp_methods),
    ] {
        if set {
            out.insert(name, "true".to_owned());
        }
    }
    // True is the default.
    if options.strict_tool_names == Some(false) {
        out.insert("strict_tool_names", "false".to_owned());
    }
    if let Some(queries) = &options.persisted_queries {
        let texts: Vec<String> = queries
            .iter()
            .map(|(hash, query)| {
                let fields = set(query.fields.iter().map(String::as_str));
                let kind = operation_type(query.operation_type);
                format!("{} = {kind} {} ({fields})", scalar(hash), scalar(&query.operation_name))
            })
            .collect();
        out.insert("persisted_queries", format!("allow_registered [{}]", texts.join("; ")));
    }
    if let Some(bytes) = options.max_body_bytes {
        out.insert("max_body_bytes", bytes.to_string());
    }
    if !options.mcp_versions.is_empty() {
        out.insert("mcp_versions", set(options.mcp_versions.iter().map(String::as_str)));
    }
    if let Some(signing) = &options.signing {
        let mode = match signing.mode {
            SigningMode::Auto => "sigv4",
            SigningMode::Body => "sigv4:body",
            SigningMode::NoBody => "sigv4:no_body",
        };
        let region = signing.region.as_deref().map(scalar).unwrap_or_default();
        let text = format!("{mode} {} {region}", scalar(&signing.service));
        out.insert("credential_signing", text.trim_end().to_owned());
    }
    if let Some(provider) = &options.credential_provider {
        out.insert("credential_binding", scalar(provider));
    }
    if let Some(budget) = options.budget {
        let per = budget.per.as_str();
        let number = |value: Option<u64>| value.map_or("any".to_owned(), |n| n.to_string());
        let (requests, bytes) = (number(budget.requests), number(budget.bytes));
        out.insert("budget", format!("{requests} requests, {bytes} bytes per {per}"));
    }
}

/// All that an endpoint says but its ports and its rules.
pub(crate) fn contract(endpoint: &Endpoint) -> String {
    let mut out = place(endpoint);
    for (name, value) in settings(endpoint) {
        out.push_str(&format!(", {name}: {value}"));
    }
    out
}

/// All that an endpoint says but its ports.
pub(crate) fn without_ports(endpoint: &Endpoint) -> String {
    let mut out = contract(endpoint);
    for (word, list) in [("allow", &endpoint.rules), ("deny", &endpoint.deny_rules)] {
        for text in clauses(list) {
            out.push_str(&format!("; {word} {text}"));
        }
    }
    out
}

/// All that an endpoint says.
pub(crate) fn endpoint(endpoint: &Endpoint) -> String {
    format!("{} on port {}", without_ports(endpoint), port_set::words(&endpoint.ports))
}

/// One program of a rule.
pub(crate) fn binary(binary: &Binary) -> String {
    let mut out = scalar(&binary.path.value);
    if let Some(digest) = binary.sha256 {
        out.push_str(&format!(" with sha256 {digest}"));
    }
    if binary.descendants {
        out.push_str(" and what it starts");
    }
    out
}
