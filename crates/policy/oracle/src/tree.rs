//! A document as a tree that is written as YAML, and made smaller piece by piece.

use std::fmt::Write as _;

/// A value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Text; written in quotes.
    Text(String),
    /// A number or a truth; written as it is.
    Plain(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    pub fn texts(texts: &[&str]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(*text)).collect())
    }

    /// Writes a map of rules as a whole policy, an endpoint a line.
    pub fn to_policy(&self) -> String {
        let mut text = String::from("version: 1\nnetwork_policies:");
        let Self::Map(rules) = self else { return text };
        if rules.is_empty() {
            text.push_str(" {}");
        }
        text.push('\n');
        for (key, rule) in rules {
            let Self::Map(fields) = rule else { continue };
            let _ =
                writeln!(text, "  {}:{}", quoted(key), if fields.is_empty() { " {}" } else { "" });
            for (name, field) in fields {
                match field {
                    Self::List(items) if !items.is_empty() => {
                        let _ = writeln!(text, "    {name}:");
                        for item in items {
                            let _ = writeln!(text, "      - {}", item.flow());
                        }
                    }
                    other => {
                        let _ = writeln!(text, "    {name}: {}", other.flow());
                    }
                }
            }
        }
        text
    }

    /// On one line.
    fn flow(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Plain(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(fields) if fields.is_empty() => "{}".to_owned(),
            Self::Map(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}: {}", key(name), value.flow()))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }

    /// Every tree that lacks one piece of this one, larger pieces first.
    pub fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        match self {
            Self::Text(_) | Self::Plain(_) => {}
            Self::List(items) => {
                all.extend(without_one(items).into_iter().map(Self::List));
                for (at, item) in items.iter().enumerate() {
                    let replaced = item.smaller().into_iter();
                    all.extend(replaced.map(|item| Self::List(with(items, at, item))));
                }
            }
            Self::Map(fields) => {
                all.extend(without_one(fields).into_iter().map(Self::Map));
                for (at, (name, value)) in fields.iter().enumerate() {
                    let replaced = value.smaller().into_iter();
                    all.extend(
                        replaced.map(|value| Self::Map(with(fields, at, (name.clone(), value)))),
                    );
                }
            }
        }
        all
    }
}

/// The lists that lack one item.
pub fn without_one<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let lacking = |lacking: usize| {
        let kept = items.iter().enumerate().filter(move |(at, _)| *at != lacking);
        kept.map(|(_, item)| item.clone()).collect()
    };
    (0..items.len()).map(lacking).collect()
}

fn with<T: Clone>(items: &[T], at: usize, item: T) -> Vec<T> {
    let mut items = items.to_vec();
    if let Some(place) = items.get_mut(at) {
        *place = item;
    }
    items
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn key(name: &str) -> String {
    let simple = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if simple { name.to_owned() } else { quoted(name) }
}
