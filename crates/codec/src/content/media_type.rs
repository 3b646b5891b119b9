//! `Content-Type` (RFC 9110, section 8.3.1).

use thiserror::Error;

/// Longest value, in bytes.
const LONGEST: usize = 1024;
/// Most parameters.
const PARAMETERS: usize = 16;

/// A media type: its essence in lower case, and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

/// Why a value was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MediaTypeError {
    /// More than 1 KiB, or more than 16 parameters.
    #[error("the content type is too long")]
    TooLong,
    /// Not `type/subtype` and parameters; several types, too.
    #[error("the content type is malformed")]
    Malformed,
    /// A parameter twice.
    #[error("the content type has a parameter twice")]
    Duplicate,
}

impl MediaType {
    /// Reads the value of `Content-Type`.
    pub fn parse(value: &[u8]) -> Result<Self, MediaTypeError> {
        if value.len() > LONGEST {
            return Err(MediaTypeError::TooLong);
        }
        // What is not ASCII is neither a token nor a quoted string that anybody needs.
        if !value.is_ascii() {
            return Err(MediaTypeError::Malformed);
        }
        let text = std::str::from_utf8(value).map_err(|_| MediaTypeError::Malformed)?;
        let text = trimmed(text);
        let (essence, mut rest) = text.split_at(text.find([';', ' ', '\t']).unwrap_or(text.len()));
        let (kind, subtype) = essence.split_once('/').ok_or(MediaTypeError::Malformed)?;
        if !is_token(kind) || !is_token(subtype) {
            return Err(MediaTypeError::Malformed);
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            rest = trimmed(rest);
            if rest.is_empty() {
                break;
            }
            rest = trimmed(rest.strip_prefix(';').ok_or(MediaTypeError::Malformed)?);
            // The grammar has empty parameters: `application/json;`.
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, value, after) = parameter(rest)?;
            if parameters.iter().any(|(before, _)| *before == name) {
                return Err(MediaTypeError::Duplicate);
            }
            if parameters.len() == PARAMETERS {
                return Err(MediaTypeError::TooLong);
            }
            parameters.push((name, value));
            rest = after;
        }
        Ok(Self { essence: essence.to_ascii_lowercase(), parameters })
    }

    /// Type and subtype in lower case, such as `application/json`.
    pub const fn essence(&self) -> &str {
        self.essence.as_str()
    }

    /// The value of a parameter; `name` in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether this is `application/json` that every reader takes for UTF-8: JSON has no other
    /// encoding (RFC 8259, section 8.1), though some servers obey a `charset` that says so.
    pub fn is_json(&self) -> bool {
        self.essence == "application/json" && self.is_utf8()
    }

    /// Whether there is no `charset` other than UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }
}

/// The name in lower case, the value without its quotes, and what comes behind.
fn parameter(text: &str) -> Result<(String, String, &str), MediaTypeError> {
    let (name, rest) = text.split_once('=').ok_or(MediaTypeError::Malformed)?;
    if !is_token(name) {
        return Err(MediaTypeError::Malformed);
    }
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => {
            let (value, rest) = rest.split_at(rest.find([';', ' ', '\t']).unwrap_or(rest.len()));
            if !is_token(value) {
                return Err(MediaTypeError::Malformed);
            }
            (value.to_owned(), rest)
        }
    };
    Ok((name.to_ascii_lowercase(), value, rest))
}

/// What stands before the closing quote, escapes resolved, and what comes behind it.
fn quoted_string(text: &str) -> Result<(String, &str), MediaTypeError> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let character = match character {
            '"' => {
                let rest = text.get(at.saturating_add(1)..).unwrap_or_default();
                return Ok((value, rest));
            }
            '\\' => characters.next().ok_or(MediaTypeError::Malformed)?.1,
            other => other,
        };
        if character.is_control() && character != '\t' {
            return Err(MediaTypeError::Malformed);
        }
        value.push(character);
    }
    Err(MediaTypeError::Malformed)
}

fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
