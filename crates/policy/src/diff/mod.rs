//! What one document says and another does not, for people: by rule, endpoint, program and request
//! rule. The order of things, their formatting, and how ports are spread over endpoints of the
//! same kind make no difference.

mod endpoint;
mod sections;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::document::{Document, Endpoint, Rule};
use crate::merge::clauses;
use crate::words;

/// All differences between two documents, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The sections first, then the rules by key.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Key of the rule; `None` for the sections of the jail.
    pub rule: Option<String>,
    /// Host and path of the endpoint, when it is one's.
    pub endpoint: Option<String>,
    /// What is different.
    pub subject: Subject,
    /// What was there.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A whole rule.
    Rule,
    /// The key of a rule that is otherwise the same.
    Key,
    /// The name that a rule shows.
    Name,
    /// Until when a rule holds.
    Until,
    /// A program.
    Binary,
    /// An endpoint.
    Endpoint,
    /// The ports of an endpoint.
    Ports,
    /// A setting of an endpoint or a section, by its key.
    Setting(&'static str),
    /// An allowing rule of an endpoint.
    Allow,
    /// A denying rule of an endpoint.
    Deny,
}

/// In which direction something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

impl Difference {
    /// What `after` says other than `before`.
    pub fn between(before: &Document, after: &Document) -> Self {
        let (before, after) = (before.normal(), after.normal());
        let mut changes = sections::changes(&before, &after);
        rules(&before, &after, &mut changes);
        Self { changes }
    }

    /// Whether the documents say the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Subject {
    /// The stable word for it; a setting's is its key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Key => "key",
            Self::Name => "name",
            Self::Until => "until",
            Self::Binary => "binary",
            Self::Endpoint => "endpoint",
            Self::Ports => "ports",
            Self::Setting(key) => key,
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Direction {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl Change {
    /// In which direction.
    pub const fn direction(&self) -> Direction {
        match (&self.before, &self.after) {
            (None, _) => Direction::Added,
            (Some(_), None) => Direction::Removed,
            (Some(_), Some(_)) => Direction::Changed,
        }
    }
}

/// One line for each change, `+`, `-` or `~` first.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction() {
            Direction::Added => "+ ",
            Direction::Removed => "- ",
            Direction::Changed => "~ ",
        })?;
        if let Some(rule) = &self.rule {
            write!(f, "{}: ", words::scalar(rule))?;
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, "{endpoint}: ")?;
        }
        f.write_str(self.subject.as_str())?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, " {before} -> {after}"),
            (Some(value), None) | (None, Some(value)) => write!(f, " {value}"),
            (None, None) => Ok(()),
        }
    }
}

fn rules(before: &Document, after: &Document, changes: &mut Vec<Change>) {
    let (old, new) = (by_key(before), by_key(after));
    let mut renamed: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, rule) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let twin = new.iter().find(|(other, candidate)| {
            !old.contains_key(*other)
                && !renamed.values().any(|taken| taken == *other)
                && content(candidate) == content(rule)
        });
        if let Some((other, _)) = twin {
            renamed.insert(key, other);
        }
    }
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => rule(key, old, new, changes),
            (Some(_), None) if renamed.contains_key(key) => changes.push(Change {
                rule: Some(key.to_owned()),
                endpoint: None,
                subject: Subject::Key,
                before: Some(words::scalar(key)),
                after: renamed.get(key).map(|other| words::scalar(other)),
            }),
            (Some(old), None) => whole(key, old, Side::Before, changes),
            (None, Some(_)) if renamed.values().any(|other| *other == key) => {}
            (None, Some(new)) => whole(key, new, Side::After, changes),
            (None, None) => {}
        }
    }
}

fn by_key(document: &Document) -> BTreeMap<&str, &Rule> {
    document.rules.iter().map(|rule| (rule.key.value.as_str(), rule)).collect()
}

/// The endpoints, those that differ in ports only made one, by place.
fn joined(rule: &Rule) -> Vec<Endpoint> {
    let mut endpoints = rule.endpoints.clone();
    clauses::join(&mut endpoints);
    endpoints.sort_by_cached_key(words::endpoint);
    endpoints
}

/// A rule without its key; its name counts when it was given one.
fn content(rule: &Rule) -> (Option<&str>, Option<jiff::Timestamp>, Vec<String>, BTreeSet<String>) {
    (
        (rule.name != rule.key.value).then_some(rule.name.as_str()),
        rule.until,
        joined(rule).iter().map(words::endpoint).collect(),
        binaries(rule),
    )
}

fn binaries(rule: &Rule) -> BTreeSet<String> {
    rule.binaries.iter().map(words::binary).collect()
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

impl Side {
    fn change(self, rule: &str, subject: Subject, value: String) -> Change {
        let (before, after) = match self {
            Self::Before => (Some(value), None),
            Self::After => (None, Some(value)),
        };
        Change { rule: Some(rule.to_owned()), endpoint: None, subject, before, after }
    }
}

fn whole(key: &str, rule: &Rule, side: Side, changes: &mut Vec<Change>) {
    changes.push(side.change(key, Subject::Rule, words::scalar(&rule.name)));
    if let Some(until) = rule.until {
        changes.push(side.change(key, Subject::Until, until.to_string()));
    }
    for endpoint in joined(rule) {
        changes.push(side.change(key, Subject::Endpoint, words::endpoint(&endpoint)));
    }
    for binary in binaries(rule) {
        changes.push(side.change(key, Subject::Binary, binary));
    }
}

fn rule(key: &str, old: &Rule, new: &Rule, changes: &mut Vec<Change>) {
    let mut set = |subject, before: Option<String>, after: Option<String>| {
        if before != after {
            let rule = Some(key.to_owned());
            changes.push(Change { rule, endpoint: None, subject, before, after });
        }
    };
    set(Subject::Name, Some(words::scalar(&old.name)), Some(words::scalar(&new.name)));
    let until = |rule: &Rule| rule.until.map(|until| until.to_string());
    set(Subject::Until, until(old), until(new));
    let (was, is) = (binaries(old), binaries(new));
    was.difference(&is).for_each(|gone| set(Subject::Binary, Some(gone.clone()), None));
    is.difference(&was).for_each(|more| set(Subject::Binary, None, Some(more.clone())));
    endpoint::changes(key, joined(old), joined(new), changes);
}

#[cfg(test)]
mod tests;
