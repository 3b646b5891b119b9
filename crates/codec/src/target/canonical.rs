//! The canonical path.

use super::escape::{self, Unit, is_unreserved, units};
use super::{Doubtful, TargetError};

/// How often a segment is decoded before it is refused for hiding what it means.
const LAYERS: usize = 4;

/// The canonical form of a path that begins with `/` and of which every byte was found to be
/// graphic ASCII and every `%` to begin an escape.
pub(super) fn path(raw: &str, encoded_slash: Doubtful) -> Result<String, TargetError> {
    let mut kept: Vec<String> = Vec::new();
    let mut is_folder = true;
    for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
        let segment = spell(segment)?;
        is_folder = true;
        match segment.as_str() {
            "." => {}
            ".." => {
                kept.pop().ok_or(TargetError::AboveRoot)?;
            }
            _ => {
                read_again(&segment, encoded_slash)?;
                kept.push(segment);
                is_folder = false;
            }
        }
    }
    let mut path = String::with_capacity(raw.len());
    for segment in &kept {
        path.push('/');
        path.push_str(segment);
    }
    if is_folder || raw.ends_with('/') {
        path.push('/');
    }
    Ok(path)
}

/// A segment in its one spelling.
fn spell(raw: &str) -> Result<String, TargetError> {
    let mut out = String::with_capacity(raw.len());
    for unit in units(raw.as_bytes()) {
        match unit {
            Unit::Raw(b'\\') => return Err(TargetError::Backslash),
            Unit::Raw(byte) if is_segment_character(byte) => out.push(char::from(byte)),
            Unit::Escaped(byte) if is_unreserved(byte) => out.push(char::from(byte)),
            Unit::Raw(byte) | Unit::Escaped(byte) => escape::push(&mut out, byte),
            Unit::Stray => return Err(TargetError::Percent),
        }
    }
    Ok(out)
}

/// Reads a segment as servers do that decode once, twice or more often.
fn read_again(segment: &str, encoded_slash: Doubtful) -> Result<(), TargetError> {
    judge(segment)?;
    if segment.contains(';') {
        // SECURITY: G1, G2; `/admin;x/users` is `/admin/users` to servlets and others.
        return Err(TargetError::Parameter);
    }
    let mut reading = segment.as_bytes().to_vec();
    for layer in 1..=LAYERS {
        let mut is_changed = false;
        for unit in units(&reading) {
            let Unit::Escaped(byte) = unit else { continue };
            is_changed = true;
            match byte {
                b'\\' => return Err(TargetError::Backslash),
                b'/' if layer == 1 && encoded_slash == Doubtful::Refused => {
                    return Err(TargetError::EncodedSlash);
                }
                // SECURITY: G3; `%252e` is a dot and `%2561dmin` is `admin` to who decodes twice.
                _ if layer > 1 && (byte == b'/' || is_unreserved(byte)) => {
                    return Err(TargetError::EncodedTwice);
                }
                _ => {}
            }
        }
        if !is_changed {
            return Ok(());
        }
        reading = escape::decode(&reading);
        let text = std::str::from_utf8(&reading).map_err(|_| TargetError::Utf8)?;
        if text.contains(char::is_control) {
            return Err(TargetError::EncodedControl);
        }
        judge(text)?;
    }
    Err(TargetError::EncodedTwice)
}

/// Refuses a reading of a segment of which a part is nearly a dot segment: between slashes that
/// were encoded, before `;`, with spaces around, or in characters that some servers fold to ASCII
/// (compatibility forms, and the best fit of Windows code pages).
fn judge(reading: &str) -> Result<(), TargetError> {
    let is_slash = |c: char| {
        matches!(
            c,
            '/' | '\\'
                | '\u{a5}'
                | '\u{20a9}'
                | '\u{2044}'
                | '\u{2215}'
                | '\u{2216}'
                | '\u{fe68}'
                | '\u{ff0f}'
                | '\u{ff3c}'
        )
    };
    for part in reading.split(is_slash) {
        let name = part.split([';', '\u{37e}', '\u{fe54}', '\u{ff1b}']).next().unwrap_or(part);
        let mut dots: usize = 0;
        for c in name.chars() {
            dots = dots.saturating_add(match c {
                '.' | '\u{2024}' | '\u{fe52}' | '\u{ff0e}' => 1,
                '\u{2025}' => 2,
                _ if c.is_whitespace() => 0,
                _ => 3,
            });
        }
        if dots == 1 || dots == 2 {
            return Err(TargetError::DotSegment);
        }
    }
    Ok(())
}

/// Characters that stand in a segment as they are (RFC 3986, section 3.3).
const fn is_segment_character(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}
