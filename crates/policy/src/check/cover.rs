//! Whether one rule matches all that another matches, where that is plain to see: a "no" may also
//! mean that it is not.

use std::collections::BTreeMap;

use crate::document::findings::Spanned;
use crate::document::model::{Clause, OperationChoice, Patterns};
use crate::document::{METHODS, Protocol, WEBSOCKET_TEXT, expand};
use crate::pattern::Piece as Part;

/// How much a lint may still compare. A lint that used it up says nothing more: it is advice, and
/// must not make a large text slow to read.
pub(super) struct Work(u64);

impl Work {
    /// Less than a tenth of a second.
    pub const fn new() -> Self {
        Self(1_000_000)
    }

    pub fn spend(&mut self, steps: usize) -> bool {
        self.0 = self.0.saturating_sub(u64::try_from(steps).unwrap_or(u64::MAX).max(1));
        self.0 > 0
    }

    pub const fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// How the stars of a pattern are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    Path,
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    Within,
    Across,
}

fn pieces(text: &str, stars: Stars) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match (byte, pieces.last_mut()) {
            (b'*', Some(last @ (Piece::Within | Piece::Across))) => *last = Piece::Across,
            (b'*', _) if stars == Stars::Path => pieces.push(Piece::Within),
            (b'*', _) => pieces.push(Piece::Across),
            _ => pieces.push(Piece::Byte(byte)),
        }
    }
    pieces
}

/// Whether `wide` matches every text that `narrow` matches: it is matched against the narrow
/// pattern itself, whose stars only a star that is at least as wide can take.
pub(super) fn pattern_covers(wide: &str, narrow: &str, stars: Stars, work: &mut Work) -> bool {
    if wide == narrow {
        return true;
    }
    let Some((fixed, _)) = wide.split_once('*') else { return false };
    if !narrow.starts_with(fixed) || !work.spend(wide.len().saturating_mul(narrow.len())) {
        return false;
    }
    let (wide, narrow) = (pieces(wide, stars), pieces(narrow, stars));
    let (mut piece, mut at) = (0_usize, 0_usize);
    let mut within: Option<(usize, usize)> = None;
    let mut across: Option<(usize, usize)> = None;
    loop {
        match (wide.get(piece), narrow.get(at)) {
            (None, None) => return true,
            (Some(Piece::Across), _) => {
                piece = piece.saturating_add(1);
                (across, within) = (Some((at, piece)), None);
                continue;
            }
            (Some(Piece::Within), _) => {
                piece = piece.saturating_add(1);
                within = Some((at, piece));
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                piece = piece.saturating_add(1);
                at = at.saturating_add(1);
                continue;
            }
            _ => {}
        }
        // Let the last star take one more.
        if let Some((from, next)) = within
            && narrow.get(from).is_some_and(|one| !matches!(one, Piece::Byte(b'/') | Piece::Across))
        {
            (at, piece) = (from.saturating_add(1), next);
            within = Some((at, next));
        } else if let Some((from, next)) = across
            && from < narrow.len()
        {
            (at, piece) = (from.saturating_add(1), next);
            (across, within) = (Some((at, next)), None);
        } else {
            return false;
        }
    }
}

fn path_covers(wide: &str, narrow: &str, work: &mut Work) -> bool {
    if !wide.contains('{') && !narrow.contains('{') {
        return pattern_covers(wide, narrow, Stars::Path, work);
    }
    if !work.spend(wide.len().saturating_add(narrow.len())) {
        return false;
    }
    let (Ok(wide), Ok(narrow)) = (expand(wide), expand(narrow)) else { return false };
    narrow.iter().all(|one| wide.iter().any(|all| pattern_covers(all, one, Stars::Path, work)))
}

/// Whether an optional pattern covers another; an absent one matches anything.
fn text_covers(wide: Option<&str>, narrow: Option<&str>, work: &mut Work) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => pattern_covers(wide, narrow, Stars::Text, work),
    }
}

/// Of which list of an endpoint two rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Allow,
    Deny,
}

fn method_covers(
    wide: &Clause,
    narrow: &Clause,
    (side, protocol): (Side, Protocol),
    work: &mut Work,
) -> bool {
    let (wide, narrow) = (method_of(wide), method_of(narrow));
    match protocol {
        Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc => text_covers(wide, narrow, work),
        _ => match (wide, narrow) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some("*"), Some(method)) => {
                method == "*"
                    || METHODS.contains(&method)
                    || (protocol == Protocol::WebSocket && method == WEBSOCKET_TEXT)
            }
            (Some("GET"), Some("HEAD")) => side == Side::Allow,
            (Some(wide), Some(narrow)) => wide == narrow,
        },
    }
}

fn method_of(clause: &Clause) -> Option<&str> {
    text_of(&clause.method)
}

fn text_of(field: &Option<Spanned<String>>) -> Option<&str> {
    field.as_ref().map(|field| field.value.as_str())
}

fn has_graphql(clause: &Clause) -> bool {
    clause.operation_type.is_some() || clause.operation_name.is_some() || !clause.fields.is_empty()
}

