//! The patterns of a rule: what may stand in them, and how much of it.

use std::collections::BTreeMap;

use super::findings::{Findings, Position, Spanned};
use super::model::Patterns;
use super::node::{Entry, Kind, Node};
use super::reader::{Fields, list, shown, text, wrong_type};
use super::spelling::canonical;
use crate::limits::{ALTERNATIVES, MATCHER_NAMES, MATCHER_PATTERNS, PATTERN_CHARS};

/// A pattern over a path, of an endpoint or a rule.
pub(super) fn path(node: Node, findings: &mut Findings) -> Option<Spanned<String>> {
    let path = pattern(node, "path", Empty::Refused, findings)?;
    match check_path(&path.value) {
        Ok((value, bytes)) => {
            findings.count_pattern(bytes, path.at);
            Some(Spanned { value, at: path.at })
        }
        Err((why, help)) => {
            let message = format!("the path `{}` {why}", shown(&path.value));
            findings.error_with_help("P0412", path.at, message, help);
            None
        }
    }
}

/// What a pattern without a character means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// The empty value.
    Taken,
    /// Nothing: no such value is empty.
    Refused,
}

/// A pattern over any text.
pub(super) fn pattern(
    node: Node,
    what: &str,
    empty: Empty,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let text = text(node, what, findings)?;
    if text.value.is_empty() && empty == Empty::Refused {
        findings.error("P0413", text.at, format!("`{what}` is empty, so it matches nothing"));
        return None;
    }
    if text.value.chars().nth(PATTERN_CHARS).is_some() {
        let message = format!("a pattern of `{what}` has more than {PATTERN_CHARS} characters");
        findings.error("P0002", text.at, message);
        return None;
    }
    if what != "path" {
        findings.count_pattern(text.value.len(), text.at);
    }
    Some(text)
}

/// A list of patterns, not empty.
pub(super) fn patterns(
    node: Node,
    what: &str,
    empty: Empty,
    findings: &mut Findings,
) -> Option<Vec<Spanned<String>>> {
    let list = list(node, what, MATCHER_PATTERNS, findings)?;
    if list.value.is_empty() {
        refuse_empty(what, list.at, findings);
        return None;
    }
    // With one of them refused the rest says something else than the text.
    let all = list.value.len();
    let read: Vec<_> =
        list.value.into_iter().filter_map(|node| pattern(node, what, empty, findings)).collect();
    (read.len() == all).then_some(read)
}

pub(super) fn refuse_empty(what: &str, at: Position, findings: &mut Findings) {
    let message = format!("`{what}` is an empty list");
    findings.error_with_help("P0407", at, message, "fill it or remove it".to_owned());
}

/// What the names of a matcher are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Keys of a query: any text.
    Query,
    /// Names of headers: tokens without letter case.
    Headers,
    /// Dotted paths into `params`.
    Params,
}

impl Names {
    pub const fn key(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Headers => "headers",
            Self::Params => "params",
        }
    }

    fn read(self, name: &str) -> Result<String, &'static str> {
        if name.chars().nth(PATTERN_CHARS).is_some() {
            return Err("is too long");
        }
        if name.chars().any(char::is_control) {
            return Err("holds a control character");
        }
        match self {
            Self::Query => Ok(name.to_owned()),
            Self::Headers if is_token(name) => Ok(name.to_ascii_lowercase()),
            Self::Headers => Err("is not the name of a header"),
            Self::Params if name.split('.').any(str::is_empty) => {
                Err("is not a path of names with a dot between")
            }
            Self::Params => Ok(name.to_owned()),
        }
    }
}

/// A mapping from names to patterns, not empty.
pub(super) fn matcher(
    node: Node,
    names: Names,
    findings: &mut Findings,
) -> BTreeMap<String, Patterns> {
    let mut read = BTreeMap::new();
    let entries = match node.kind {
        Kind::Map(entries) if entries.is_empty() => {
            let message = format!("`{}` is empty", names.key());
            findings.error_with_help("P0407", node.at, message, "fill it or remove it".to_owned());
            return read;
        }
        Kind::Map(entries) if entries.len() <= MATCHER_NAMES => entries,
        Kind::Map(_) => {
            let message = format!("`{}` has more than {MATCHER_NAMES} names", names.key());
            findings.error("P0002", node.at, message);
            return read;
        }
        kind => {
            let node = Node { at: node.at, kind };
            wrong_type(&node, names.key(), "a mapping from names to patterns", findings);
            return read;
        }
    };
    for Entry { at, key, value } in entries {
        let name = match names.read(&key) {
            Ok(name) => name,
            Err(why) => {
                let message = format!("`{}` in `{}` {why}", shown(&key), names.key());
                findings.error("P0413", at, message);
                continue;
            }
        };
        let Some(patterns) = alternatives(value, &name, findings) else { continue };
        if read.insert(name, patterns).is_some() {
            let message = format!("`{}` stands here a second time", shown(&key));
            let help = "names of headers have no letter case".to_owned();
            findings.error_with_help("P0004", at, message, help);
        }
    }
    read
}

