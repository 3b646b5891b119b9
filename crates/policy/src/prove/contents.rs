//! What requests may carry: GraphQL operations, and calls.

use std::collections::{BTreeSet, HashSet};

use super::automaton::{Row, Universe, atoms};
use super::budget::{Budget, COMBINATIONS, Exhausted};
use super::sample::{SampleCall, SampleOperation};
use super::values::{self, Conditions, Part};
use super::world::{Side, Site};
use crate::compiled::clause::{MCP_METHODS, TOOLS_CALL};
use crate::document::model::Clause;
use crate::document::{OperationType, Protocol};
use crate::pattern::Glob;

/// An operation of each kind that the endpoints tell apart.
pub(super) fn operations(
    sites: &[Site<'_>],
    budget: &mut Budget,
) -> Result<Vec<SampleOperation>, Exhausted> {
    let judging: Vec<&Site<'_>> = sites
        .iter()
        .filter(|site| matches!(site.endpoint.protocol, Protocol::GraphQl | Protocol::WebSocket))
        .collect();
    let clauses = || {
        judging.iter().flat_map(|site| site.endpoint.rules.iter().chain(&site.endpoint.deny_rules))
    };
    let names: BTreeSet<&str> =
        clauses().filter_map(|c| c.operation_name.as_ref()).map(|n| n.value.as_str()).collect();
    let names = texts(names, budget)?;
    let fields: BTreeSet<&str> =
        clauses().flat_map(|clause| &clause.fields).map(|f| f.value.as_str()).collect();
    let fields = texts(fields, budget)?;
    let sets = field_sets(&judging, &fields)?;
    let mut all = Vec::new();
    for operation_type in
        [OperationType::Query, OperationType::Mutation, OperationType::Subscription]
    {
        for name in &names {
            for fields in &sets {
                let (name, fields) = (name.clone(), fields.iter().cloned().collect());
                all.push(SampleOperation::Document { operation_type, name, fields });
            }
        }
    }
    let registered: BTreeSet<String> = judging
        .iter()
        .filter_map(|site| site.endpoint.options.persisted_queries.as_ref())
        .flat_map(|queries| queries.keys().cloned())
        .chain(["unknown".to_owned()])
        .collect();
    all.extend(registered.into_iter().map(SampleOperation::Hash));
    Ok(all)
}

fn texts(patterns: BTreeSet<&str>, budget: &mut Budget) -> Result<Vec<String>, Exhausted> {
    let rows: Vec<Row> = patterns.into_iter().map(Row::text).collect();
    Ok(atoms(&rows, Universe::Text, budget)?.into_iter().map(|atom| atom.text).collect())
}

/// The more fields an operation has, the harder it is to allow: so all that a rule admits, but for
/// those that denials name.
fn field_sets(
    judging: &[&Site<'_>],
    fields: &[String],
) -> Result<BTreeSet<BTreeSet<String>>, Exhausted> {
    let patterns = |clause: &Clause| -> Vec<Glob> {
        clause.fields.iter().map(|field| Glob::of_text(&field.value)).collect()
    };
    let tested = || judging.iter().filter(|site| site.side == Side::Tested);
    let allowed = tested().flat_map(|site| &site.endpoint.rules).map(patterns);
    let mut sets: BTreeSet<BTreeSet<String>> = [fields.iter().cloned().collect()].into();
    for globs in allowed.filter(|globs| !globs.is_empty()) {
        let fits = |field: &&String| globs.iter().any(|glob| glob.matches(field));
        sets.insert(fields.iter().filter(fits).cloned().collect());
    }
    let denied = tested().flat_map(|site| &site.endpoint.deny_rules).map(patterns);
    for globs in denied.filter(|globs| !globs.is_empty()) {
        for set in sets.clone() {
            let keeps = |field: &&String| !globs.iter().any(|glob| glob.matches(field));
            sets.insert(set.iter().filter(keeps).cloned().collect());
        }
        if sets.len() > COMBINATIONS {
            return Err(Exhausted::combinations("fields"));
        }
    }
    sets.retain(|set| !set.is_empty());
    Ok(sets)
}

/// A call of each kind that the endpoints tell apart.
pub(super) fn calls(sites: &[Site<'_>], budget: &mut Budget) -> Result<Vec<SampleCall>, Exhausted> {
    let judging: Vec<&Site<'_>> = sites
        .iter()
        .filter(|site| matches!(site.endpoint.protocol, Protocol::JsonRpc | Protocol::Mcp))
        .collect();
    let clauses = || {
        judging.iter().flat_map(|site| site.endpoint.rules.iter().chain(&site.endpoint.deny_rules))
    };
    let mcp = judging.iter().any(|site| site.endpoint.protocol == Protocol::Mcp);
    let methods: BTreeSet<&str> =
        clauses().filter_map(|c| c.method.as_ref()).map(|m| m.value.as_str()).collect();
    let methods = if mcp { mcp_methods(methods, budget)? } else { texts(methods, budget)? };
    let named: BTreeSet<&str> =
        clauses().filter_map(|c| c.tool.as_ref()).map(|t| t.value.as_str()).collect();
    let mut rows: Vec<Row> = named.into_iter().map(Row::text).collect();
    let all_conditions: Vec<Conditions> =
        clauses().map(|clause| values::conditions(clause, &[Part::Param])).collect();
    // The tool is a parameter, too.
    let tool_key = (Part::Param, "name".to_owned());
    let by_name = all_conditions.iter().filter_map(|conditions| conditions.get(&tool_key));
    rows.extend(by_name.flatten().map(|text| Row::text(text)));
    rows.push(Row::plain_tool());
    let tools = atoms(&rows, Universe::Text, budget)?;
    let params = params(&judging, &all_conditions, budget)?;
    let mut all = Vec::new();
    for method in &methods {
        let tools: Vec<Option<&str>> = if mcp && method == TOOLS_CALL {
            tools.iter().map(|atom| Some(atom.text.as_str())).collect()
        } else {
            vec![None]
        };
        for tool in tools {
            for values in &params {
                let mut params = values::of_part(values, Part::Param);
                if let Some(tool) = tool {
                    params.retain(|(name, _)| name != "name");
                    params.push(("name".to_owned(), tool.to_owned()));
                }
                let (method, tool) = (method.clone(), tool.map(str::to_owned));
                all.push(SampleCall { method, tool, params });
                if all.len() > COMBINATIONS {
                    return Err(Exhausted::combinations("calls"));
                }
            }
        }
    }
    Ok(all)
}

/// Methods of each class, known to the protocol and not.
fn mcp_methods(patterns: BTreeSet<&str>, budget: &mut Budget) -> Result<Vec<String>, Exhausted> {
    let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::of_text(pattern)).collect();
    let mut known = MCP_METHODS;
    known.sort_by_key(|method| method.len());
    let mut seen = HashSet::new();
    let mut literal: BTreeSet<&str> = [TOOLS_CALL].into();
    for method in known {
        let matched: Vec<bool> = globs.iter().map(|glob| glob.matches(method)).collect();
        if seen.insert(matched) {
            literal.insert(method);
        }
    }
    loop {
        let mut rows: Vec<Row> = patterns.iter().map(|pattern| Row::text(pattern)).collect();
        rows.extend(literal.iter().map(|method| Row::literal(method)));
        let found = atoms(&rows, Universe::Text, budget)?;
        // An example that is to be an unknown method must be one.
        let known = found.iter().find_map(|atom| {
            let method = MCP_METHODS.into_iter().find(|method| *method == atom.text)?;
            (!literal.contains(method)).then_some(method)
        });
        match known {
            Some(method) => drop(literal.insert(method)),
            None => return Ok(found.into_iter().map(|atom| atom.text).collect()),
        }
    }
}

fn params(
    judging: &[&Site<'_>],
    all: &[Conditions],
    budget: &mut Budget,
) -> Result<Vec<values::Values>, Exhausted> {
    let classes = values::classes(all.iter(), budget)?;
    let of = |clause: &Clause| values::conditions(clause, &[Part::Param]);
    let tested = || judging.iter().filter(|site| site.side == Side::Tested);
    let mut allow: BTreeSet<Conditions> =
        tested().flat_map(|site| &site.endpoint.rules).map(of).collect();
    allow.insert(Conditions::new());
    let deny = tested().flat_map(|site| &site.endpoint.deny_rules).map(of).collect();
    values::candidates(&allow, &deny, &classes)
}

/// All batches of two up to `most` different items. An endpoint allows a batch only when it allows
/// each of its items, so two endpoints that allow one item each do not allow both together.
pub(super) fn batches<T: Clone>(items: &[T], most: usize) -> Result<Vec<Vec<T>>, Exhausted> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    let mut longest: Vec<Vec<usize>> = (0..items.len()).map(|at| vec![at]).collect();
    for _ in 1..most {
        let mut next = Vec::new();
        for batch in &longest {
            let last = batch.last().copied().unwrap_or_default();
            for at in last.saturating_add(1)..items.len() {
                let mut longer = batch.clone();
                longer.push(at);
                next.push(longer);
            }
            if all.len().saturating_add(next.len()) > COMBINATIONS {
                return Err(Exhausted::combinations("operations or calls in a batch"));
            }
        }
        all.extend(next.iter().cloned());
        longest = next;
    }
    let pick = |batch: Vec<usize>| batch.iter().filter_map(|at| items.get(*at).cloned()).collect();
    Ok(all.into_iter().map(pick).collect())
}
