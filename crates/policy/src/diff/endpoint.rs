//! Which endpoints of a rule are the same one, and what is different about it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Side, Subject};
use crate::document::Endpoint;
use crate::document::model::Clause;
use crate::merge::clauses;
use crate::pattern::port_set;
use crate::words;

/// Endpoints of the same place belong together: first those that are alike but for their ports,
/// then those that share ports, then the one that is left on either side.
pub(super) fn changes(
    key: &str,
    mut old: Vec<Endpoint>,
    mut new: Vec<Endpoint>,
    changes: &mut Vec<Change>,
) {
    let alike = |a: &Endpoint, b: &Endpoint| words::without_ports(a) == words::without_ports(b);
    let meet = |a: &Endpoint, b: &Endpoint| !port_set::common(&a.ports, &b.ports).is_empty();
    let mut pairs = Vec::new();
    pair(&mut old, &mut new, &mut pairs, alike);
    pair(&mut old, &mut new, &mut pairs, |a, b| same_place(a, b) && meet(a, b));
    pair(&mut old, &mut new, &mut pairs, same_place);
    let mut found: BTreeMap<(String, String), Vec<Change>> = BTreeMap::new();
    for (old, new) in &pairs {
        let at = (words::place(new), words::endpoint(new));
        found.entry(at).or_default().extend(details(key, old, new));
    }
    for (side, list) in [(Side::Before, &old), (Side::After, &new)] {
        for endpoint in list {
            let text = words::endpoint(endpoint);
            let change = side.change(key, Subject::Endpoint, text.clone());
            found.entry((words::place(endpoint), text)).or_default().push(change);
        }
    }
    changes.extend(found.into_values().flatten());
}

fn same_place(a: &Endpoint, b: &Endpoint) -> bool {
    words::place(a) == words::place(b)
}

fn pair(
    old: &mut Vec<Endpoint>,
    new: &mut Vec<Endpoint>,
    pairs: &mut Vec<(Endpoint, Endpoint)>,
    fits: impl Fn(&Endpoint, &Endpoint) -> bool,
) {
    for left in std::mem::take(old) {
        match new.iter().position(|right| fits(&left, right)) {
            Some(at) => pairs.push((left, new.remove(at))),
            None => old.push(left),
        }
    }
}

fn details(key: &str, old: &Endpoint, new: &Endpoint) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut set = |subject, before: Option<String>, after: Option<String>| {
        if before != after {
            let (rule, endpoint) = (Some(key.to_owned()), Some(words::place(new)));
            changes.push(Change { rule, endpoint, subject, before, after });
        }
    };
    set(Subject::Ports, Some(port_set::words(&old.ports)), Some(port_set::words(&new.ports)));
    let same_rules = allowed(old) == allowed(new);
    let (was, is) = (words::settings(old), words::settings(new));
    let names: BTreeSet<&'static str> = was.keys().chain(is.keys()).copied().collect();
    for name in names {
        // A preset and the rules that it stands for are the same.
        if !(name == "access" && same_rules) {
            set(Subject::Setting(name), was.get(name).cloned(), is.get(name).cloned());
        }
    }
    if !same_rules {
        lists(Subject::Allow, &old.rules, &new.rules, &mut set);
    }
    lists(Subject::Deny, &old.deny_rules, &new.deny_rules, &mut set);
    changes
}

fn allowed(endpoint: &Endpoint) -> Vec<String> {
    let mut endpoint = endpoint.clone();
    clauses::expand(&mut endpoint);
    words::clauses(&endpoint.rules)
}

fn lists(
    subject: Subject,
    old: &[Clause],
    new: &[Clause],
    set: &mut impl FnMut(Subject, Option<String>, Option<String>),
) {
    let was: BTreeSet<String> = words::clauses(old).into_iter().collect();
    let is: BTreeSet<String> = words::clauses(new).into_iter().collect();
    was.difference(&is).for_each(|gone| set(subject, Some(gone.clone()), None));
    is.difference(&was).for_each(|more| set(subject, None, Some(more.clone())));
}
