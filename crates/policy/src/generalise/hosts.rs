//! Which hosts stand for their siblings.

use std::collections::{BTreeMap, BTreeSet};

use openshell_types::{Host, Port};

use super::Observed;
use crate::HOST_ALIAS;
use crate::pattern::HostPattern;

/// What was asked of one host, by port.
pub(super) type Asked = BTreeMap<Port, BTreeSet<Option<(String, String)>>>;
/// What one program asked, by host.
pub(super) type Seen = BTreeMap<String, (HostPattern, Asked)>;

/// So many names beside each other are evidence that there are more of them.
const SIBLINGS: usize = 3;

pub(super) fn note(seen: &mut Seen, one: &Observed) {
    let pattern = match &one.host {
        Host::Name(name) => HostPattern::Exact(name.clone()),
        Host::Address(address) => HostPattern::Address(address.to_canonical()),
    };
    let (_, asked) = seen.entry(pattern.to_string()).or_insert_with(|| (pattern, BTreeMap::new()));
    asked.entry(one.port).or_default().insert(one.request.clone());
}

/// The hosts, with siblings made a wildcard. Only names that differ in their leftmost label alone
/// are siblings, beneath a domain that one party registered, and asked on the same ports.
pub(super) fn fold(
    binary: &str,
    seen: Seen,
    warnings: &mut BTreeSet<String>,
) -> Vec<(HostPattern, Asked)> {
    let mut groups: BTreeMap<(String, Vec<Port>), BTreeSet<String>> = BTreeMap::new();
    for (text, (host, asked)) in &seen {
        if let (HostPattern::Exact(_), Some(parent)) = (host, parent(text)) {
            let ports = asked.keys().copied().collect();
            groups.entry((parent.to_owned(), ports)).or_default().insert(text.clone());
        }
    }
    let mut wildcards: BTreeMap<String, (HostPattern, Asked)> = BTreeMap::new();
    let mut folded: BTreeMap<String, String> = BTreeMap::new();
    for ((parent, _), names) in groups {
        let text = format!("*.{parent}");
        let Ok(pattern) = HostPattern::parse(&text) else { continue };
        if names.len() < SIBLINGS {
            continue;
        }
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        warnings.insert(format!(
            "`{text}` for {binary} stands for more names than were seen: {}",
            list.join(", ")
        ));
        wildcards.entry(text.clone()).or_insert_with(|| (pattern, BTreeMap::new()));
        folded.extend(names.into_iter().map(|name| (name, text.clone())));
    }
    let mut hosts: Seen = BTreeMap::new();
    for (text, (host, asked)) in seen {
        let wildcard = folded.get(&text).and_then(|text| wildcards.get_mut(text));
        match wildcard {
            Some((_, all)) => {
                for (port, requests) in asked {
                    all.entry(port).or_default().extend(requests);
                }
            }
            None => drop(hosts.insert(text, (host, asked))),
        }
    }
    hosts.extend(wildcards);
    hosts.into_values().collect()
}

/// A name without its leftmost label, when that is still within one registered domain.
fn parent(name: &str) -> Option<&str> {
    // The host itself is never a wildcard's.
    if name == HOST_ALIAS {
        return None;
    }
    let (_, parent) = name.split_once('.')?;
    let domain = psl::domain(name.as_bytes())?;
    (parent.len() >= domain.as_bytes().len()).then_some(parent)
}
