//! Edits of a policy: from the words of `policy update`, and from published messages.

use std::collections::{BTreeSet, HashMap};

use openshell_policy::{Document, Operation, SyntaxError, Target, parse};
use openshell_types::Port;
use openshell_wire::sandbox::{
    L7DenyRule, L7Rule, NetworkAccessPreset, NetworkEndpoint, NetworkPolicyRule, NetworkTlsMode,
    SandboxPolicy,
};
use openshell_wire::v1::policy_merge_operation::Operation as Wire;
use openshell_wire::{native, v1};

use super::convert::refused;
use crate::app::AppError;
use crate::limits::POLICY_EDITS;
use crate::store::rows::policy::Revision;

type Answer<T> = Result<T, AppError>;

/// The operations of native edits.
pub(super) fn edits(list: &[native::PolicyEdit]) -> Answer<Vec<Operation>> {
    bounded("edits", list.len())?;
    list.iter().map(edit).collect()
}

fn edit(edit: &native::PolicyEdit) -> Answer<Operation> {
    use native::policy_edit::Edit;
    let wrong = |text: &str, error: SyntaxError| {
        AppError::invalid("edits", format!("`{}`: {error}", text.escape_debug()))
    };
    match &edit.edit {
        Some(Edit::AddEndpoint(add)) => {
            let binaries: Vec<&str> = add.binaries.iter().map(String::as_str).collect();
            let rule = (!add.rule_name.is_empty()).then_some(add.rule_name.as_str());
            Operation::parse_endpoint(&add.endpoint, &binaries, rule)
                .map_err(|error| wrong(&add.endpoint, error))
        }
        Some(Edit::RemoveEndpoint(text)) => {
            Operation::parse_removal(text).map_err(|error| wrong(text, error))
        }
        Some(Edit::AddAllow(text)) => {
            Operation::parse_allow(text).map_err(|error| wrong(text, error))
        }
        Some(Edit::AddDeny(text)) => {
            Operation::parse_deny(text).map_err(|error| wrong(text, error))
        }
        Some(Edit::RemoveRule(key)) => Ok(Operation::RemoveRule(key.clone())),
        None => Err(AppError::invalid("edits", "one is empty")),
    }
}

/// The operations of published messages, for the revision that they are to edit.
pub(super) fn operations(
    list: &[v1::PolicyMergeOperation],
    base: &Revision,
) -> Answer<Vec<Operation>> {
    bounded("merge_operations", list.len())?;
    let mut all = Vec::with_capacity(list.len());
    for operation in list {
        match &operation.operation {
            Some(Wire::AddRule(add)) => all.extend(add_rule(add)?),
            Some(Wire::RemoveEndpoint(remove)) => {
                let mut target = Target::new(&remove.host, port(remove.port)?);
                target.rule = named(&remove.rule_name);
                all.push(Operation::RemoveEndpoint(target));
            }
            Some(Wire::RemoveRule(remove)) => {
                all.push(Operation::RemoveRule(remove.rule_name.clone()));
            }
            Some(Wire::AddAllowRules(add)) => {
                let clauses = Clauses::Allow(&add.rules);
                all.extend(add_clauses(add.target.as_ref(), &clauses, base)?);
            }
            Some(Wire::AddDenyRules(add)) => {
                let clauses = Clauses::Deny(&add.deny_rules);
                all.extend(add_clauses(add.target.as_ref(), &clauses, base)?);
            }
            Some(Wire::RemoveBinary(remove)) => all.push(Operation::RemoveBinary {
                rule: remove.rule_name.clone(),
                path: remove.binary_path.clone(),
            }),
            None => return Err(AppError::invalid("merge_operations", "one is empty")),
        }
    }
    Ok(all)
}

/// TLS is terminated where a rule needs it: a client that asks for more or less must not believe
/// that it got it.
pub(super) fn refuse_tls(rule: &NetworkPolicyRule) -> Answer<()> {
    let refused = |endpoint: &NetworkEndpoint| {
        matches!(endpoint.tls(), NetworkTlsMode::Terminate | NetworkTlsMode::Passthrough)
    };
    if rule.endpoints.iter().any(refused) {
        return Err(AppError::invalid(
            "tls",
            "leave it out: TLS is terminated where a rule needs it",
        ));
    }
    Ok(())
}

fn bounded(field: &'static str, count: usize) -> Answer<()> {
    match count {
        0 => Err(AppError::invalid(field, "there is none")),
        1..=POLICY_EDITS => Ok(()),
        _ => Err(AppError::invalid(field, format!("more than {POLICY_EDITS}"))),
    }
}

fn named(rule: &str) -> Option<String> {
    (!rule.is_empty()).then(|| rule.to_owned())
}

fn port(port: u32) -> Answer<Port> {
    u16::try_from(port)
        .ok()
        .and_then(Port::new)
        .ok_or_else(|| AppError::invalid("port", "not a number from 1 to 65535"))
}

