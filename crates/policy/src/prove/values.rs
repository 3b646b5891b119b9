//! Values of names: query, headers and parameters.
//!
//! A rule allows when every value of each of its names matches, and denies when some value does.
//! So the more values a request has, the harder it is to allow; and a request that is to show that
//! one document allows more than the other carries all the values that the one rule admits, or
//! none where it asks for none. That makes few requests of many.

use std::collections::{BTreeMap, BTreeSet};

use super::automaton::{Row, Universe, atoms};
use super::budget::{Budget, COMBINATIONS, Exhausted};
use crate::compiled::clause::may_be_read_as;
use crate::document::model::{Clause, Patterns};
use crate::pattern::Glob;

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Query,
    Header,
    Param,
}

/// A name and its place.
pub(super) type Key = (Part, String);
/// What the values of names must match.
pub(super) type Conditions = BTreeMap<Key, Vec<String>>;
/// Names and values of a request.
pub(super) type Values = BTreeMap<Key, Vec<String>>;

/// The conditions of a clause on some parts.
pub(super) fn conditions(clause: &Clause, parts: &[Part]) -> Conditions {
    let lists: [(Part, &BTreeMap<String, Patterns>); 3] = [
        (Part::Query, &clause.query),
        (Part::Header, &clause.headers),
        (Part::Param, &clause.params),
    ];
    let mut all = Conditions::new();
    for (part, list) in lists.into_iter().filter(|(part, _)| parts.contains(part)) {
        for (name, patterns) in list {
            let texts = patterns.0.iter().map(|pattern| pattern.value.clone()).collect();
            all.insert((part, name.clone()), texts);
        }
    }
    all
}

/// Whether a denial of one name sees the values of another.
fn denies((part, name): &Key, (of, key): &Key) -> bool {
    part == of && (name == key || *part == Part::Query && may_be_read_as(key, name))
}

/// What denials ask of the other names of `all` that they see, and of one that nobody names.
pub(super) fn seen_by(deny: &BTreeSet<Conditions>, all: &[Conditions]) -> Vec<Conditions> {
    let mut more = Vec::new();
    for (name, patterns) in deny.iter().flatten().filter(|((part, _), _)| *part == Part::Query) {
        let unnamed = (Part::Query, format!("{}[]", name.1));
        let keys = all.iter().flat_map(|conditions| conditions.keys());
        for key in keys.filter(|key| denies(name, key)).chain([&unnamed]) {
            more.push(Conditions::from([(key.clone(), patterns.clone())]));
        }
    }
    more
}

/// Values for each name that some condition has: one text of each class.
pub(super) fn classes<'a>(
    all: impl Iterator<Item = &'a Conditions>,
    budget: &mut Budget,
) -> Result<Values, Exhausted> {
    let mut patterns: BTreeMap<Key, BTreeSet<&str>> = BTreeMap::new();
    for (key, texts) in all.flatten() {
        patterns.entry(key.clone()).or_default().extend(texts.iter().map(String::as_str));
    }
    let mut values = Values::new();
    for (key, texts) in patterns {
        let rows: Vec<Row> = texts.into_iter().map(Row::text).collect();
        let found = atoms(&rows, Universe::Text, budget)?;
        values.insert(key, found.into_iter().map(|atom| atom.text).collect());
    }
    Ok(values)
}

/// The values to try: for each condition that allows, with and without the names that it does not
/// ask for, and with each way around the conditions that deny.
pub(super) fn candidates(
    allow: &BTreeSet<Conditions>,
    deny: &BTreeSet<Conditions>,
    classes: &Values,
) -> Result<Vec<Values>, Exhausted> {
    let ways = around(deny)?;
    let mut all: BTreeSet<Values> = BTreeSet::new();
    for wanted in allow {
        for avoided in &ways {
            for present in [true, false] {
                all.extend(values(wanted, avoided, classes, present));
                if all.len() > COMBINATIONS {
                    return Err(Exhausted::combinations("query, headers or parameters"));
                }
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// Conditions on names that must not hold.
type Avoided<'a> = Vec<(&'a Key, &'a [String])>;

/// Each way to keep some of the denying conditions from holding: one of the names of each.
fn around(deny: &BTreeSet<Conditions>) -> Result<Vec<Avoided<'_>>, Exhausted> {
    let mut ways: Vec<Avoided<'_>> = vec![Vec::new()];
    for conditions in deny.iter().filter(|conditions| !conditions.is_empty()) {
        let mut more = Vec::new();
        for way in &ways {
            for (key, patterns) in conditions {
                let mut longer = way.clone();
                longer.push((key, patterns.as_slice()));
                more.push(longer);
            }
        }
        ways.append(&mut more);
        if ways.len() > COMBINATIONS {
            return Err(Exhausted::combinations("ways around denials"));
        }
    }
    Ok(ways)
}

fn values(
    wanted: &Conditions,
    avoided: &Avoided<'_>,
    classes: &Values,
    present: bool,
) -> Option<Values> {
    let fits = |patterns: &[String], value: &str| {
        patterns.iter().any(|pattern| Glob::of_text(pattern).matches(value))
    };
    let mut all = Values::new();
    for (key, texts) in classes {
        let asked = wanted.get(key);
        if asked.is_none() && !present {
            continue;
        }
        let own: Vec<String> = texts
            .iter()
            .filter(|value| asked.is_none_or(|patterns| fits(patterns, value)))
            .filter(|value| !avoided.iter().any(|(name, ps)| denies(name, key) && fits(ps, value)))
            .cloned()
            .collect();
        match (own.is_empty(), asked) {
            (true, Some(_)) => return None,
            (true, None) => {}
            (false, _) => drop(all.insert(key.clone(), own)),
        }
    }
    Some(all)
}

/// The values of one part, as a request has them.
pub(super) fn of_part(values: &Values, wanted: Part) -> Vec<(String, String)> {
    values
        .iter()
        .filter(|((part, _), _)| *part == wanted)
        .flat_map(|((_, name), values)| values.iter().map(|value| (name.clone(), value.clone())))
        .collect()
}
