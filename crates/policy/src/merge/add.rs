//! `add_rule`: into the rule of that key where that allows nothing else, and beside it otherwise.

use super::clauses;
use super::operation::placed;
use crate::document::model::{Clause, Protocol};
use crate::document::{Binary, Endpoint, Rule};
use crate::pattern::port_set;
use crate::words;

pub(super) fn rule(
    rules: &mut Vec<Rule>,
    new: &Rule,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    if new.endpoints.is_empty() {
        return Err(format!("the rule `{}` names no endpoint", new.key.value));
    }
    let new = Rule { binaries: binaries(rules, new)?, ..new.clone() };
    refuse_other_mcp(rules, &new)?;
    let family = family(rules, &new.key.value);
    let plans: Vec<(usize, Plan)> =
        family.iter().filter_map(|at| Some((*at, Plan::new(rules.get(*at)?, &new)?))).collect();
    // One that has it all already comes first, so that the same batch finds it again.
    let chosen = [Relation::Contained, Relation::Exact]
        .iter()
        .find_map(|wanted| plans.iter().find(|(_, plan)| plan.relation == *wanted));
    if let Some((at, plan)) = chosen {
        warnings.extend(plan.warnings.iter().cloned());
        if plan.relation == Relation::Exact
            && let Some(rule) = rules.get_mut(*at)
        {
            plan.carry_out(rule, &new.binaries);
        }
        return Ok(());
    }
    let key = free_key(rules, &new.key.value);
    if key != new.key.value {
        warnings.push(format!(
            "the rule `{}` has other binaries and endpoints, which would be allowed crosswise: \
             the addition is a rule of its own, `{key}`",
            new.key.value
        ));
    }
    let mut endpoints = new.endpoints.clone();
    clauses::join(&mut endpoints);
    rules.push(Rule { key: placed(key), endpoints, ..new });
    Ok(())
}

/// The rule's binaries; when it names none, the one of the rule that is there.
fn binaries(rules: &[Rule], new: &Rule) -> Result<Vec<Binary>, String> {
    if !new.binaries.is_empty() {
        return Ok(new.binaries.clone());
    }
    let key = &new.key.value;
    match rules.iter().find(|rule| rule.key.value == *key).map(|rule| rule.binaries.as_slice()) {
        Some([one]) => Ok(vec![one.clone()]),
        Some([_, _, ..]) => {
            Err(format!("the rule `{key}` has several binaries; say which one the endpoint is for"))
        }
        Some([]) | None => Err(format!("say which program the rule `{key}` is for")),
    }
}

// SECURITY: of two contracts for one MCP server the looser would hold for calls of the stricter.
fn refuse_other_mcp(rules: &[Rule], new: &Rule) -> Result<(), String> {
    for endpoint in new.endpoints.iter().filter(|endpoint| endpoint.protocol == Protocol::Mcp) {
        for rule in rules {
            let conflict = rule.endpoints.iter().find(|other| {
                other.protocol == Protocol::Mcp
                    && words::place(other) == words::place(endpoint)
                    && !port_set::common(&other.ports, &endpoint.ports).is_empty()
                    && mcp_contract(other) != mcp_contract(endpoint)
            });
            if conflict.is_some() {
                return Err(format!(
                    "{} has another MCP contract in rule `{}` (strict_tool_names, \
                     allow_all_known_mcp_methods, versions, body size); change it there",
                    words::place(endpoint),
                    rule.key.value
                ));
            }
        }
    }
    Ok(())
}

fn mcp_contract(endpoint: &Endpoint) -> (bool, bool, Vec<String>, Option<u32>) {
    let options = &endpoint.options;
    let mut versions = options.mcp_versions.clone();
    versions.sort_unstable();
    (
        options.strict_tool_names != Some(false),
        options.allow_all_known_mcp_methods,
        versions,
        options.max_body_bytes,
    )
}

/// The rule of a key and those that additions to it made: `key`, `key_2`, `key_3` and so on.
fn family(rules: &[Rule], key: &str) -> Vec<usize> {
    keys(key).map_while(|key| rules.iter().position(|rule| rule.key.value == key)).collect()
}

fn free_key(rules: &[Rule], key: &str) -> String {
    let free = |key: &String| rules.iter().all(|rule| rule.key.value != *key);
    keys(key).find(free).unwrap_or_default()
}

fn keys(key: &str) -> impl Iterator<Item = String> {
    let more = (2_u32..).map(move |number| format!("{key}_{number}"));
    std::iter::once(key.to_owned()).chain(more)
}

/// How an addition stands to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// The rule allows it already.
    Contained,
    /// Together they allow what each of them does and nothing more.
    Exact,
    /// Together they would allow more.
    Wider,
}

/// An addition as it would go into one rule.
struct Plan {
    relation: Relation,
    /// The new endpoints, cut at those that are there, with the settings of these; and the text of
    /// the one whose place each takes.
    endpoints: Vec<(Endpoint, Option<String>)>,
    warnings: Vec<String>,
}

