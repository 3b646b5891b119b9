//! The static sections: `filesystem_policy`, `landlock` and `process`.

use super::findings::{Findings, Position, Spanned};
use super::node::{Kind, Node};
use super::reader::{Fields, choice, shown, text, wrong_type};
use crate::limits::{PATH_CHARS, PATHS};
use crate::settings::{Filesystem, Landlock, Process, RunAs};

pub(super) fn filesystem(root: &mut Fields, findings: &mut Findings) -> Filesystem {
    let Some(mut fields) = section(root, "filesystem_policy", findings) else {
        return Filesystem::default();
    };
    let at = fields.at;
    let include_workdir = fields.boolean("include_workdir", findings);
    let read_only = paths(&mut fields, "read_only", findings);
    let read_write = paths(&mut fields, "read_write", findings);
    fields.refuse_rest(findings);
    if read_only.len().saturating_add(read_write.len()) > PATHS {
        findings.error("P0002", at, format!("`filesystem_policy` has more than {PATHS} paths"));
    }
    for path in &read_write {
        if path.value.bytes().all(|byte| byte == b'/') {
            findings.error_with_help(
                "P0201",
                path.at,
                "`/` cannot be writable".to_owned(),
                "name the folders that need to be written".to_owned(),
            );
        } else if let Some(twin) = read_only.iter().find(|other| other.value == path.value) {
            findings.warning(
                "P0202",
                path.at,
                format!("`{}` is `read_only` in line {}, too", shown(&path.value), twin.at.line),
                Some("it is writable; remove the other".to_owned()),
            );
        }
    }
    Filesystem {
        include_workdir: include_workdir.is_some_and(|flag| flag.value),
        read_only: read_only.into_iter().map(|path| path.value).collect(),
        read_write: read_write.into_iter().map(|path| path.value).collect(),
    }
}

fn section(root: &mut Fields, key: &'static str, findings: &mut Findings) -> Option<Fields> {
    root.take(key).and_then(|node| Fields::of(node, key, findings))
}

fn paths(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> Vec<Spanned<String>> {
    fields
        .list(key, PATHS, findings)
        .map(|list| list.value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|node| text(node, key, findings).filter(|path| check_path(path, findings)))
        .collect()
}

/// Whether a path is absolute, free of `..`, and not too long; says so when it is not.
pub(super) fn check_path(path: &Spanned<String>, findings: &mut Findings) -> bool {
    let mut refuse = |why: &str| {
        let message = format!("the path `{}` {why}", shown(&path.value));
        findings.error("P0203", path.at, message);
        false
    };
    if !path.value.starts_with('/') {
        return refuse("is not absolute");
    }
    if path.value.split('/').any(|part| part == "..") {
        return refuse("holds `..`");
    }
    if path.value.chars().count() > PATH_CHARS {
        return refuse("is too long");
    }
    true
}

pub(super) fn landlock(root: &mut Fields, findings: &mut Findings) -> Landlock {
    let Some(mut fields) = section(root, "landlock", findings) else { return Landlock::default() };
    let chosen = fields.text("compatibility", findings).and_then(|word| {
        let choices = [
            ("best_effort", Landlock::BestEffort),
            ("hard_requirement", Landlock::HardRequirement),
        ];
        choice(&word, "compatibility", &choices, findings)
    });
    fields.refuse_rest(findings);
    chosen.unwrap_or_default()
}

pub(super) fn process(root: &mut Fields, findings: &mut Findings) -> Process {
    let Some(mut fields) = section(root, "process", findings) else { return Process::default() };
    let run_as_user = run_as(fields.take("run_as_user"), "run_as_user", findings);
    let run_as_group = run_as(fields.take("run_as_group"), "run_as_group", findings);
    fields.refuse_rest(findings);
    Process { run_as_user, run_as_group }
}

fn run_as(node: Option<Node>, key: &'static str, findings: &mut Findings) -> RunAs {
    let Some(node) = node else { return RunAs::Sandbox };
    let at = node.at;
    let word = match &node.kind {
        Kind::Scalar { text, .. } => text,
        _ => {
            wrong_type(&node, key, "`sandbox` or a number", findings);
            return RunAs::Sandbox;
        }
    };
    match parse_run_as(word) {
        Ok(run_as) => run_as,
        Err(why) => {
            refuse_run_as(at, key, word, why, findings);
            RunAs::Sandbox
        }
    }
}

fn refuse_run_as(at: Position, key: &str, word: &str, why: &str, findings: &mut Findings) {
    findings.error_with_help(
        "P0204",
        at,
        format!("`{key}` cannot be `{}`: {why}", shown(word)),
        "write `sandbox`, or a number from 1 to 4294967294".to_owned(),
    );
}

fn parse_run_as(word: &str) -> Result<RunAs, &'static str> {
    if word == "sandbox" {
        return Ok(RunAs::Sandbox);
    }
    if word == "root" || word.bytes().all(|byte| byte == b'0') {
        return Err("a sandbox never runs as root");
    }
    let plain = !word.starts_with('0') && word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse::<u32>() {
        // The last number means "unchanged" to the kernel.
        Ok(number) if plain && number != u32::MAX => Ok(RunAs::Id(number)),
        _ => Err("that is no user of a sandbox"),
    }
}
