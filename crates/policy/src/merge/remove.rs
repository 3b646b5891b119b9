//! `remove_endpoint`, `remove_rule` and `remove_binary`. What is not there is removed already.

use super::operation::Target;
use crate::document::{Endpoint, Rule};
use crate::pattern::port_set;
use crate::words;

pub(super) fn endpoint(rules: &mut Vec<Rule>, target: &Target, warnings: &mut Vec<String>) {
    for rule in rules.iter_mut().filter(|rule| target.names_rule(rule)) {
        let had = !rule.endpoints.is_empty();
        for endpoint in &mut rule.endpoints {
            if target.names(endpoint) {
                warn_of_denials(&rule.key.value, endpoint, warnings);
                endpoint.ports = port_set::without(&endpoint.ports, &target.ports());
            }
        }
        rule.endpoints.retain(|endpoint| !endpoint.ports.is_empty());
        if had && rule.endpoints.is_empty() {
            // Marked for removal: a rule that allows nothing says nothing.
            rule.binaries.clear();
        }
    }
    rules.retain(|rule| {
        !(target.names_rule(rule) && rule.endpoints.is_empty() && rule.binaries.is_empty())
    });
}

pub(super) fn rule(rules: &mut Vec<Rule>, key: &str, warnings: &mut Vec<String>) {
    for rule in rules.iter().filter(|rule| rule.key.value == key) {
        for endpoint in &rule.endpoints {
            warn_of_denials(key, endpoint, warnings);
        }
    }
    rules.retain(|rule| rule.key.value != key);
}

pub(super) fn binary(rules: &mut Vec<Rule>, key: &str, path: &str, warnings: &mut Vec<String>) {
    let Some(at) = rules.iter().position(|rule| rule.key.value == key) else { return };
    let Some(rule) = rules.get_mut(at) else { return };
    let before = rule.binaries.len();
    rule.binaries.retain(|binary| binary.path.value != path);
    if rule.binaries.len() == before {
        return;
    }
    for endpoint in &rule.endpoints {
        warn_of_denials(key, endpoint, warnings);
    }
    if rule.binaries.is_empty() {
        warnings.push(format!("the rule `{key}` had no other binary, so it is removed"));
        rules.remove(at);
    }
}

/// An endpoint does not only allow: its denials, and its path, hold against wider endpoints, too.
fn warn_of_denials(key: &str, endpoint: &Endpoint, warnings: &mut Vec<String>) {
    let what = if !endpoint.deny_rules.is_empty() {
        "has `deny_rules`"
    } else if endpoint.path.is_some() {
        "is narrowed to a path"
    } else {
        return;
    };
    warnings.push(format!(
        "the endpoint {} of rule `{key}` {what}: where another endpoint covers the same requests, \
         these may be allowed now",
        words::place(endpoint)
    ));
}
