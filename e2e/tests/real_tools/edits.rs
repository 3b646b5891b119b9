//! A policy that is changed as denials advise, and in no other way.

use std::collections::{BTreeMap, BTreeSet};

/// The rules, by name, each as the advice wrote it.
#[derive(Debug, Default)]
pub struct Edited {
    rules: BTreeMap<String, String>,
}

impl Edited {
    /// The policy as text.
    pub fn text(&self) -> String {
        let mut text = "version: 1\n".to_owned();
        if !self.rules.is_empty() {
            text.push_str("network_policies:\n");
        }
        for (name, rule) in &self.rules {
            text.push_str(&format!("  {name}: {rule}\n"));
        }
        text
    }

    /// The hosts that it names.
    pub fn hosts(&self) -> BTreeSet<String> {
        let host = |rule: &String| {
            let rest = rule.split("host: ").nth(1).expect("a rule has a host");
            rest.split(',').next().unwrap_or_default().trim_matches('"').to_owned()
        };
        self.rules.values().map(host).collect()
    }

    /// Does what `nearest` of a denial says.
    pub fn apply(&mut self, nearest: &str) {
        let what = quoted(nearest, 0);
        if nearest.ends_with("to `network_policies`") {
            let (name, rule) = what.split_once(": ").expect("a rule has a name");
            self.rules.entry(name.to_owned()).or_insert_with(|| rule.to_owned());
        } else if nearest.contains("to binaries of rule") {
            let path = what.strip_prefix("- ").expect("an entry of a list");
            self.change(quoted(nearest, 1), |rule| {
                if !rule.contains(path) {
                    rule.truncate(rule.len() - "] }".len());
                    rule.push_str(&format!(", {{ {path} }}] }}"));
                }
            });
        } else if nearest.starts_with("add `descendants: true` to") {
            let path = quoted(nearest, 1).strip_prefix("- ").expect("an entry of a list");
            self.change(quoted(nearest, 2), |rule| {
                let narrow = format!("{{ {path} }}");
                *rule = rule.replace(&narrow, &format!("{{ {path}, {what} }}"));
            });
        } else if nearest.starts_with("write `ports:") {
            self.change(quoted(nearest, 1), |rule| {
                let from = rule.find("port").expect("an endpoint has a port");
                let to = from + rule[from..].find(" }").expect("an endpoint ends");
                rule.replace_range(from..to, what);
            });
        } else {
            panic!("advice that no test has met: {nearest}");
        }
    }

    fn change(&mut self, name: &str, edit: impl FnOnce(&mut String)) {
        edit(self.rules.get_mut(name).unwrap_or_else(|| panic!("no rule `{name}`")));
    }
}

/// The text between the `at`-th pair of backticks.
fn quoted(text: &str, at: usize) -> &str {
    text.split('`').nth(at * 2 + 1).unwrap_or_else(|| panic!("nothing to write in: {text}"))
}
