//! Differences of the sections that the jail is built from.

use std::collections::BTreeSet;

use super::{Change, Subject};
use crate::document::{Document, trial_text};
use crate::settings::{Landlock, RunAs};
use crate::words;

pub(super) fn changes(before: &Document, after: &Document) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut set = |key, before: Option<String>, after: Option<String>| {
        if before != after {
            let subject = Subject::Setting(key);
            changes.push(Change { rule: None, endpoint: None, subject, before, after });
        }
    };
    let (old, new) = (&before.filesystem, &after.filesystem);
    set(
        "include_workdir",
        Some(old.include_workdir.to_string()),
        Some(new.include_workdir.to_string()),
    );
    for (key, old, new) in [
        ("read_only", &old.read_only, &new.read_only),
        ("read_write", &old.read_write, &new.read_write),
    ] {
        let was: BTreeSet<&String> = old.iter().collect();
        let is: BTreeSet<&String> = new.iter().collect();
        was.difference(&is).for_each(|path| set(key, Some(words::scalar(path)), None));
        is.difference(&was).for_each(|path| set(key, None, Some(words::scalar(path))));
    }
    let texts = |document: &Document| -> BTreeSet<String> {
        document.trials.iter().map(trial_text).collect()
    };
    let (was, is) = (texts(before), texts(after));
    was.difference(&is).for_each(|test| set("tests", Some(test.clone()), None));
    is.difference(&was).for_each(|test| set("tests", None, Some(test.clone())));
    set("landlock", Some(landlock(before.landlock)), Some(landlock(after.landlock)));
    let (old, new) = (before.process, after.process);
    set("run_as_user", Some(run_as(old.run_as_user)), Some(run_as(new.run_as_user)));
    set("run_as_group", Some(run_as(old.run_as_group)), Some(run_as(new.run_as_group)));
    changes
}

fn landlock(landlock: Landlock) -> String {
    match landlock {
        Landlock::BestEffort => "best_effort".to_owned(),
        Landlock::HardRequirement => "hard_requirement".to_owned(),
    }
}

fn run_as(run_as: RunAs) -> String {
    match run_as {
        RunAs::Sandbox => "sandbox".to_owned(),
        RunAs::Id(number) => number.to_string(),
    }
}
