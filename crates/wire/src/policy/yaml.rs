//! A writer for the small part of YAML that a policy needs.

use std::fmt::Write as _;

/// A YAML value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Written as it is: a number or a boolean.
    Bare(String),
    /// Written so that it is read as a string.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn text(value: &str) -> Self {
        Self::Text(value.to_owned())
    }

    pub(crate) fn bare(value: impl ToString) -> Self {
        Self::Bare(value.to_string())
    }

    pub(crate) fn texts(values: &[String]) -> Self {
        Self::List(values.iter().map(|value| Self::text(value)).collect())
    }

    /// The document with this value at its root.
    pub(crate) fn document(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// Writes the value on lines of its own.
    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        push_indent(out, indent);
                    }
                    out.push_str(&scalar(key));
                    out.push(':');
                    if value.is_block() {
                        out.push('\n');
                        push_indent(out, indent.saturating_add(2));
                        value.write(out, indent.saturating_add(2));
                    } else {
                        out.push(' ');
                        value.write(out, indent);
                    }
                }
            }
            Self::List(items) if !items.is_empty() => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        push_indent(out, indent);
                    }
                    out.push_str("- ");
                    item.write(out, indent.saturating_add(2));
                }
            }
            Self::Map(_) => out.push_str("{}\n"),
            Self::List(_) => out.push_str("[]\n"),
            Self::Bare(value) => {
                out.push_str(value);
                out.push('\n');
            }
            Self::Text(value) => {
                out.push_str(&scalar(value));
                out.push('\n');
            }
        }
    }

    /// Whether the value takes lines of its own.
    fn is_block(&self) -> bool {
        match self {
            Self::Map(entries) => !entries.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Bare(_) | Self::Text(_) => false,
        }
    }
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A string that every YAML reader takes for that string: plain where that is certain.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ if u32::from(c) <= 0xffff => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            _ => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Words that some version of YAML takes for something else than a string.
const WORDS: [&str; 11] =
    ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan"];
