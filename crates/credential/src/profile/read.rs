//! From text to a profile.

use std::collections::BTreeMap;

use openshell_policy::yaml::{
    self, Fields, Findings, Kind, Node, Spanned, choice, number, shown, text, wrong_type,
};
use openshell_policy::{Diagnostic, Fragment};

use super::{Category, Draft, Profile, check, credential};
use crate::limits::{ANNOTATIONS, CREDENTIALS, ID_CHARS, PROFILE_BYTES, PROSE_CHARS, WORD_CHARS};

pub(super) fn read(text: &str) -> (Option<Profile>, Vec<Diagnostic>) {
    let mut findings = Findings::default();
    if text.len() > PROFILE_BYTES {
        let message = format!("the text has {} bytes, more than {PROFILE_BYTES}", text.len());
        findings.error("P0002", yaml::Position::START, message);
        return (None, findings.finish());
    }
    let draft = yaml::read(text, &mut findings).and_then(|root| draft(root, &mut findings));
    if let Some(draft) = &draft {
        check::check(draft, &mut findings);
        draft.profile.fragment.check(&mut findings);
    }
    let profile = draft.map(|draft| draft.profile).filter(|_| !findings.has_errors());
    (profile, findings.finish())
}

fn draft(root: Node, findings: &mut Findings) -> Option<Draft> {
    let mut fields = Fields::of(root, "a profile", findings)?;
    let at = fields.at;
    let id = id(&mut fields, findings);
    let resource_version = fields
        .take("resource_version")
        .and_then(|node| number(&node, "resource_version", "C0101", 0..=u64::MAX, findings));
    let annotations = annotations(&mut fields, findings);
    let display_name = prose(&mut fields, "display_name", findings);
    let description = prose(&mut fields, "description", findings);
    let category = fields
        .text("category", findings)
        .and_then(|word| choice(&word, "category", &Category::WORDS, findings));
    let inference_capable =
        fields.boolean("inference_capable", findings).is_some_and(|flag| flag.value);
    let (credentials, places): (Vec<_>, Vec<_>) = fields
        .list("credentials", CREDENTIALS, findings)
        .map(|list| list.value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|node| credential::read(node, findings))
        .map(|spec| (spec.value, spec.at))
        .unzip();
    let discovery = discovery(&mut fields, &credentials, findings);
    let name = Spanned { value: id.clone().unwrap_or_else(|| "profile".to_owned()), at };
    let fragment = Fragment::read(&name, &mut fields, findings);
    fields.refuse_rest(findings);
    let profile = Profile {
        id: id.unwrap_or_default(),
        resource_version,
        annotations,
        display_name,
        description,
        category: category.unwrap_or_default(),
        inference_capable,
        credentials,
        discovery,
        fragment,
    };
    Some(Draft { profile, places })
}

fn id(fields: &mut Fields, findings: &mut Findings) -> Option<String> {
    let at = fields.at;
    let Some(id) = fields.text("id", findings) else {
        findings.error("P0103", at, "a profile needs an `id`".to_owned());
        return None;
    };
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if id.value.len() <= ID_CHARS && id.value.split('-').all(part) {
        return Some(id.value);
    }
    refuse_text("id", &id, "not small letters and digits with hyphens between", findings)
}

fn annotations(fields: &mut Fields, findings: &mut Findings) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let Some(node) = fields.take("annotations") else { return all };
    let entries = match node.kind {
        Kind::Map(entries) if entries.len() <= ANNOTATIONS => entries,
        Kind::Map(_) => {
            findings.error("P0002", node.at, format!("more than {ANNOTATIONS} annotations"));
            return all;
        }
        kind => {
            let wanted = "a mapping from words to text";
            wrong_type(&Node { at: node.at, kind }, "annotations", wanted, findings);
            return all;
        }
    };
    for entry in entries {
        let key = Spanned { value: entry.key, at: entry.at };
        let value = text(entry.value, "annotations", findings);
        let Some(value) = value.and_then(|value| bounded(value, "annotations", findings)) else {
            continue;
        };
        if let Some(key) = bounded(key, "annotations", findings) {
            all.insert(key, value);
        }
    }
    all
}

fn discovery(
    fields: &mut Fields,
    credentials: &[credential::CredentialSpec],
    findings: &mut Findings,
) -> Vec<String> {
    let node = fields.take("discovery");
    let Some(mut fields) = node.and_then(|node| Fields::of(node, "discovery", findings)) else {
        return Vec::new();
    };
    let nodes = fields.list("credentials", CREDENTIALS, findings);
    fields.refuse_rest(findings);
    let mut names = Vec::new();
    for node in nodes.map(|list| list.value).unwrap_or_default() {
        let Some(name) = text(node, "credentials", findings) else { continue };
        if credentials.iter().any(|one| one.name == name.value) {
            names.push(name.value);
        } else {
            let message = format!("there is no credential `{}`", shown(&name.value));
            findings.error("C0103", name.at, message);
        }
    }
    names
}

/// A text for people, or nothing.
pub(super) fn prose(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> String {
    let Some(node) = fields.take(key) else { return String::new() };
    let written = match node.kind {
        // Of several lines, which no other text may have.
        Kind::Scalar { text, plain: false } => Some(Spanned { value: text, at: node.at }),
        kind => text(Node { at: node.at, kind }, key, findings),
    };
    written.and_then(|written| bounded(written, key, findings)).unwrap_or_default()
}

fn bounded(written: Spanned<String>, key: &str, findings: &mut Findings) -> Option<String> {
    if written.value.chars().count() > PROSE_CHARS {
        let message = format!("`{key}` has more than {PROSE_CHARS} characters");
        findings.error("P0002", written.at, message);
        return None;
    }
    if written.value.chars().any(|c| c.is_control() && c != '\n') {
        return refuse_text(key, &written, "no plain text", findings);
    }
    Some(written.value)
}

/// A name within the profile.
pub(super) fn plain_word(
    written: Spanned<String>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let word = &written.value;
    if !word.is_empty() && word.len() <= WORD_CHARS && word.bytes().all(plain) {
        return Some(written.value);
    }
    refuse_text(key, &written, "not letters, digits and any of `_.-`", findings)
}

/// Says why a text is refused; `None` for whoever has nothing to go on with.
pub(super) fn refuse_text<T>(
    key: &str,
    written: &Spanned<String>,
    why: &str,
    findings: &mut Findings,
) -> Option<T> {
    let message = format!("`{key}` cannot be `{}`: that is {why}", shown(&written.value));
    findings.error("C0101", written.at, message);
    None
}