/// Whether a rule matches every request that another of the same list matches.
pub(super) fn clause_covers(
    wide: &Clause,
    narrow: &Clause,
    (side, protocol): (Side, Protocol),
    work: &mut Work,
) -> bool {
    if !work.spend(1) || !method_covers(wide, narrow, (side, protocol), work) {
        return false;
    }
    // At a websocket these fields make a rule one about messages alone.
    if protocol == Protocol::WebSocket && has_graphql(wide) && !has_graphql(narrow) {
        return false;
    }
    let paths = match (&wide.path, &narrow.path) {
        (None, _) => true,
        (Some(wide), None) => matches!(wide.value.as_str(), "**" | "/**"),
        (Some(wide), Some(narrow)) => path_covers(&wide.value, &narrow.value, work),
    };
    let kinds = match (wide.operation_type, narrow.operation_type) {
        (None | Some(OperationChoice::Any), _) => true,
        (wide, narrow) => wide == narrow,
    };
    paths
        && kinds
        && [
            (&wide.service, &narrow.service),
            (&wide.tool, &narrow.tool),
            (&wide.operation_name, &narrow.operation_name),
        ]
        .into_iter()
        .all(|(wide, narrow)| text_covers(text_of(wide), text_of(narrow), work))
        && (wide.fields.is_empty() || patterns_cover(&wide.fields, &narrow.fields, work))
        && names_cover(&wide.query, &narrow.query, work)
        && names_cover(&wide.headers, &narrow.headers, work)
        && names_cover(&wide.params, &narrow.params, work)
}

fn patterns_cover(wide: &[Spanned<String>], narrow: &[Spanned<String>], work: &mut Work) -> bool {
    !narrow.is_empty()
        && narrow.iter().all(|one| {
            wide.iter().any(|all| {
                work.spend(1) && pattern_covers(&all.value, &one.value, Stars::Text, work)
            })
        })
}

fn names_cover(
    wide: &BTreeMap<String, Patterns>,
    narrow: &BTreeMap<String, Patterns>,
    work: &mut Work,
) -> bool {
    wide.iter().all(|(name, wide)| {
        narrow.get(name).is_some_and(|narrow| patterns_cover(&wide.0, &narrow.0, work))
    })
}

/// Whether it is plain that no request matches both rules. Paths compare without letter case, as
/// denials do.
pub(super) fn are_disjoint(one: &Clause, other: &Clause, protocol: Protocol) -> bool {
    let methods = match (method_of(one), method_of(other)) {
        (Some(one), Some(other)) => match protocol {
            Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc => fixed_parts_differ(one, other),
            _ => {
                one != "*"
                    && other != "*"
                    && one != other
                    // A rule for GET allows HEAD.
                    && !(matches!(one, "GET" | "HEAD") && matches!(other, "GET" | "HEAD"))
            }
        },
        _ => false,
    };
    let kinds = match (one.operation_type, other.operation_type) {
        (Some(OperationChoice::Only(one)), Some(OperationChoice::Only(other))) => one != other,
        _ => false,
    };
    // Denials compare paths decoded, so that two spellings of a character are no difference.
    let decoded = |path: &Option<Spanned<String>>| {
        path.as_ref().map(|path| Part::decoded(&Part::of_path(&path.value)))
    };
    let paths = match (decoded(&one.path), decoded(&other.path)) {
        (Some(one), Some(other)) => fixed_paths_differ(&one, &other),
        _ => false,
    };
    let differ = |one: &Option<Spanned<String>>, other: &Option<Spanned<String>>| match (one, other)
    {
        (Some(one), Some(other)) => fixed_parts_differ(&one.value, &other.value),
        _ => false,
    };
    methods
        || kinds
        || paths
        || differ(&one.service, &other.service)
        || differ(&one.tool, &other.tool)
}

/// Whether two paths differ before their first star or brace.
fn fixed_paths_differ(one: &[Part], other: &[Part]) -> bool {
    let text = |pieces: &[Part]| -> String {
        let letter = |piece: &Part| match piece {
            Part::Byte(byte) => char::from(*byte),
            Part::Within | Part::Across => '*',
        };
        pieces.iter().map(letter).collect()
    };
    fixed_parts_differ(&text(one), &text(other))
}

/// Whether two patterns differ before their first star or brace.
fn fixed_parts_differ(one: &str, other: &str) -> bool {
    let special = |byte: &u8| matches!(byte, b'*' | b'{');
    for (left, right) in one.bytes().zip(other.bytes()) {
        if special(&left) || special(&right) {
            return false;
        }
        if !left.eq_ignore_ascii_case(&right) {
            return true;
        }
    }
    // One goes on: the other must have ended in a letter, not a star, to be another text.
    let longer = if one.len() > other.len() { one } else { other };
    let rest = longer.as_bytes().get(one.len().min(other.len()));
    rest.is_some_and(|byte| !special(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_patterns_within_patterns() {
        for (wide, narrow, covers) in [
            ("/**", "/a/*", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a/**", false),
            ("/a/**", "/a/*/c", true),
            ("/a/**/c", "/a/*/b/**/c", true),
            ("/*/c", "/**/c", false),
            ("/a*", "/a*b", true),
            ("/a*b", "/a*", false),
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/{a,b}/**", "/{b,a}/x", true),
            ("/{a,b}", "/{a,c}", false),
        ] {
            assert_eq!(path_covers(wide, narrow, &mut Work::new()), covers, "{wide} {narrow}");
        }
        assert!(pattern_covers("a*", "a/b*", Stars::Text, &mut Work::new()));
    }

    #[test]
    fn fixed_parts_tell_patterns_apart() {
        for (one, other, differ) in [
            ("/admin/**", "/repos/**", true),
            ("/ADMIN/x", "/admin/*", false),
            ("/a", "/a/b", true),
            ("/a*", "/a", false),
            ("/a", "/a{,b}", false),
            ("**", "/a", false),
        ] {
            assert_eq!(fixed_parts_differ(one, other), differ, "{one} {other}");
        }
    }
}
