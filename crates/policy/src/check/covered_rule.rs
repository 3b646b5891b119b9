//! P0511: a rule of an endpoint that another one of the same side covers (M2).

use std::collections::HashMap;

use super::cover::{Side, Work, clause_covers};
use crate::document::findings::Findings;
use crate::document::model::Clause;
use crate::document::{Document, Protocol, clause_text};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut work = Work::new();
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        for (side, clauses) in [(Side::Allow, &endpoint.rules), (Side::Deny, &endpoint.deny_rules)]
        {
            check_side(clauses, (side, endpoint.protocol), &mut work, findings);
        }
    }
}

fn check_side(
    clauses: &[Clause],
    (side, protocol): (Side, Protocol),
    work: &mut Work,
    findings: &mut Findings,
) {
    let mut seen: HashMap<String, &Clause> = HashMap::new();
    let mut different = Vec::new();
    for clause in clauses {
        match seen.entry(clause_text(clause, protocol)) {
            std::collections::hash_map::Entry::Occupied(first) => findings.warning(
                "P0511",
                clause.at,
                format!("this rule stands in line {}, too", first.get().at.line),
                Some("remove one".to_owned()),
            ),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(clause);
                different.push(clause);
            }
        }
    }
    let mut wide = Vec::new();
    let mut literal: HashMap<(&str, &str), Vec<&Clause>> = HashMap::new();
    for clause in &different {
        match spelled_out(clause, protocol).next() {
            None => wide.push(*clause),
            Some(key) => literal.entry(key).or_default().push(*clause),
        }
    }
    for narrow in &different {
        let same = spelled_out(narrow, protocol).filter_map(|key| literal.get(&key)).flatten();
        let covering = wide.iter().chain(same).find(|wide| {
            !std::ptr::eq(**wide, *narrow) && clause_covers(wide, narrow, (side, protocol), work)
        });
        if let Some(covering) = covering {
            let verb = if side == Side::Allow { "allows" } else { "denies" };
            findings.warning(
                "P0511",
                narrow.at,
                format!("the rule in line {} {verb} all of this, and more", covering.at.line),
                Some("remove this one, or narrow the other".to_owned()),
            );
        }
        if !work.is_left() {
            return;
        }
    }
}

/// The fields that a rule spells out: it covers only rules that spell out the same.
fn spelled_out(clause: &Clause, protocol: Protocol) -> impl Iterator<Item = (&'static str, &str)> {
    let method = match protocol {
        Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc => clause.method.as_ref(),
        _ => None,
    };
    let fields = [
        ("path", clause.path.as_ref()),
        ("tool", clause.tool.as_ref()),
        ("service", clause.service.as_ref()),
        ("method", method),
    ];
    fields
        .into_iter()
        .filter_map(|(name, field)| Some((name, field?.value.as_str())))
        .filter(|(_, text)| !text.contains(['*', '{']))
}