fn add_rule(add: &v1::AddNetworkRule) -> Answer<Vec<Operation>> {
    let rule = add.rule.as_ref().ok_or_else(|| AppError::invalid("rule", "it is missing"))?;
    refuse_tls(rule)?;
    let key = named(&add.rule_name).or_else(|| named(&rule.name));
    let key = key.ok_or_else(|| AppError::invalid("rule_name", "a rule must be named"))?;
    Ok(Operation::add_rules(&document(key, rule.clone())?))
}

/// A document of one rule, checked as one that is set.
fn document(key: String, rule: NetworkPolicyRule) -> Answer<Document> {
    let policy = SandboxPolicy {
        version: 1,
        network_policies: HashMap::from([(key, rule)]),
        ..SandboxPolicy::default()
    };
    let parsed = parse(&openshell_wire::policy::to_text(&policy));
    parsed.document.ok_or_else(|| refused(&parsed.diagnostics))
}

/// Rules that are to be added to an endpoint.
enum Clauses<'a> {
    Allow(&'a [L7Rule]),
    Deny(&'a [L7DenyRule]),
}

/// The target must name the rule, the host and ports, and whom that concerns: an append is for the
/// endpoint that its author saw.
fn add_clauses(
    target: Option<&v1::L7RuleTarget>,
    clauses: &Clauses<'_>,
    base: &Revision,
) -> Answer<Vec<Operation>> {
    let target = target.ok_or_else(|| AppError::invalid("target", "it is missing"))?;
    let invalid = |message: &str| Err(AppError::invalid("target", message));
    match clauses {
        Clauses::Allow([]) | Clauses::Deny([]) => return invalid("there are no rules to add"),
        _ if target.rule_name.is_empty() || target.host.is_empty() || target.ports.is_empty() => {
            return invalid("rule, host and ports must be named");
        }
        _ if target.binaries.is_empty() != target.any_binary => {
            return invalid("name the binaries of the rule, or set any_binary");
        }
        _ => {}
    }
    let policy = openshell_wire::policy::from_text(&base.text)
        .map_err(|error| AppError::Precondition(error.to_string()))?;
    let missing = || AppError::Precondition(format!("there is no rule `{}`", target.rule_name));
    let rule = policy.network_policies.get(&target.rule_name).ok_or_else(missing)?;
    if !target.any_binary && paths(&rule.binaries) != paths(&target.binaries) {
        let message = format!("the rule `{}` has other binaries", target.rule_name);
        return Err(AppError::Precondition(message));
    }
    let mut all = Vec::new();
    for wanted in &target.ports {
        let protocol = protocol(rule, target, *wanted)?;
        let endpoint = endpoint(target, clauses, (*wanted, protocol));
        let binaries = rule.binaries.clone();
        let alone = NetworkPolicyRule { endpoints: vec![endpoint], binaries, ..rule.clone() };
        for mut operation in Operation::add_clauses(&document(target.rule_name.clone(), alone)?) {
            if let Operation::AddAllowRules(place, _) | Operation::AddDenyRules(place, _) =
                &mut operation
            {
                place.rule = Some(target.rule_name.clone());
            }
            all.push(operation);
        }
    }
    Ok(all)
}

fn paths(binaries: &[openshell_wire::sandbox::NetworkBinary]) -> BTreeSet<&str> {
    binaries.iter().map(|binary| binary.path.as_str()).collect()
}

/// The protocol of the endpoint that is meant: its rules are written as it has them.
fn protocol(rule: &NetworkPolicyRule, target: &v1::L7RuleTarget, port: u32) -> Answer<String> {
    let meant = |endpoint: &&NetworkEndpoint| {
        endpoint.host.eq_ignore_ascii_case(&target.host)
            && (endpoint.port == port || endpoint.ports.contains(&port))
            && target.path.as_ref().is_none_or(|path| *path == endpoint.path)
    };
    let place = || format!("{} port {port} in rule `{}`", target.host, target.rule_name);
    let mut found = rule.endpoints.iter().filter(meant).peekable();
    if found.peek().is_none() {
        return Err(AppError::Precondition(format!("there is no endpoint {}", place())));
    }
    found.map(|endpoint| endpoint.protocol.clone()).find(|name| !name.is_empty()).ok_or_else(|| {
        AppError::Precondition(format!(
            "the endpoint {} judges no requests; give it a `protocol` such as `rest` first",
            place()
        ))
    })
}

fn endpoint(
    target: &v1::L7RuleTarget,
    clauses: &Clauses<'_>,
    (port, protocol): (u32, String),
) -> NetworkEndpoint {
    let mut endpoint = NetworkEndpoint {
        host: target.host.clone(),
        port,
        path: target.path.clone().unwrap_or_default(),
        protocol,
        ..NetworkEndpoint::default()
    };
    match clauses {
        Clauses::Allow(rules) => endpoint.rules = rules.to_vec(),
        Clauses::Deny(rules) => {
            endpoint.deny_rules = rules.to_vec();
            // An endpoint must allow something; this is not added.
            endpoint.set_access(NetworkAccessPreset::Full);
        }
    }
    endpoint
}
