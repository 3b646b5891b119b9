//! P0516: a method that is probably a slip. P0517: a pattern that no value can match (M2).

use crate::document::findings::{Findings, Spanned};
use crate::document::model::{Clause, Endpoint};
use crate::document::{Document, METHODS, Protocol, did_you_mean, shown};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        for clause in endpoint.rules.iter().chain(&endpoint.deny_rules) {
            check_method(clause, endpoint.protocol, findings);
            check_clause(clause, endpoint, findings);
        }
    }
}

fn check_method(clause: &Clause, protocol: Protocol, findings: &mut Findings) {
    let Some(method) = &clause.method else { return };
    let word = method.value.as_str();
    if protocol != Protocol::Rest || word == "*" || METHODS.contains(&word) {
        return;
    }
    if let Some(near) = did_you_mean(word, METHODS) {
        findings.warning(
            "P0516",
            method.at,
            format!("`{}` is no method that is in use", shown(word)),
            Some(format!("did you mean `{near}`?")),
        );
    }
}

fn check_clause(clause: &Clause, endpoint: &Endpoint, findings: &mut Findings) {
    for field in &clause.fields {
        if !made_of(&field.value, "_") {
            let why = "the name of a root field has only letters, digits and `_`";
            say(field, why, findings);
        }
    }
    if let Some(name) = &clause.operation_name
        && !made_of(&name.value, "_")
    {
        say(name, "the name of an operation has only letters, digits and `_`", findings);
    }
    if let Some(tool) = &clause.tool
        && endpoint.options.strict_tool_names.is_none()
        && !made_of(&tool.value, "_.-")
    {
        let why = "with strict names a tool has only letters, digits and any of `_.-`";
        say(tool, why, findings);
    }
    if endpoint.protocol == Protocol::Grpc {
        for field in [&clause.service, &clause.method].into_iter().flatten() {
            if field.value.contains('/') {
                say(field, "a `/` stands between service and method, not in them", findings);
            }
        }
    }
}

fn made_of(pattern: &str, others: &str) -> bool {
    pattern.chars().all(|c| c.is_ascii_alphanumeric() || c == '*' || others.contains(c))
}

fn say(pattern: &Spanned<String>, why: &str, findings: &mut Findings) {
    findings.warning(
        "P0517",
        pattern.at,
        format!("`{}` can match nothing: {why}", shown(&pattern.value)),
        None,
    );
}
