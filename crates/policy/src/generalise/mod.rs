//! From what was observed to the least policy that allows it: who went where, and what was asked.
//!
//! Nothing is allowed on less evidence than the constants here say, and what is allowed beyond the
//! observed (a wildcard, a star in a path) is of one shape with it. The result depends on the set
//! of observations alone, not on their order or number.

mod hosts;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use openshell_types::{Host, Port};

use crate::address::{AddressClass, classify};
use crate::check::is_always_writable;
use crate::document::findings::Position;
use crate::document::model::{Clause, Enforcement, Options, PathCase, Protocol};
use crate::document::{Binary, Document, Endpoint, Rule, parse};
use crate::merge::clauses;
use crate::merge::operation::placed;
use crate::pattern::{Glob, HostPattern, PortRange};
use crate::policy::DEFAULT_TEXT;
use crate::words;

/// One thing that a program did or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Path of the program.
    pub binary: String,
    /// Where to.
    pub host: Host,
    /// On which port.
    pub port: Port,
    /// What it asked, where requests were seen: method, `WEBSOCKET_TEXT` for a message, and
    /// canonical path. Without it the whole connection is meant.
    pub request: Option<(String, String)>,
}

/// The least policy and what to look at before it is used.
#[derive(Clone, Debug)]
pub struct Generalised {
    /// The policy, with the default sections.
    pub document: Document,
    /// What it allows on evidence only, or could not allow; one sentence each.
    pub warnings: Vec<String>,
}

/// The least policy that allows all that was observed.
pub fn generalise(observed: &[Observed]) -> Generalised {
    let mut warnings = BTreeSet::new();
    let mut by_binary: BTreeMap<&str, hosts::Seen> = BTreeMap::new();
    for one in observed {
        match refused(one) {
            Some(why) => drop(warnings.insert(format!(
                "{} to {} is left out: {why}",
                words::scalar(&one.binary),
                one.host
            ))),
            None => hosts::note(by_binary.entry(&one.binary).or_default(), one),
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (path, seen) in by_binary {
        let mut endpoints = Vec::new();
        for (host, ports) in hosts::fold(path, seen, &mut warnings) {
            for (port, asked) in ports {
                endpoints.extend(self::endpoints(&host, port, &asked, &mut warnings));
            }
        }
        clauses::join(&mut endpoints);
        endpoints.sort_by_cached_key(words::endpoint);
        add(&mut rules, path, endpoints);
    }
    let base = parse(DEFAULT_TEXT).document.unwrap_or_else(Document::empty);
    let document = Document { rules, ..base };
    Generalised { document, warnings: warnings.into_iter().collect() }
}

/// Why no policy can allow it.
fn refused(one: &Observed) -> Option<&'static str> {
    if let Host::Address(address) = &one.host
        && let AddressClass::Never(why) = classify(*address)
    {
        return Some(why);
    }
    if is_always_writable(&one.binary) {
        return Some("the program lies where the agent can write");
    }
    let odd =
        one.binary.chars().any(char::is_control) || one.binary.split('/').any(|part| part == "..");
    if !one.binary.starts_with('/') || Glob::is_glob(&one.binary) || odd {
        return Some("the path of the program is no literal path");
    }
    let Some((method, path)) = &one.request else { return None };
    if matches!(method.as_str(), "CONNECT" | "TRACE" | "PRI") || !is_method(method) {
        return Some("no rule can name its method");
    }
    if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
        return Some("its path is not in canonical form");
    }
    None
}

fn is_method(method: &str) -> bool {
    !method.is_empty()
        && method
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// Programs that did the same share a rule, which allows nothing crosswise.
fn add(rules: &mut Vec<Rule>, path: &str, endpoints: Vec<Endpoint>) {
    let texts = |list: &[Endpoint]| list.iter().map(words::endpoint).collect::<Vec<_>>();
    let binary = Binary { path: placed(path.to_owned()), sha256: None, descendants: false };
    let own = texts(&endpoints);
    if let Some(rule) = rules.iter_mut().find(|rule| texts(&rule.endpoints) == own) {
        rule.binaries.push(binary);
        return;
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let base: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(100)
        .collect();
    let base = if base.is_empty() { "program".to_owned() } else { base };
    let more = (2_u32..).map(|number| format!("{base}_{number}"));
    let free = |key: &String| rules.iter().all(|rule| rule.key.value != *key);
    let key = std::iter::once(base.clone()).chain(more).find(free).unwrap_or_default();
    let name = key.clone();
    rules.push(Rule { key: placed(key), name, until: None, endpoints, binaries: vec![binary] });
}

/// What one program asked of one host and port.
fn endpoints(
    host: &HostPattern,
    port: Port,
    asked: &BTreeSet<Option<(String, String)>>,
    warnings: &mut BTreeSet<String>,
) -> Vec<Endpoint> {
    let make = |protocol, rules| Endpoint {
        at: Position::default(),
        host: Some(placed(host.clone())),
        ports: PortRange::new(port, port).into_iter().collect(),
        allowed_ips: Vec::new(),
        raw: false,
        path: None,
        path_case: PathCase::default(),
        protocol,
        enforcement: Enforcement::default(),
        access: None,
        rules,
        deny_rules: Vec::new(),
        options: Options::default(),
    };
    if asked.contains(&None) {
        if asked.len() > 1 {
            warnings.insert(format!(
                "{host} port {port} is allowed as a whole, for not all of its traffic was seen as \
                 requests"
            ));
        }
        return vec![make(Protocol::Opaque, Vec::new())];
    }
    let mut by_method: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (method, path) in asked.iter().flatten() {
        by_method.entry(method).or_default().insert(path);
    }
    let place = format!("{host} port {port}");
    let mut rest: Vec<Clause> = Vec::new();
    let mut socket: Vec<Clause> = Vec::new();
    for (method, paths) in &by_method {
        let patterns = paths::fold(paths, &mut |pattern| {
            warnings.insert(format!("{method} {pattern} of {place} is folded from what was seen"));
        });
        for pattern in patterns {
            let clause = |method: &str| Clause {
                method: Some(placed(method.to_owned())),
                path: Some(placed(pattern.clone())),
                ..Clause::default()
            };
            if *method == MESSAGE {
                // The upgrade comes before the messages, at the same path.
                socket.extend([clause("GET"), clause(MESSAGE)]);
            } else {
                rest.push(clause(method));
            }
        }
    }
    without_heads(&mut rest);
    [(Protocol::Rest, rest), (Protocol::WebSocket, socket)]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(protocol, list)| make(protocol, list))
        .collect()
}

const MESSAGE: &str = "WEBSOCKET_TEXT";

/// A rule for GET allows HEAD.
fn without_heads(list: &mut Vec<Clause>) {
    let text = |clause: &Clause| {
        let value = |field: &Option<crate::document::findings::Spanned<String>>| {
            field.as_ref().map(|text| text.value.clone())
        };
        (value(&clause.method), value(&clause.path))
    };
    let all: BTreeSet<_> = list.iter().map(text).collect();
    list.retain(|clause| {
        let (method, path) = text(clause);
        method.as_deref() != Some("HEAD") || !all.contains(&(Some("GET".to_owned()), path))
    });
}

#[cfg(test)]
mod tests;
