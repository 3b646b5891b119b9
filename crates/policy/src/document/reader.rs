//! Taking typed values out of the tree, with a finding for everything that does not fit.

use std::ops::RangeInclusive;

use super::findings::{Findings, Position, Spanned};
use super::node::{Entry, Kind, Node};

/// A mapping of which each key is taken once; what is left at the end is unknown.
#[derive(Debug)]
pub struct Fields {
    /// Where it begins.
    pub at: Position,
    what: &'static str,
    entries: Vec<Entry>,
    known: Vec<&'static str>,
}

impl Fields {
    /// The node as a mapping. `None`, with a finding, when it is something else.
    pub fn of(node: Node, what: &'static str, findings: &mut Findings) -> Option<Self> {
        match node.kind {
            Kind::Map(entries) => Some(Self { at: node.at, what, entries, known: Vec::new() }),
            other => {
                wrong_type(&Node { at: node.at, kind: other }, what, "a mapping", findings);
                None
            }
        }
    }

    /// Takes the value of `key`. A key without a value counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.take_entry(key).map(|entry| entry.value).filter(|node| !node.is_null())
    }

    /// Takes the key with its place and its value.
    pub fn take_entry(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Where a key stands that was not taken yet and has a value.
    pub fn place_of(&self, key: &str) -> Option<Position> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(entry.at)
    }

    /// Whether a key stands anywhere beneath what was not taken yet.
    pub(crate) fn mention(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.value.mentions(key))
    }

    /// Takes a key that has no meaning here, which help does not name.
    pub(crate) fn take_foreign(&mut self, key: &'static str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index)).filter(|entry| !entry.value.is_null())
    }

    /// The text at `key`.
    pub fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<Spanned<String>> {
        self.take(key).and_then(|node| text(node, key, findings))
    }

    /// `true` or `false` at `key`.
    pub fn boolean(&mut self, key: &'static str, findings: &mut Findings) -> Option<Spanned<bool>> {
        let node = self.take(key)?;
        match &node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => {
                Some(Spanned { value: true, at: node.at })
            }
            Kind::Scalar { text, plain: true } if text == "false" => {
                Some(Spanned { value: false, at: node.at })
            }
            _ => {
                wrong_type(&node, key, "`true` or `false`", findings);
                None
            }
        }
    }

    /// The items of a list; `None` when the key is absent or not a list.
    pub fn list(
        &mut self,
        key: &'static str,
        most: usize,
        findings: &mut Findings,
    ) -> Option<Spanned<Vec<Node>>> {
        self.take(key).and_then(|node| list(node, key, most, findings))
    }

    /// Whether some key was not taken.
    pub(crate) fn has_rest(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Reports every key that nobody took.
    pub fn refuse_rest(self, findings: &mut Findings) {
        for entry in &self.entries {
            let message = format!("{} has no key `{}`", self.what, shown(&entry.key));
            match did_you_mean(&entry.key, self.known.iter().copied()) {
                Some(near) => findings.error_with_help(
                    "P0101",
                    entry.at,
                    message,
                    format!("did you mean `{near}`?"),
                ),
                None => findings.error_with_help(
                    "P0101",
                    entry.at,
                    message,
                    format!("its keys are {}", listed(&self.known)),
                ),
            }
        }
    }
}

impl Node {
    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }
}

/// A whole number out of `range`, which `code` is about.
pub fn number(
    node: &Node,
    what: &str,
    code: &'static str,
    range: RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<u64> {
    let digits = match &node.kind {
        Kind::Scalar { text, plain: true }
            if text == "0"
                || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())) =>
        {
            text
        }
        _ => {
            wrong_type(node, what, "a whole number", findings);
            return None;
        }
    };
    let value = digits.parse().ok().filter(|value| range.contains(value));
    if value.is_none() {
        let message = format!("`{what}` cannot be {}", shown(digits));
        let help = format!("it is a number from {} to {}", range.start(), range.end());
        findings.error_with_help(code, node.at, message, help);
    }
    value
}

/// The items of a list of at most `most`.
pub fn list(
    node: Node,
    what: &str,
    most: usize,
    findings: &mut Findings,
) -> Option<Spanned<Vec<Node>>> {
    match node.kind {
        Kind::List(items) if items.len() <= most => Some(Spanned { value: items, at: node.at }),
        Kind::List(items) => {
            let message = format!("`{what}` has {} items, more than {most}", items.len());
            findings.error("P0002", node.at, message);
            None
        }
        kind => {
            wrong_type(&Node { at: node.at, kind }, what, "a list", findings);
            None
        }
    }
}

/// A string. Plain words that YAML reads as a number or a truth value are refused, so that a text
/// never depends on the reader's version of YAML.
pub fn text(node: Node, what: &str, findings: &mut Findings) -> Option<Spanned<String>> {
    match node.kind {
        Kind::Scalar { text, plain } => {
            if plain && is_typed(&text) {
                findings.error_with_help(
                    "P0102",
                    node.at,
                    format!("`{what}` is text, and `{}` is not", shown(&text)),
                    format!("write it in quotes: \"{}\"", shown(&text)),
                );
                return None;
            }
            if let Some(bad) = text.chars().find(|c| c.is_control()) {
                findings.error(
                    "P0104",
                    node.at,
                    format!("`{what}` holds the control character {bad:?}"),
                );
                return None;
            }
            Some(Spanned { value: text, at: node.at })
        }
        kind => {
            wrong_type(&Node { at: node.at, kind }, what, "text", findings);
            None
        }
    }
}

/// Whether a plain scalar is something other than text in YAML 1.1 or 1.2, addresses excepted.
pub(crate) fn is_typed(text: &str) -> bool {
    let truth = ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let dotted = text.bytes().filter(|byte| *byte == b'.').count() > 1;
    truth || (!dotted && text.parse::<f64>().is_ok())
}

/// A value of another type than `wanted`.
pub fn wrong_type(node: &Node, what: &str, wanted: &str, findings: &mut Findings) {
    let found = match &node.kind {
        // Reported where it stands.
        Kind::Refused => return,
        Kind::Scalar { text, plain: true } => format!("`{}`", shown(text)),
        Kind::Scalar { text, plain: false } => format!("`\"{}\"`", shown(text)),
        other => other.name().to_owned(),
    };
    // A key is quoted; a phrase such as "a binary" is not.
    let what = if what.contains(' ') { what.to_owned() } else { format!("`{what}`") };
    findings.error("P0102", node.at, format!("{what} is {wanted}, not {found}"));
}

/// Text of the file as it may stand in a message: bounded, one line.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut out: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b` and `c`".
pub fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// One of a few words.
pub fn choice<T: Copy>(
    word: &Spanned<String>,
    what: &str,
    choices: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word.value) {
        return Some(*value);
    }
    let names: Vec<&'static str> = choices.iter().map(|(name, _)| *name).collect();
    let help = match did_you_mean(&word.value, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", listed(&names)),
    };
    let message = format!("`{what}` cannot be `{}`", shown(&word.value));
    findings.error_with_help("P0104", word.at, message, help);
    None
}
