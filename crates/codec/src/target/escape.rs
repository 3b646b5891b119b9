//! Percent-encoding.

use std::borrow::Cow;

/// One unit of percent-encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A character that stands for itself.
    Raw(u8),
    /// `%` and two digits, decoded.
    Escaped(u8),
    /// A `%` that begins no escape.
    Stray,
}

/// The units of `text`.
pub(super) fn units(text: &[u8]) -> impl Iterator<Item = Unit> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (unit, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (Unit::Escaped(high << 4 | low), after),
                _ => (Unit::Stray, rest.get(1..)?),
            },
            [b'%', after @ ..] => (Unit::Stray, after),
            [byte, after @ ..] => (Unit::Raw(*byte), after),
            [] => return None,
        };
        rest = after;
        Some(unit)
    })
}

/// `text` decoded once; stray `%` stay.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    units(text)
        .map(|unit| match unit {
            Unit::Raw(byte) | Unit::Escaped(byte) => byte,
            Unit::Stray => b'%',
        })
        .collect()
}

/// One side of a pair as forms are decoded: `+` is a space.
pub(super) fn decode_form(text: &[u8]) -> Vec<u8> {
    let spaced: Cow<'_, [u8]> = if text.contains(&b'+') {
        text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect::<Vec<u8>>().into()
    } else {
        text.into()
    };
    decode(&spaced)
}

/// Appends `%` and the two upper-case digits of `byte`.
pub(super) fn push(out: &mut String, byte: u8) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'A' + value - 10 });
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// Characters that mean the same raw and encoded (RFC 3986, section 2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
