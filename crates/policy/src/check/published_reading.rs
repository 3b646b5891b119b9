//! P0520: where the published runtime reads the same text in another way.
//!
//! Some of it is only to be seen while the text is read (a key that is absent, a default that is
//! said); that is kept until the text is known to have no errors.

use crate::diagnostic::Severity;
use crate::document::Document;
use crate::document::findings::{Findings, Position, Spanned};
use crate::document::model::{Clause, Endpoint};
use crate::document::shown;

const CODE: &str = "P0520";

/// Whoever leaves `enforcement` out of a published policy gets `audit`.
pub(crate) fn enforcement_left_out(at: Position, findings: &mut Findings) {
    findings.remark(
        (CODE, Severity::Note),
        at,
        "requests outside of the rules are denied here; the published default only logs them"
            .to_owned(),
        Some("write `enforcement: enforce`, or `audit` to let them through".to_owned()),
    );
}

/// `best_effort`, said in a policy that opens connections.
pub(crate) fn best_effort(at: Position, findings: &mut Findings) {
    findings.remark(
        (CODE, Severity::Note),
        at,
        "`best_effort` skips paths that do not exist; the published runtime also went on without \
         Landlock, and this one never does"
            .to_owned(),
        None,
    );
}

/// No binary of the whole text says `descendants`.
pub(crate) fn descendants_unsaid(at: Position, findings: &mut Findings) {
    findings.remark(
        (CODE, Severity::Note),
        at,
        "each binary is that program alone; the published runtime also allowed whatever it starts"
            .to_owned(),
        Some("write `descendants: true`, or `false`, where it matters".to_owned()),
    );
}

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        endpoint_path(endpoint, findings);
        denied_paths(endpoint, findings);
        dots(&endpoint.rules, Side::Allow, findings);
        dots(&endpoint.deny_rules, Side::Deny, findings);
        specials(endpoint, findings);
    }
}

fn endpoint_path(endpoint: &Endpoint, findings: &mut Findings) {
    let Some(path) = &endpoint.path else { return };
    if has_single_star(&path.value) {
        findings.warning(
            CODE,
            path.at,
            format!(
                "`*` in `{}` stays within one segment; published, it crosses `/`",
                shown(&path.value)
            ),
            Some("for any depth write `**`".to_owned()),
        );
    }
}

/// The published documents said that `*` crosses `/` in rules, and the published code did not do
/// so. For a denial that is a hole.
fn denied_paths(endpoint: &Endpoint, findings: &mut Findings) {
    let short = endpoint.deny_rules.iter().filter_map(|clause| clause.path.as_ref());
    first_of(short.filter(|path| path.value.ends_with("/*")), findings, |path| {
        (
            Severity::Warning,
            format!("`{}` does not deny what lies deeper", shown(&path.value)),
            Some(format!("write `{}*` to deny all beneath", shown(&path.value))),
        )
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Allow,
    Deny,
}

/// A published `*` did not match a dot in values, tools and the like.
fn dots(clauses: &[Clause], side: Side, findings: &mut Findings) {
    let starred = clauses.iter().flat_map(values).filter(|value| has_single_star(&value.value));
    first_of(starred, findings, |value| {
        let shown = shown(&value.value);
        match side {
            Side::Allow => (
                Severity::Warning,
                format!("`*` in `{shown}` matches dots, too, so this allows more than published"),
                Some("name the values, if a dot makes a difference".to_owned()),
            ),
            Side::Deny => (
                Severity::Note,
                format!("`*` in `{shown}` matches dots, too, so this denies more than published"),
                None,
            ),
        }
    });
}

/// Published, these had a meaning of their own in values, tools and the like.
fn specials(endpoint: &Endpoint, findings: &mut Findings) {
    let clauses = endpoint.rules.iter().chain(&endpoint.deny_rules);
    let special = clauses
        .flat_map(values)
        .filter(|value| value.value.contains(['?', '[', ']', '{', '}', '\\']));
    first_of(special, findings, |value| {
        (
            Severity::Warning,
            format!(
                "only `*` is special in `{}`; the other signs mean themselves",
                shown(&value.value)
            ),
            Some("list several patterns in `any`".to_owned()),
        )
    });
}

/// The patterns that the published runtime matched with another engine than paths.
fn values(clause: &Clause) -> impl Iterator<Item = &Spanned<String>> {
    clause
        .query
        .values()
        .chain(clause.params.values())
        .flat_map(|patterns| &patterns.0)
        .chain(&clause.tool)
        .chain(&clause.operation_name)
}

fn has_single_star(pattern: &str) -> bool {
    let mut run = 0_usize;
    for byte in pattern.bytes().chain([b' ']) {
        match (byte, run) {
            (b'*', _) => run = run.saturating_add(1),
            (_, 1) => return true,
            _ => run = 0,
        }
    }
    false
}

/// Reports the first pattern, and how many more of the endpoint are like it.
fn first_of<'a>(
    patterns: impl Iterator<Item = &'a Spanned<String>>,
    findings: &mut Findings,
    say: impl Fn(&'a Spanned<String>) -> (Severity, String, Option<String>),
) {
    let mut patterns = patterns;
    let Some(first) = patterns.next() else { return };
    let (severity, mut message, help) = say(first);
    match patterns.count() {
        0 => {}
        1 => message.push_str("; one more here is like it"),
        more => message += &format!("; {more} more here are like it"),
    }
    findings.say((CODE, severity), first.at, message, help);
}