/// A pattern, `{any: [patterns]}`, or `{glob: pattern}` as it comes from the published clients.
fn alternatives(node: Node, name: &str, findings: &mut Findings) -> Option<Patterns> {
    if !matches!(node.kind, Kind::Map(_)) {
        if node.is_null() {
            let message = format!("`{}` has no pattern", shown(name));
            let help = "for any value, once it is there: \"*\"".to_owned();
            findings.error_with_help("P0413", node.at, message, help);
            return None;
        }
        return pattern(node, name, Empty::Taken, findings).map(|one| Patterns(vec![one]));
    }
    let mut fields = Fields::of(node, "a matcher", findings)?;
    let at = fields.at;
    let (any, glob) = (fields.take("any"), fields.take("glob"));
    fields.refuse_rest(findings);
    match (any, glob) {
        (Some(any), None) => patterns(any, "any", Empty::Taken, findings).map(Patterns),
        (None, Some(glob)) => {
            pattern(glob, "glob", Empty::Taken, findings).map(|one| Patterns(vec![one]))
        }
        (None, None) => {
            let message = format!("`{}` has no pattern", shown(name));
            let help = "write a pattern, or `{ any: [several] }`".to_owned();
            findings.error_with_help("P0413", at, message, help);
            None
        }
        (Some(_), Some(_)) => {
            let message = "`any` and `glob` stand side by side".to_owned();
            findings.error_with_help("P0413", at, message, "list them all in `any`".to_owned());
            None
        }
    }
}

/// A word of HTTP: a method, or the name of a header.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What is wrong with a path and what would help; or the path as requests spell it, and the bytes of
/// all paths that it stands for.
pub(crate) fn check_path(text: &str) -> Result<(String, usize), (String, String)> {
    if let Some(special) = text.chars().find(|c| matches!(c, '?' | '[' | ']' | '\\' | '#')) {
        let help = match special {
            '?' => "conditions on the query stand in `query`; for any one run of characters: `*`",
            '#' => "what follows a `#` never reaches a server",
            '[' => "for the character itself write `%5B`",
            ']' => "for the character itself write `%5D`",
            _ => "only `*`, `**` and `{a,b}` are special in a path",
        };
        return Err((format!("holds `{special}`"), help.to_owned()));
    }
    let text = canonical(text)?;
    let paths = expand(&text)?;
    for path in &paths {
        if !path.starts_with('/') && !path.starts_with("**") {
            let bare = path.trim_start_matches('*');
            return Err((
                "can never match: every path begins with `/`".to_owned(),
                format!("write `/{}`", shown(bare.trim_start_matches('/'))),
            ));
        }
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err((
                "can never match: `.` and `..` are resolved before a request is judged".to_owned(),
                "write the path that they lead to".to_owned(),
            ));
        }
        if path.contains("//") {
            return Err((
                "can never match: of several slashes a request keeps one".to_owned(),
                "write one `/`".to_owned(),
            ));
        }
    }
    let bytes = paths.iter().map(String::len).sum();
    Ok((text, bytes))
}

/// The paths that a path with braces stands for.
pub(crate) fn expand(text: &str) -> Result<Vec<String>, (String, String)> {
    let mut all = vec![String::new()];
    let mut rest = text;
    loop {
        let (plain, inside) = match rest.split_once('{') {
            None => (rest, None),
            Some((plain, inside)) => (plain, Some(inside)),
        };
        if plain.contains('}') {
            let help = "only `{a,b}` is special".to_owned();
            return Err(("has a `}` that nothing opens".to_owned(), help));
        }
        for path in &mut all {
            path.push_str(plain);
        }
        let Some(inside) = inside else { return Ok(all) };
        let Some((inside, after)) = inside.split_once('}') else {
            let help = "close it with `}`".to_owned();
            return Err(("has a `{` that nothing closes".to_owned(), help));
        };
        if inside.contains('{') {
            let help = "write the alternatives side by side".to_owned();
            return Err(("has braces within braces".to_owned(), help));
        }
        if !inside.contains(',') {
            return Err((
                format!("has `{{{}}}`, which names no alternatives", shown(inside)),
                "for any one segment write `*`".to_owned(),
            ));
        }
        let alternatives: Vec<&str> = inside.split(',').collect();
        if all.len().saturating_mul(alternatives.len()) > ALTERNATIVES {
            return Err((
                format!("stands for more than {ALTERNATIVES} paths"),
                "write several rules".to_owned(),
            ));
        }
        all = all
            .iter()
            .flat_map(|path| alternatives.iter().map(move |one| format!("{path}{one}")))
            .collect();
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_each_alternative() {
        assert_eq!(expand("/a").unwrap(), ["/a"]);
        assert_eq!(expand("/{a,b}/x{,.git}").unwrap(), ["/a/x", "/a/x.git", "/b/x", "/b/x.git"]);
        let eight = "{0,1,2,3,4,5,6,7}";
        assert_eq!(expand(&format!("/{eight}{eight}")).unwrap().len(), 64);
        for bad in ["/{a", "/a}", "/{a,{b,c}}", "/{id}", "/{}"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
        assert!(expand(&format!("/{eight}{eight}{{a,b}}")).is_err());
    }

    #[test]
    fn paths_that_no_request_has_are_refused() {
        for bad in [
            "x",
            "*.json",
            "{/a,b}",
            "/%2e",
            "/a?b",
            "/[ab]",
            "/a#b",
            "/a\\b",
            "/a/../b",
            "/./a",
            "/a/{..,b}",
            "/%2e%2E/b",
            "/a//b",
            "/a{/,}/b",
            "/a%zz",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        for good in ["/", "/**", "**", "**/x", "/a/*", "/a..b", "/{a,b}", "{/a,/b}", "/%2e%41"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
    }
}
