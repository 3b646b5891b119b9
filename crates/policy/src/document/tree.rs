//! Values on their way to a text: one line of everything for machines, or the YAML that people
//! write.

use std::fmt::Write as _;

use super::reader::is_typed;

/// A value to be written.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number, a truth value or a word of the schema.
    Word(String),
    /// Text that needs quotes unless it is plain.
    Text(String),
    /// A list, in its order.
    List(Vec<Value>),
    /// A mapping, in its order.
    Map(Layout, Vec<(Key, Value)>),
}

/// How a mapping is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A line for each key.
    Block,
    /// For people a line for each key, for machines one line.
    Item,
    /// For people one line if it fits, for machines one line.
    Small,
}

/// A key of the schema, or one of the text.
#[derive(Clone, Debug)]
pub enum Key {
    /// Of the schema.
    Known(&'static str),
    /// Of the text.
    Text(String),
}

/// For whom a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// One text for each meaning.
    Machine,
    /// Lines that are easy to read and to edit.
    Person,
}

/// Lines for people are at most so long, where they can be broken.
const WIDTH: usize = 100;

impl Value {
    /// Text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A word that needs no quotes.
    pub fn word(word: &impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    /// Sorted and without repetitions.
    pub fn set(items: impl IntoIterator<Item = Self>) -> Self {
        let mut items: Vec<(String, Self)> =
            items.into_iter().map(|item| (item.flow(Reader::Machine), item)).collect();
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.dedup_by(|a, b| a.0 == b.0);
        Self::List(items.into_iter().map(|(_, item)| item).collect())
    }

    fn has_maps(&self) -> bool {
        matches!(self, Self::List(items) if items.iter().any(|item| matches!(item, Self::Map(..))))
    }

    /// The value in one line.
    pub(crate) fn flow(&self, reader: Reader) -> String {
        let mut out = String::new();
        self.flow_into(reader, &mut out);
        out
    }

    // Writing to a String cannot fail, so results of `write!` are dropped here.
    fn flow_into(&self, reader: Reader, out: &mut String) {
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Text(text) => out.push_str(&scalar(text, reader)),
            Self::List(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { ", " });
                    item.flow_into(reader, out);
                }
                out.push(']');
            }
            Self::Map(_, entries) if entries.is_empty() => out.push_str("{}"),
            Self::Map(_, entries) => {
                out.push_str("{ ");
                for (number, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { ", " });
                    out.push_str(&key.written(reader));
                    out.push_str(": ");
                    value.flow_into(reader, out);
                }
                out.push_str(" }");
            }
        }
    }

    /// The value in one line, when it belongs in one that has `used` columns already.
    fn in_line(&self, reader: Reader, used: usize) -> Option<String> {
        let wanted = match (self, reader) {
            (Self::Word(_) | Self::Text(_), _) => return Some(self.flow(reader)),
            (Self::List(items), _) if items.is_empty() => true,
            (Self::Map(layout, _), Reader::Machine) => *layout != Layout::Block,
            (Self::Map(layout, _), Reader::Person) => *layout == Layout::Small,
            (Self::List(_), _) => !self.has_maps(),
        };
        let line = wanted.then(|| self.flow(reader))?;
        let fits = reader == Reader::Machine
            || used.saturating_add(line.chars().count()) <= WIDTH
            || matches!(self, Self::List(items) if items.is_empty());
        fits.then_some(line)
    }

    /// The text of a whole document.
    pub fn document(&self, reader: Reader) -> String {
        let mut out = String::new();
        if let Self::Map(_, entries) = self {
            write_entries(&mut out, entries, (0, false), reader);
        }
        out
    }

    fn write_after_key(&self, out: &mut String, indent: usize, used: usize, reader: Reader) {
        if let Some(line) = self.in_line(reader, used.saturating_add(1)) {
            let _ = writeln!(out, " {line}");
            return;
        }
        out.push('\n');
        let indent = indent.saturating_add(2);
        match self {
            Self::Map(_, entries) => write_entries(out, entries, (indent, false), reader),
            Self::List(items) => {
                for item in items {
                    item.write_item(out, indent, reader);
                }
            }
            Self::Word(_) | Self::Text(_) => {}
        }
    }

    fn write_item(&self, out: &mut String, indent: usize, reader: Reader) {
        let inner = indent.saturating_add(2);
        match self.in_line(reader, inner) {
            Some(line) => {
                let _ = writeln!(out, "{}- {line}", " ".repeat(indent));
            }
            None => match self {
                Self::Map(_, entries) => write_entries(out, entries, (inner, true), reader),
                // No list of the schema holds lists.
                other => {
                    let _ = writeln!(out, "{}- {}", " ".repeat(indent), other.flow(reader));
                }
            },
        }
    }
}

/// `dashed`: the first line begins an item of a list.
fn write_entries(
    out: &mut String,
    entries: &[(Key, Value)],
    (indent, dashed): (usize, bool),
    reader: Reader,
) {
    for (number, (key, value)) in entries.iter().enumerate() {
        let key = key.written(reader);
        if dashed && number == 0 {
            let _ = write!(out, "{}- {key}:", " ".repeat(indent.saturating_sub(2)));
        } else {
            let _ = write!(out, "{}{key}:", " ".repeat(indent));
        }
        let used = indent.saturating_add(key.chars().count()).saturating_add(1);
        value.write_after_key(out, indent, used, reader);
    }
}

impl Key {
    fn written(&self, reader: Reader) -> String {
        match self {
            Self::Known(key) => (*key).to_owned(),
            Self::Text(text) => scalar(text, reader),
        }
    }
}

fn scalar(text: &str, reader: Reader) -> String {
    if reader == Reader::Person && is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether no reader of YAML, of whatever version, takes the text for anything but itself.
fn is_plain(text: &str) -> bool {
    const SPECIAL: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "null", "nan"];
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b"/_".contains(&b));
    begins
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.*@+-".contains(&b))
        && !is_typed(text)
        && !SPECIAL.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// A string as a double-quoted YAML scalar.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Line separators, invisible marks and the like: as their number.
            c if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
