//! YAML text to a tree of values that know where they stand.
//!
//! What YAML offers beyond mappings, lists and scalars (anchors, aliases, tags, several documents)
//! is refused: it makes a text mean something else than it reads.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::findings::{Findings, Position};
use crate::diagnostic::is_direction_mark;
use crate::limits::{DEPTH, NODES, TEXT_BYTES};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing, `null` or `~`.
    Null,
    /// A single value.
    Scalar {
        /// As it stands, without its quotes.
        text: String,
        /// Whether it has no quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the text, without duplicates.
    Map(Vec<Entry>),
    /// Something that was refused and reported already.
    Refused,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub at: Position,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Node,
}

impl Kind {
    /// How the kind is called in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Refused => "something refused",
        }
    }
}

/// Reads the one document of `text`, each key of a mapping once. `None` when there is none or it cannot be read on.
pub fn read(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut root = read_once(text, findings)?;
    root.refuse_duplicates(findings);
    Some(root)
}

fn read_once(text: &str, findings: &mut Findings) -> Option<Node> {
    if text.len() > TEXT_BYTES {
        findings.error(
            "P0002",
            Position::START,
            format!("the text has {} bytes, more than {TEXT_BYTES}", text.len()),
        );
        return None;
    }
    refuse_direction_marks(text, findings);
    let mut options = Options::default();
    options.disallow_directives = true;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { findings, open: Vec::new(), root: None, nodes: 0, documents: 0 };
    for next in parser {
        match next {
            Ok((event, span)) => {
                if builder.take(event, span).is_err() {
                    return None;
                }
            }
            Err(error) => {
                let at = Position::of(error.marker());
                builder.findings.error("P0001", at, format!("not YAML: {}", error.info()));
                return None;
            }
        }
    }
    let root = builder.root;
    if root.is_none() {
        findings.error("P0001", Position::START, "the text is empty".to_owned());
    }
    root
}

// SECURITY: marks that turn the direction of writing make a reviewer see another text than the one
// that is compiled, in comments, too.
fn refuse_direction_marks(text: &str, findings: &mut Findings) {
    for (line, number) in text.lines().zip(1_u32..) {
        if let Some((column, mark)) = line.chars().zip(1_u32..).find_map(|(character, column)| {
            is_direction_mark(character).then_some((column, character))
        }) {
            findings.error(
                "P0008",
                Position { line: number, column },
                format!("the mark {} changes how the line reads", mark.escape_unicode()),
            );
        }
    }
}

/// Reading cannot go on; the reason is among the findings.
struct Stop;

enum Open {
    List(Position, Vec<Node>),
    Map { at: Position, entries: Vec<Entry>, key: Option<(Position, Option<String>)> },
}

struct Builder<'a> {
    findings: &'a mut Findings,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = Position::of(&span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    self.findings.error("P0005", at, "a policy is one YAML document".to_owned());
                    return Err(Stop);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let kind =
                    if null { Kind::Null } else { Kind::Scalar { text: text.into_owned(), plain } };
                self.close(Node { at, kind })?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                self.push(at, Open::List(at, Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                self.push(at, Open::Map { at, entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(at, items)) => self.close(Node { at, kind: Kind::List(items) })?,
                Some(Open::Map { at, entries, .. }) => {
                    self.close(Node { at, kind: Kind::Map(entries) })?;
                }
                None => return Err(Stop),
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.findings.error_with_help(
                    "P0003",
                    at,
                    "aliases are not taken in a policy".to_owned(),
                    "write the value out".to_owned(),
                );
                self.close(Node { at, kind: Kind::Refused })?;
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) => {}
            // SECURITY: a kind of value that a later parser brings is not read over.
            other if other.is_node() => {
                self.findings.error("P0006", at, "this notation is not taken".to_owned());
                self.close(Node { at, kind: Kind::Refused })?;
            }
            // Comments, when another crate of the build turns them on.
            _ => {}
        }
        Ok(())
    }

    fn refuse_extras(&mut self, at: Position, anchor: usize, tag: bool) {
        if anchor != 0 {
            self.findings.error_with_help(
                "P0003",
                at,
                "anchors are not taken in a policy".to_owned(),
                "write the value out where it is needed".to_owned(),
            );
        }
        if tag {
            self.findings.error("P0006", at, "tags are not taken in a policy".to_owned());
        }
    }

    fn push(&mut self, at: Position, open: Open) -> Result<(), Stop> {
        if self.open.len() >= DEPTH {
            self.findings.error("P0002", at, format!("nested deeper than {DEPTH} levels"));
            return Err(Stop);
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a finished node into what encloses it.
    fn close(&mut self, node: Node) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES {
            self.findings.error("P0002", node.at, format!("more than {NODES} values"));
            return Err(Stop);
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                None => *key = Some(read_key(node, self.findings)),
                Some((at, Some(name))) => entries.push(Entry { at, key: name, value: node }),
                Some((_, None)) => {}
            },
        }
        Ok(())
    }
}

fn read_key(node: Node, findings: &mut Findings) -> (Position, Option<String>) {
    match node.kind {
        Kind::Scalar { text, .. } => (node.at, Some(text)),
        Kind::Null => (node.at, Some("null".to_owned())),
        Kind::Refused => (node.at, None),
        other => {
            findings.error("P0102", node.at, format!("a key is a word, not {}", other.name()));
            (node.at, None)
        }
    }
}

impl Node {
    /// Whether a key stands anywhere beneath; nesting is bounded.
    pub(crate) fn mentions(&self, key: &str) -> bool {
        match &self.kind {
            Kind::Map(entries) => {
                entries.iter().any(|entry| entry.key == key || entry.value.mentions(key))
            }
            Kind::List(items) => items.iter().any(|item| item.mentions(key)),
            Kind::Null | Kind::Scalar { .. } | Kind::Refused => false,
        }
    }

    /// Reports keys that stand twice in any mapping, and keeps the first of each.
    fn refuse_duplicates(&mut self, findings: &mut Findings) {
        match &mut self.kind {
            Kind::Map(entries) => {
                let mut seen = std::collections::HashMap::new();
                entries.retain(|entry| match seen.insert(entry.key.clone(), entry.at) {
                    None => true,
                    Some(first) => {
                        findings.error_with_help(
                            "P0004",
                            entry.at,
                            format!("`{}` stands here a second time", entry.key),
                            format!("the first is in line {}", first.line),
                        );
                        seen.insert(entry.key.clone(), first);
                        false
                    }
                });
                for entry in entries {
                    entry.value.refuse_duplicates(findings);
                }
            }
            Kind::List(items) => {
                for item in items {
                    item.refuse_duplicates(findings);
                }
            }
            Kind::Null | Kind::Scalar { .. } | Kind::Refused => {}
        }
    }
}