impl Plan {
    /// `None` when the rules are in force for different times.
    fn new(rule: &Rule, new: &Rule) -> Option<Self> {
        if rule.until != new.until {
            return None;
        }
        let mut warnings = Vec::new();
        let endpoints: Vec<(Endpoint, Option<String>)> = new
            .endpoints
            .iter()
            .flat_map(|endpoint| adapt(rule, endpoint, &mut warnings))
            .collect();
        let new_binaries = has_more(&new.binaries, &rule.binaries);
        let old_binaries = has_more(&rule.binaries, &new.binaries);
        let adapted: Vec<Endpoint> = endpoints.iter().map(|(one, _)| one.clone()).collect();
        let new_endpoints = !all_within(&adapted, &rule.endpoints);
        let old_endpoints = !all_within(&rule.endpoints, &adapted);
        let relation = if !new_binaries && !new_endpoints {
            Relation::Contained
        } else if (old_binaries && new_endpoints) || (new_binaries && old_endpoints) {
            Relation::Wider
        } else {
            Relation::Exact
        };
        Some(Self { relation, endpoints, warnings })
    }

    fn carry_out(&self, rule: &mut Rule, binaries: &[Binary]) {
        for (endpoint, replaced) in &self.endpoints {
            for other in &mut rule.endpoints {
                if replaced.as_ref().is_some_and(|text| *text == words::without_ports(other)) {
                    other.ports = port_set::without(&other.ports, &endpoint.ports);
                }
            }
            rule.endpoints.push(endpoint.clone());
        }
        rule.endpoints.retain(|endpoint| !endpoint.ports.is_empty());
        clauses::join(&mut rule.endpoints);
        for binary in binaries {
            if !has(&rule.binaries, binary) {
                rule.binaries.retain(|other| !is_within(other, binary));
                rule.binaries.push(binary.clone());
            }
        }
    }
}

fn has(list: &[Binary], binary: &Binary) -> bool {
    list.iter().any(|other| is_within(binary, other))
}

/// Whether `outer` matches every caller that `inner` does: a program is among what it starts.
fn is_within(inner: &Binary, outer: &Binary) -> bool {
    inner.path.value == outer.path.value
        && (outer.sha256.is_none() || inner.sha256 == outer.sha256)
        && (outer.descendants || !inner.descendants)
}

fn has_more(left: &[Binary], right: &[Binary]) -> bool {
    left.iter().any(|binary| !has(right, binary))
}

/// Whether every endpoint of `inner` stands in `outer`, on each of its ports.
fn all_within(inner: &[Endpoint], outer: &[Endpoint]) -> bool {
    inner.iter().all(|endpoint| {
        let contract = words::contract(endpoint);
        let hosts: Vec<_> = outer
            .iter()
            .filter(|other| words::contract(other) == contract)
            .filter(|other| {
                subset(&endpoint.rules, &other.rules)
                    && subset(&endpoint.deny_rules, &other.deny_rules)
            })
            .flat_map(|other| other.ports.iter().copied())
            .collect();
        port_set::covers(&hosts, &endpoint.ports)
    })
}

fn subset(inner: &[Clause], outer: &[Clause]) -> bool {
    let outer = words::clauses(outer);
    words::clauses(inner).iter().all(|text| outer.contains(text))
}

/// The new endpoint as it would stand in the rule: where one of that place and port is there, with
/// its settings and the rules of both. One of the same protocol is looked for first.
fn adapt(
    rule: &Rule,
    new: &Endpoint,
    warnings: &mut Vec<String>,
) -> Vec<(Endpoint, Option<String>)> {
    let mut adapted = Vec::new();
    let mut rest = new.ports.clone();
    let place = words::place(new);
    let (same, other): (Vec<&Endpoint>, Vec<&Endpoint>) = rule
        .endpoints
        .iter()
        .filter(|old| words::place(old) == place)
        .partition(|old| old.protocol == new.protocol);
    for old in same.into_iter().chain(other) {
        let both = port_set::common(&old.ports, &rest);
        if both.is_empty() {
            continue;
        }
        rest = port_set::without(&rest, &both);
        let mut merged = joined(rule, old, new, warnings);
        merged.ports = both;
        adapted.push((merged, Some(words::without_ports(old))));
    }
    if !rest.is_empty() {
        adapted.push((Endpoint { ports: rest, ..new.clone() }, None));
    }
    adapted
}

fn joined(rule: &Rule, old: &Endpoint, new: &Endpoint, warnings: &mut Vec<String>) -> Endpoint {
    let mut merged = old.clone();
    let same_protocol = old.protocol.judges_requests() && old.protocol == new.protocol;
    if same_protocol {
        if !new.rules.is_empty() {
            clauses::expand(&mut merged);
            clauses::add(&mut merged.rules, &new.rules);
        }
        clauses::add(&mut merged.deny_rules, &new.deny_rules);
    }
    let (has, asked) = (words::settings(old), words::settings(new));
    let mut kept: Vec<&str> = has
        .keys()
        .chain(asked.keys())
        .copied()
        .filter(|name| has.get(name) != asked.get(name))
        // A preset that was written out for the sake of new rules was not refused.
        .filter(|name| *name != "access" || new.access.is_some())
        .collect();
    kept.sort_unstable();
    kept.dedup();
    for name in kept {
        let value = has.get(name).map_or("not set", String::as_str);
        let asked = asked.get(name).map_or("none", String::as_str);
        warnings.push(format!(
            "the endpoint {} of rule `{}` keeps its `{name}` ({value}); asked for was {asked}",
            words::place(old),
            rule.key.value
        ));
    }
    let has_rules = !new.rules.is_empty() || !new.deny_rules.is_empty();
    if has_rules && !same_protocol {
        warnings.push(format!(
            "rules for {} are left out: the endpoint of rule `{}` is of another protocol",
            words::place(old),
            rule.key.value
        ));
    }
    merged
}
