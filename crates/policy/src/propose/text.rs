//! Edits as one line to paste into a policy file.

use openshell_types::Port;

use crate::document::model::{Clause, Protocol};
use crate::document::{Binary, Endpoint, Rule, quoted};
use crate::words;

pub(super) fn add_binary(rule: &Rule, binary: &Binary) -> String {
    let path = words::scalar(&binary.path.value);
    let line = rule.key.at.line;
    let there = rule
        .binaries
        .iter()
        .any(|other| other.path.value == binary.path.value && other.sha256 == binary.sha256);
    if there && binary.descendants {
        return format!(
            "add `descendants: true` to `- path: {path}` of rule `{}` (line {line})",
            rule.name
        );
    }
    let more = if binary.descendants { ", descendants: true" } else { "" };
    let item = match more {
        "" => format!("- path: {path}"),
        _ => format!("- {{ path: {path}{more} }}"),
    };
    format!("add `{item}` to binaries of rule `{}` (line {line})", rule.name)
}

pub(super) fn add_port(rule: &Rule, endpoint: &Endpoint, port: Port) -> String {
    let mut ports: Vec<String> = endpoint
        .ports
        .iter()
        .map(|range| if range.is_single() { range.to_string() } else { format!("\"{range}\"") })
        .collect();
    ports.push(port.to_string());
    format!(
        "write `ports: [{}]` at the endpoint of rule `{}` (line {})",
        ports.join(", "),
        rule.name,
        endpoint.at.line,
    )
}

pub(super) fn add_clauses(rule: &Rule, endpoint: &Endpoint, list: &[Clause]) -> String {
    let items: Vec<String> = list.iter().map(|one| format!("`{}`", allow(one))).collect();
    let preset = match endpoint.access {
        Some(access) => {
            format!(", with the rules of `access: {}` in its place", words::access(access))
        }
        None => String::new(),
    };
    format!(
        "add {} to `rules` at the endpoint of rule `{}` (line {}){preset}",
        items.join(" and "),
        rule.name,
        endpoint.at.line,
    )
}

/// A whole rule, as one entry of `network_policies`.
pub(super) fn new_rule(rule: &Rule) -> String {
    let endpoints: Vec<String> = rule.endpoints.iter().map(endpoint).collect();
    let binaries: Vec<String> = rule
        .binaries
        .iter()
        .map(|binary| {
            let more = if binary.descendants { ", descendants: true" } else { "" };
            format!("{{ path: {}{more} }}", words::scalar(&binary.path.value))
        })
        .collect();
    format!(
        "add `{}: {{ endpoints: [{}], binaries: [{}] }}` to `network_policies`",
        rule.key.value,
        endpoints.join(", "),
        binaries.join(", "),
    )
}

fn endpoint(endpoint: &Endpoint) -> String {
    let mut fields = Vec::new();
    if endpoint.host.is_some() {
        fields.push(format!("host: {}", words::scalar(&words::host(endpoint))));
    }
    fields.extend(endpoint.ports.first().map(|range| format!("port: {range}")));
    if let Some(path) = &endpoint.path {
        fields.push(format!("path: {}", flow(&path.value)));
    }
    if endpoint.protocol != Protocol::Opaque {
        fields.extend(endpoint.protocol.as_str().map(|word| format!("protocol: {word}")));
    }
    if !endpoint.rules.is_empty() {
        let rules: Vec<String> =
            endpoint.rules.iter().map(|rule| format!("{{ {} }}", allow(rule))).collect();
        fields.push(format!("rules: [{}]", rules.join(", ")));
    }
    format!("{{ {} }}", fields.join(", "))
}

fn allow(clause: &Clause) -> String {
    let mut fields = Vec::new();
    for (key, value) in [
        ("service", &clause.service),
        ("method", &clause.method),
        ("path", &clause.path),
        ("tool", &clause.tool),
    ] {
        fields.extend(value.as_ref().map(|value| format!("{key}: {}", flow(&value.value))));
    }
    if let Some(choice) = clause.operation_type {
        fields.push(format!("operation_type: {}", flow(words::operation_choice(choice))));
    }
    if let Some(name) = &clause.operation_name {
        fields.push(format!("operation_name: {}", flow(&name.value)));
    }
    if !clause.fields.is_empty() {
        let names: Vec<String> = clause.fields.iter().map(|name| flow(&name.value)).collect();
        fields.push(format!("fields: [{}]", names.join(", ")));
    }
    format!("allow: {{ {} }}", fields.join(", "))
}

/// A string within `{ … }`: plain where that is safe.
fn flow(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'))
        && !["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain { text.to_owned() } else { quoted(text) }
}
