//! Section 2 of the page: patterns, by trying every way.

use std::collections::BTreeSet;

/// How far `*` goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Star {
    /// Not beyond a `/`; `**` does.
    Segment,
    /// Anywhere.
    Anywhere,
}

/// Whether the pattern matches the whole text.
pub fn glob(pattern: &str, text: &str, star: Star) -> bool {
    let width = text.len().saturating_add(1);
    let cells = pattern.len().saturating_add(1).saturating_mul(width);
    let mut search = Search { star, width, failed: vec![false; cells] };
    search.matches(pattern.as_bytes(), text.as_bytes())
}

/// The same without regard to ASCII case.
pub fn glob_ignoring_case(pattern: &str, text: &str, star: Star) -> bool {
    glob(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase(), star)
}

/// Pairs of a rest of the pattern and a rest of the text that are known not to match.
struct Search {
    star: Star,
    width: usize,
    failed: Vec<bool>,
}

impl Search {
    fn matches(&mut self, pattern: &[u8], text: &[u8]) -> bool {
        let cell = pattern.len().saturating_mul(self.width).saturating_add(text.len());
        if self.failed.get(cell).is_some_and(|failed| *failed) {
            return false;
        }
        let found = match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => self.after_run(rest, text, true),
            [b'*', rest @ ..] => self.after_run(rest, text, self.star == Star::Anywhere),
            [wanted, rest @ ..] => match text {
                [first, after @ ..] => first == wanted && self.matches(rest, after),
                [] => false,
            },
        };
        if !found && let Some(failed) = self.failed.get_mut(cell) {
            *failed = true;
        }
        found
    }

    /// Whether the rest of the pattern matches after a run of any length, with or without `/`.
    fn after_run(&mut self, rest: &[u8], text: &[u8], crosses: bool) -> bool {
        let mut left = text;
        loop {
            if self.matches(rest, left) {
                return true;
            }
            match left {
                [first, after @ ..] if crosses || *first != b'/' => left = after,
                _ => return false,
            }
        }
    }
}

/// A character of a path, and whether it was written as `%` and two digits.
fn characters(text: &str) -> Vec<(u8, bool)> {
    let mut all = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| {
            *first == b'%' && digits.chars().all(|digit| digit.is_ascii_hexdigit())
        });
        match digits.map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) => {
                all.push((byte, true));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                all.push((*first, false));
                rest = after;
            }
        }
    }
    all
}

/// How a denying pattern is compared.
#[derive(Clone, Copy)]
pub struct Denied {
    /// `*` does not run over an encoded slash, either.
    pub stays: bool,
    pub ignore_case: bool,
}

/// Whether a denying pattern matches a path, however either is encoded.
pub fn denied(pattern: &str, path: &str, Denied { stays, ignore_case }: Denied) -> bool {
    let same = |a: u8, b: u8| a == b || ignore_case && a.eq_ignore_ascii_case(&b);
    let (pattern, path) = (characters(pattern), characters(path));
    // The places of the path that the pattern may have come to.
    let mut reached = BTreeSet::from([0_usize]);
    let mut rest = pattern.as_slice();
    while let [part, after @ ..] = rest {
        let stars = rest.iter().take_while(|part| **part == (b'*', false)).count();
        if stars == 0 {
            let fits = |at: &usize| path.get(*at).is_some_and(|(byte, _)| same(*byte, part.0));
            reached = reached.into_iter().filter(fits).map(|at| at.saturating_add(1)).collect();
            rest = after;
            continue;
        }
        for start in reached.clone() {
            let goes_on =
                |(byte, encoded): &&(u8, bool)| stars > 1 || *byte != b'/' || *encoded && !stays;
            let run = path.iter().skip(start).take_while(goes_on).count();
            reached.extend(start..=start.saturating_add(run));
        }
        rest = rest.get(stars..).unwrap_or_default();
    }
    reached.contains(&path.len())
}

/// The paths that a text with braces stands for, as requests spell them.
pub fn alternatives(text: &str) -> Vec<String> {
    alternatives_as_written(&spelled(text))
}

/// Section 2: escapes of unreserved characters are these characters, others have digits in upper
/// case, and what cannot stand in a path is escaped.
fn spelled(text: &str) -> String {
    let mut out = String::new();
    for (byte, encoded) in characters(text) {
        let letter = char::from(byte);
        let unreserved = letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let special = byte.is_ascii() && "!$&'()*+,;=:@/{}".contains(letter);
        if unreserved || special && !encoded {
            out.push(letter);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The same, letter by letter.
pub fn alternatives_as_written(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![text.to_owned()] };
    let tails = alternatives_as_written(after);
    inside
        .split(',')
        .flat_map(|choice| tails.iter().map(move |tail| format!("{before}{choice}{tail}")))
        .collect()
}

/// The one name that no wildcard matches.
pub const HOST_ALIAS: &str = "host.openshell.internal";

/// Whether a host pattern matches a name.
pub fn host(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let pattern = pattern.strip_suffix('.').unwrap_or(&pattern);
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name == HOST_ALIAS {
        return pattern == name;
    }
    let wanted: Vec<&str> = pattern.split('.').collect();
    let labels: Vec<&str> = name.split('.').collect();
    labels_match(&wanted, &labels)
}

fn labels_match(wanted: &[&str], labels: &[&str]) -> bool {
    match (wanted, labels) {
        ([], []) => true,
        (["**", rest @ ..], [_, after @ ..]) => {
            labels_match(rest, after) || labels_match(wanted, after)
        }
        ([label, rest @ ..], [first, after @ ..]) => {
            glob(label, first, Star::Anywhere) && labels_match(rest, after)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_page_hold() {
        assert!(!glob("/x/**", "/x", Star::Segment));
        assert!(glob("/x**", "/x", Star::Segment));
        assert!(glob("/x/**", "/x/", Star::Segment));
        assert!(!glob("/x/*", "/x/a/b", Star::Segment));
        assert!(glob("a*b", "a/b", Star::Anywhere));
        assert!(!host("*.x.com", "x.com") && !host("**.x.com", "x.com"));
        assert!(host("**.x.com", "a.b.x.com") && !host("*.x.com", "a.b.x.com"));
        assert!(!host("*.openshell.internal", HOST_ALIAS) && host(HOST_ALIAS, HOST_ALIAS));
        assert_eq!(alternatives("/{a,b}/{c,d}").len(), 4);
        assert_eq!(alternatives("/{a,b}/x"), ["/a/x", "/b/x"]);
    }

    #[test]
    fn a_pattern_of_many_stars_is_judged_at_once() {
        assert!(!glob(&"*a".repeat(50), &"a".repeat(49), Star::Anywhere));
        assert!(glob(&"**a".repeat(50), &"a".repeat(400), Star::Segment));
    }
}
