//! JSON texts that every reader reads in one way (RFC 8259).
//!
//! What a server might make something else of than the policy is refused: duplicate names, numbers
//! that do not fit a double, halves of surrogate pairs, a byte order mark, another encoding than
//! UTF-8, anything after the value. Numbers keep their text, so that no digit is lost on the way to
//! a rule. An object is an object, whatever its names are.

#[cfg(test)]
mod tests;

use struson::reader::{JsonReader as _, JsonStreamReader, ReaderError, ReaderSettings, ValueType};
use thiserror::Error;

/// Deepest nesting of arrays and objects.
pub const DEPTH: u32 = 64;
/// Most values in one text, containers counted: each takes some ten times the memory of its text.
pub const VALUES: usize = 65_536;
/// Longest number, in characters: no sender needs more digits than a double or a 256-bit integer has.
pub const NUMBER_CHARS: usize = 128;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, its escapes resolved.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A number that a finite double can stand for, with its text as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

/// An object: names and values in the order of the text, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(String, Json)>);

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Not UTF-8 (RFC 8259, section 8.1).
    #[error("the JSON text is not UTF-8")]
    Encoding,
    /// A byte order mark: section 8.1 forbids to send one, and lets readers ignore it or not.
    #[error("the JSON text begins with a byte order mark")]
    ByteOrderMark,
    /// No JSON, or something after the value; also halves of surrogate pairs.
    #[error("the JSON text is malformed")]
    Syntax,
    /// Nested deeper than [`DEPTH`].
    #[error("the JSON text is nested deeper than {DEPTH}")]
    Depth,
    /// More than [`VALUES`] values.
    #[error("the JSON text has more than {VALUES} values")]
    Values,
    /// A name twice in one object.
    #[error("an object of the JSON text has a name twice")]
    DuplicateName,
    /// A number that a finite double cannot stand for, or one of more than [`NUMBER_CHARS`].
    #[error("a number of the JSON text is out of range")]
    Number,
}

impl Json {
    /// Reads one value, white space around it.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Encoding)?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::ByteOrderMark);
        }
        let settings = ReaderSettings {
            allow_comments: false,
            allow_trailing_comma: false,
            allow_multiple_top_level: false,
            track_path: false,
            max_nesting_depth: Some(DEPTH),
            restrict_number_values: false,
        };
        let mut reader =
            Reader { inner: JsonStreamReader::new_custom(bytes, settings), values: VALUES };
        let value = reader.value()?;
        reader.inner.consume_trailing_whitespace()?;
        Ok(value)
    }

    /// The object, if it is one.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub const fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            _ => None,
        }
    }
}

impl Number {
    /// The text as it was written.
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Object {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Reads values, and counts them.
struct Reader<'a> {
    inner: JsonStreamReader<&'a [u8]>,
    values: usize,
}

impl Reader<'_> {
    /// The next value. It calls itself at most [`DEPTH`] times: `inner` begins no more containers.
    fn value(&mut self) -> Result<Json, JsonError> {
        self.values = self.values.checked_sub(1).ok_or(JsonError::Values)?;
        Ok(match self.inner.peek()? {
            ValueType::Null => {
                self.inner.next_null()?;
                Json::Null
            }
            ValueType::Boolean => Json::Bool(self.inner.next_bool()?),
            ValueType::Number => Json::Number(number(self.inner.next_number_as_string()?)?),
            ValueType::String => Json::String(self.inner.next_string()?),
            ValueType::Array => {
                let mut items = Vec::new();
                self.inner.begin_array()?;
                while self.inner.has_next()? {
                    items.push(self.value()?);
                }
                self.inner.end_array()?;
                Json::Array(items)
            }
            ValueType::Object => {
                let mut members = Vec::new();
                self.inner.begin_object()?;
                while self.inner.has_next()? {
                    members.push((self.inner.next_name_owned()?, self.value()?));
                }
                self.inner.end_object()?;
                distinct(&members)?;
                Json::Object(Object(members))
            }
        })
    }
}

/// SECURITY: H2; of two values of one name some readers take the first, others the last.
fn distinct(members: &[(String, Json)]) -> Result<(), JsonError> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.is_sorted_by(|before, after| before < after) {
        Ok(())
    } else {
        Err(JsonError::DuplicateName)
    }
}

/// SECURITY: H2; `1e999` is infinity to one reader and an error to another, `1e-999` is zero or not.
fn number(text: String) -> Result<Number, JsonError> {
    if text.len() > NUMBER_CHARS {
        return Err(JsonError::Number);
    }
    let value: f64 = text.parse().map_err(|_| JsonError::Number)?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|digit| matches!(digit, '1'..='9'));
    if value.is_finite() && (value == 0.0) == is_zero {
        Ok(Number(text))
    } else {
        Err(JsonError::Number)
    }
}

impl From<ReaderError> for JsonError {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::MaxNestingDepthExceeded { .. } => Self::Depth,
            ReaderError::UnsupportedNumberValue { .. } => Self::Number,
            _ => Self::Syntax,
        }
    }
}
