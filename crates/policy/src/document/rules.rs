//! `network_policies`: rules and their binaries.

use jiff::Timestamp;
use openshell_types::Digest;

use super::endpoint;
use super::findings::{Findings, Position, Spanned};
use super::node::{Entry, Kind, Node};
use super::reader::{Fields, shown, wrong_type};
use super::sections::check_path;
use super::{Binary, Endpoint, Rule};
use crate::check::published_reading;
use crate::limits::{NAME_CHARS, RULE_ITEMS, RULES};

pub(super) fn read(root: &mut Fields, findings: &mut Findings) -> Vec<Rule> {
    let Some(node) = root.take("network_policies") else { return Vec::new() };
    let entries = match node.kind {
        Kind::Map(entries) if entries.len() <= RULES => entries,
        Kind::Map(_) => {
            findings.error("P0002", node.at, format!("more than {RULES} rules"));
            return Vec::new();
        }
        kind => {
            let node = Node { at: node.at, kind };
            wrong_type(&node, "network_policies", "a mapping from names to rules", findings);
            return Vec::new();
        }
    };
    let said = entries.iter().any(|entry| entry.value.mentions("descendants"));
    let rules: Vec<Rule> = entries.into_iter().filter_map(|entry| rule(entry, findings)).collect();
    let first = rules.iter().flat_map(|rule| &rule.binaries).next();
    if let (Some(binary), false) = (first, said) {
        published_reading::descendants_unsaid(binary.path.at, findings);
    }
    rules
}

/// The endpoints and binaries of a mapping that is no rule of a policy, as a rule of that name.
pub(super) fn fragment(
    name: &Spanned<String>,
    fields: &mut Fields,
    findings: &mut Findings,
) -> Rule {
    let said = fields.mention("descendants");
    let (endpoints, binaries) = parts(fields, findings);
    if let (Some(binary), false) = (binaries.first(), said) {
        published_reading::descendants_unsaid(binary.path.at, findings);
    }
    Rule { name: name.value.clone(), key: name.clone(), until: None, endpoints, binaries }
}

fn parts(fields: &mut Fields, findings: &mut Findings) -> (Vec<Endpoint>, Vec<Binary>) {
    let endpoints = items(fields, "endpoints", findings)
        .into_iter()
        .filter_map(|node| endpoint::read(node, findings))
        .collect();
    let binaries = items(fields, "binaries", findings)
        .into_iter()
        .filter_map(|node| binary(node, findings))
        .collect();
    (endpoints, binaries)
}

fn rule(entry: Entry, findings: &mut Findings) -> Option<Rule> {
    check_name(&entry.key, entry.at, findings);
    let mut fields = Fields::of(entry.value, "a rule", findings)?;
    let name = fields.text("name", findings);
    if let Some(name) = &name {
        check_name(&name.value, name.at, findings);
    }
    let until = fields.text("until", findings).and_then(|text| until(&text, findings));
    let (endpoints, binaries) = parts(&mut fields, findings);
    fields.refuse_rest(findings);
    Some(Rule {
        name: name.map_or_else(|| entry.key.clone(), |name| name.value),
        key: Spanned { value: entry.key, at: entry.at },
        until,
        endpoints,
        binaries,
    })
}

fn items(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> Vec<Node> {
    fields.list(key, RULE_ITEMS, findings).map(|list| list.value).unwrap_or_default()
}

/// Names stand in log lines, denial bodies and shells.
fn check_name(name: &str, at: Position, findings: &mut Findings) {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/');
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS || !name.chars().all(plain) {
        findings.error_with_help(
            "P0301",
            at,
            format!("`{}` is not a name for a rule", shown(name)),
            format!("a name has at most {NAME_CHARS} letters, digits, spaces and any of `_-.:/`"),
        );
    }
}

fn until(text: &Spanned<String>, findings: &mut Findings) -> Option<Timestamp> {
    // RFC 3339 only: the reader of the text shall not need to know other notations.
    let shaped = text.value.len() >= "2030-01-01T00:00:00Z".len() && !text.value.contains('[');
    match text.value.parse::<Timestamp>() {
        Ok(time) if shaped => Some(time),
        _ => {
            findings.error_with_help(
                "P0308",
                text.at,
                format!("`{}` is not a time", shown(&text.value)),
                "write it as `2030-01-31T12:00:00Z`".to_owned(),
            );
            None
        }
    }
}

fn binary(node: Node, findings: &mut Findings) -> Option<Binary> {
    let mut fields = Fields::of(node, "a binary", findings)?;
    let at = fields.at;
    let path = match fields.take_entry("path") {
        Some(entry) if !entry.value.is_null() => super::reader::text(entry.value, "path", findings),
        _ => {
            findings.error("P0103", at, "a binary needs a `path`".to_owned());
            None
        }
    };
    let sha256 = fields.text("sha256", findings).and_then(|text| {
        let digest = Digest::parse(&text.value);
        if digest.is_err() {
            let message =
                format!("`sha256` is 64 hexadecimal digits, not `{}`", shown(&text.value));
            findings.error("P0104", text.at, message);
        }
        digest.ok()
    });
    let descendants = fields.boolean("descendants", findings);
    if let Some(entry) = fields.take_entry("harness") {
        findings.warning(
            "P0105",
            entry.at,
            "`harness` has no meaning any more".to_owned(),
            Some("remove it".to_owned()),
        );
    }
    fields.refuse_rest(findings);
    let path = path.filter(|path| check_path(path, findings))?;
    Some(Binary { path, sha256, descendants: descendants.is_some_and(|flag| flag.value) })
}
