//! The pairs of a query.

use std::collections::BTreeMap;

use super::escape::decode_form;
use super::{Doubtful, TargetError};

/// A key and a value, decoded.
pub(super) type Pair = (String, String);

/// The pairs of a query, in order; every value under its exact key.
pub(super) fn pairs(raw: &str, doubtful: Doubtful) -> Result<Vec<Pair>, TargetError> {
    if doubtful == Doubtful::Refused && raw.contains(';') {
        // SECURITY: G7; `a=1;a=2` is one value, two values or none.
        return Err(TargetError::QuerySemicolon);
    }
    let mut pairs = Vec::new();
    for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        pairs.push((decoded(key)?, decoded(value)?));
    }
    if doubtful == Doubtful::Refused {
        tell_apart(&pairs)?;
    }
    Ok(pairs)
}

/// A key as the most careless servers compare it: without regard to case and to spaces before it,
/// and with `_` for `.` and for spaces.
pub(crate) fn folded(key: &str) -> String {
    let key = key.trim_start_matches(' ');
    key.chars().map(|c| if matches!(c, '.' | ' ') { '_' } else { c.to_ascii_lowercase() }).collect()
}

fn decoded(text: &str) -> Result<String, TargetError> {
    let bytes = decode_form(text.as_bytes());
    // SECURITY: G3; a NUL ends the value for whoever keeps it as a C string. Other controls are
    // data: queries carry texts of several lines.
    if bytes.contains(&0) {
        return Err(TargetError::EncodedControl);
    }
    String::from_utf8(bytes).map_err(|_| TargetError::Utf8)
}

/// Refuses two keys that some servers take for one: a rule for `a` would judge one value and the
/// server would use another, from `A` or `a[]`.
fn tell_apart(pairs: &[Pair]) -> Result<(), TargetError> {
    let mut spellings: BTreeMap<String, &str> = BTreeMap::new();
    for (key, _) in pairs {
        let spelling = spellings.entry(folded(key)).or_insert(key);
        if spelling != key {
            return Err(TargetError::QueryKeys);
        }
    }
    let arrays = spellings.keys().filter_map(|key| key.split_once('[')).map(|(base, _)| base);
    for base in arrays.filter(|base| !base.is_empty()) {
        if spellings.contains_key(base) {
            return Err(TargetError::QueryKeys);
        }
    }
    Ok(())
}
