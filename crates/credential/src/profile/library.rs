//! Several profiles at once: all are good, or none is taken.

use std::collections::BTreeSet;

use openshell_policy::{Diagnostic, Severity};

use super::Profile;
use crate::builtin;

/// One of several texts, as it was read.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The profile; `None` when its findings have an error.
    pub profile: Option<Profile>,
    /// What was found.
    pub findings: Vec<Diagnostic>,
}

/// Reads texts that are to be stored beside what comes with OpenShell, and beside what `is_taken`.
pub fn read_all<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    is_taken: impl Fn(&str) -> bool,
) -> Vec<Checked> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for text in texts {
        let (profile, findings) = Profile::read(text);
        let mut checked = Checked { profile, findings };
        let id = checked.profile.as_ref().map(|own| own.id().to_owned());
        let why = id.as_deref().and_then(|id| {
            let (why, help) = if builtin::get(id).is_some() {
                ("comes with OpenShell, and stays as it is", "give yours another `id`")
            } else if is_taken(id) {
                ("is stored already", "`openshell provider profile update` changes it")
            } else if !seen.insert(id.to_owned()) {
                ("stands in another of these files, too", "give one of them another `id`")
            } else {
                return None;
            };
            Some((format!("`{id}` {why}"), help))
        });
        if let Some((message, help)) = why {
            checked.findings.push(at_id(text, message, help));
            checked.profile = None;
        }
        all.push(checked);
    }
    all
}

fn at_id(text: &str, message: String, help: &str) -> Diagnostic {
    let mut lines = (1..).zip(text.lines());
    let (line, column) = lines
        .find_map(|(line, words)| {
            let before = words.split_once("id:").map(|(before, _)| before)?;
            let is_key = before.chars().all(|c| c.is_whitespace() || "{\"'".contains(c));
            is_key.then(|| (line, before.chars().count().saturating_add(1)))
        })
        .unwrap_or((1, 1));
    Diagnostic {
        code: "C0106",
        severity: Severity::Error,
        message,
        line,
        column: u32::try_from(column).unwrap_or(1),
        help: Some(help.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_one_profile_each() {
        let texts =
            ["id: a", "id: b", "category: other\nid: a", "{ id: github }", "id: stored", "x"];
        let all = read_all(texts, |id| id == "stored");
        let good: Vec<bool> = all.iter().map(|one| one.profile.is_some()).collect();
        assert_eq!(good, [true, true, false, false, false, false]);
        let found = |at: usize| {
            let last = all[at].findings.last().unwrap();
            (last.code, last.line, last.column)
        };
        assert_eq!(found(2), ("C0106", 2, 1));
        assert_eq!(found(3), ("C0106", 1, 3));
        assert_eq!(found(4), ("C0106", 1, 1));
    }
}
