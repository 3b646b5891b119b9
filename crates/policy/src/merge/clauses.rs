//! `add_allow_rules` and `add_deny_rules`; and what a preset stands for.

use super::operation::{Target, placed};
use crate::document::model::{Access, Clause, OperationChoice, Protocol};
use crate::document::{Endpoint, OperationType, Rule};
use crate::pattern::port_set;
use crate::words;

/// Denials go to every endpoint that is meant: that only narrows.
pub(super) fn deny(rules: &mut [Rule], target: &Target, list: &[Clause]) -> Result<(), String> {
    let places = places(rules, target)?;
    for (rule, at) in places {
        edit(rules, (rule, at), target, |endpoint| add(&mut endpoint.deny_rules, list));
    }
    Ok(())
}

/// An allowance goes to one endpoint; which, must be clear.
pub(super) fn allow(
    rules: &mut [Rule],
    target: &Target,
    list: &[Clause],
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    let places = places(rules, target)?;
    let [place] = places.as_slice() else {
        let mut names: Vec<String> = places
            .iter()
            .filter_map(|(rule, at)| {
                let rule = rules.get(*rule)?;
                let place = words::place(rule.endpoints.get(*at)?);
                Some(format!("{place} of rule `{}`", rule.key.value))
            })
            .collect();
        names.dedup();
        return Err(format!(
            "several endpoints are {target}: {}; say which rule and path is meant",
            names.join(", ")
        ));
    };
    edit(rules, *place, target, |endpoint| {
        let tools = |list: &[Clause]| {
            list.iter().any(|one| one.method.as_ref().is_some_and(|m| m.value == "tools/call"))
        };
        if endpoint.options.allow_all_known_mcp_methods && !tools(&endpoint.rules) && tools(list) {
            warnings.push(format!(
                "{target} allowed every tool so far; with a rule for `tools/call` beside \
                 `allow_all_known_mcp_methods` it allows only what such rules name"
            ));
        }
        expand(endpoint);
        add(&mut endpoint.rules, list);
    });
    Ok(())
}

/// The endpoints that judge requests and are meant: position of the rule, and in the rule.
fn places(rules: &[Rule], target: &Target) -> Result<Vec<(usize, usize)>, String> {
    let (mut judging, mut other) = (Vec::new(), false);
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| target.names_rule(rule)) {
        for (at, endpoint) in rule.endpoints.iter().enumerate() {
            if !target.names(endpoint) {
                continue;
            }
            if endpoint.protocol.judges_requests() {
                judging.push((number, at));
            } else {
                other = true;
            }
        }
    }
    match (judging.is_empty(), other) {
        (false, _) => Ok(judging),
        (true, true) => Err(format!(
            "the endpoint {target} judges no requests; give it a `protocol` such as `rest` first"
        )),
        (true, false) => Err(format!("no endpoint is {target}; add it first")),
    }
}

/// Changes an endpoint on the target's port only: the others go on as they are.
fn edit(
    rules: &mut [Rule],
    (rule, at): (usize, usize),
    target: &Target,
    change: impl FnOnce(&mut Endpoint),
) {
    let Some(rule) = rules.get_mut(rule) else { return };
    let Some(endpoint) = rule.endpoints.get_mut(at) else { return };
    let before = words::without_ports(endpoint);
    let mut changed = endpoint.clone();
    change(&mut changed);
    if words::without_ports(&changed) == before {
        return;
    }
    changed.ports = target.ports();
    endpoint.ports = port_set::without(&endpoint.ports, &target.ports());
    if endpoint.ports.is_empty() {
        *endpoint = changed;
    } else {
        rule.endpoints.push(changed);
    }
    join(&mut rule.endpoints);
}

/// Adds rules that are not there yet.
pub(crate) fn add(to: &mut Vec<Clause>, list: &[Clause]) {
    for clause in list {
        let text = words::clause(clause);
        if !to.iter().any(|other| words::clause(other) == text) {
            to.push(clause.clone());
        }
    }
}

/// Makes one endpoint of those that differ in their ports only.
pub(crate) fn join(endpoints: &mut Vec<Endpoint>) {
    let mut joined: Vec<(String, Endpoint)> = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints.drain(..) {
        let text = words::without_ports(&endpoint);
        match joined.iter_mut().find(|(other, _)| *other == text) {
            Some((_, first)) => first.ports = port_set::union(&first.ports, &endpoint.ports),
            None => joined.push((text, endpoint)),
        }
    }
    endpoints.extend(joined.into_iter().map(|(_, endpoint)| endpoint));
}

/// Writes a preset out as the rules that it stands for.
pub(crate) fn expand(endpoint: &mut Endpoint) {
    if let Some(access) = endpoint.access.take() {
        add(&mut endpoint.rules, &preset(endpoint.protocol, access));
    }
}

/// The rules that a preset stands for; see `SEMANTICS.md`, section 5.
pub(crate) fn preset(protocol: Protocol, access: Access) -> Vec<Clause> {
    let method =
        |word: &&str| Clause { method: Some(placed((*word).to_owned())), ..Clause::default() };
    let operations = |choice| Clause { operation_type: Some(choice), ..Clause::default() };
    let read = ["GET", "HEAD", "OPTIONS"];
    let write = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"];
    let (query, mutation) = (OperationType::Query, OperationType::Mutation);
    match (protocol, access) {
        (Protocol::Rest, Access::ReadOnly) => read.iter().map(method).collect(),
        (Protocol::Rest, Access::ReadWrite) => write.iter().map(method).collect(),
        (Protocol::WebSocket, Access::ReadOnly) => vec![method(&"GET")],
        (Protocol::WebSocket, _) => ["GET", "WEBSOCKET_TEXT"].iter().map(method).collect(),
        (Protocol::GraphQl, Access::ReadOnly) => vec![operations(OperationChoice::Only(query))],
        (Protocol::GraphQl, Access::ReadWrite) => {
            [query, mutation].map(|kind| operations(OperationChoice::Only(kind))).into()
        }
        (Protocol::GraphQl, Access::Full) => vec![operations(OperationChoice::Any)],
        (Protocol::Rest | Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc, _) => {
            vec![method(&"*")]
        }
        (Protocol::Opaque | Protocol::Tcp | Protocol::Udp, _) => Vec::new(),
    }
}
