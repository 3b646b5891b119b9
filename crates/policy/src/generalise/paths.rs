//! Paths that were seen, to the patterns that allow them.

use std::collections::{BTreeMap, BTreeSet};

/// More values than this at one place of a path are taken for any value.
const VALUES: usize = 8;
/// Longest segment that stays as it is; pattern texts are bounded.
const SEGMENT: usize = 512;
/// Most segments; what is deeper is taken for a tree of files.
const DEPTH: usize = 32;

/// The fewest patterns of the shape of these paths. `folded` hears of each that allows more.
pub(super) fn fold(paths: &BTreeSet<&str>, folded: &mut impl FnMut(&str)) -> Vec<String> {
    let split: BTreeSet<Vec<String>> = paths
        .iter()
        .map(|path| path.split('/').skip(1).map(segment).collect::<Vec<String>>())
        .collect();
    let mut patterns = BTreeSet::new();
    let mut by_depth: BTreeMap<usize, Vec<&[String]>> = BTreeMap::new();
    let mut trees: BTreeSet<Vec<String>> = BTreeSet::new();
    find_trees(&split.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut Vec::new(), &mut trees);
    for path in &split {
        let tree = trees.iter().find(|tree| path.len() > tree.len() && path.starts_with(tree));
        match tree {
            Some(tree) => {
                let mut pattern = tree.iter().map(|part| format!("/{part}")).collect::<String>();
                pattern.push_str("/**");
                patterns.insert(pattern);
            }
            None => by_depth.entry(path.len()).or_default().push(path),
        }
    }
    for list in by_depth.into_values() {
        descend(list, String::new(), &mut patterns);
    }
    for pattern in patterns.iter().filter(|pattern| pattern.contains('*')) {
        folded(pattern);
    }
    patterns.into_iter().collect()
}

/// A segment as a pattern of its own: characters that patterns cannot say become a star.
fn segment(text: &str) -> String {
    if text.len() > SEGMENT {
        return "*".to_owned();
    }
    let special = |c: char| "*?[]\\#{}".contains(c) || c.is_control();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if !special(character) {
            out.push(character);
        } else if !out.ends_with('*') {
            out.push('*');
        }
    }
    out
}

/// Finds the places beneath which there are many names and different depths: a tree.
fn find_trees(paths: &[&[String]], at: &mut Vec<String>, trees: &mut BTreeSet<Vec<String>>) {
    let names: BTreeSet<&String> = paths.iter().filter_map(|path| path.first()).collect();
    let depths: BTreeSet<usize> = paths.iter().map(|path| path.len()).collect();
    let too_deep = paths.iter().any(|path| path.len() > DEPTH) && at.is_empty();
    if (names.len() > VALUES && depths.len() > 1) || too_deep {
        trees.insert(at.clone());
        return;
    }
    for name in names {
        let beneath: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| *first == name)
            .map(|(_, rest)| rest)
            .collect();
        if beneath.len() > VALUES {
            at.push(name.clone());
            find_trees(&beneath, at, trees);
            at.pop();
        }
    }
}

/// Patterns of paths of one depth, segment by segment.
fn descend(paths: Vec<&[String]>, prefix: String, patterns: &mut BTreeSet<String>) {
    let mut by_name: BTreeMap<&String, Vec<&[String]>> = BTreeMap::new();
    for path in &paths {
        match path.split_first() {
            Some((first, rest)) => by_name.entry(first).or_default().push(rest),
            None => {
                patterns.insert(prefix);
                return;
            }
        }
    }
    let ids = by_name.keys().filter(|name| is_id(name)).count();
    let any = by_name.len() > VALUES;
    let mut star: Vec<&[String]> = Vec::new();
    for (name, rest) in by_name {
        if any || (ids > 1 && is_id(name)) {
            star.extend(rest);
        } else {
            descend(rest, format!("{prefix}/{name}"), patterns);
        }
    }
    if !star.is_empty() {
        descend(star, format!("{prefix}/*"), patterns);
    }
}

/// Whether a segment is a number, a long hexadecimal number or a UUID: one of many of its kind.
fn is_id(text: &str) -> bool {
    const SHORTEST_HEX: usize = 8;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.is_empty() {
        return false;
    }
    let groups: Vec<&str> = text.split('-').collect();
    let uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| hex(group));
    let long = text.len() >= SHORTEST_HEX && text.bytes().any(|byte| byte.is_ascii_digit());
    digits(text) || uuid || (long && hex(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(paths: &[&str]) -> Vec<String> {
        fold(&paths.iter().copied().collect(), &mut |_| {})
    }

    #[test]
    fn what_varies_becomes_a_star_and_nothing_else() {
        assert_eq!(folded(&["/a/1", "/a/2", "/a/me"]), ["/a/*", "/a/me"]);
        assert_eq!(folded(&["/a/1", "/b/2"]), ["/a/1", "/b/2"]);
        assert_eq!(folded(&["/a/1/x", "/a/2/x", "/a/2/y"]), ["/a/*/x", "/a/*/y"]);
        assert_eq!(folded(&["/", "/a", "/a/"]), ["/", "/a", "/a/"]);
        let uuids = [
            "/o/123e4567-e89b-12d3-a456-426614174000",
            "/o/00000000-e89b-12d3-a456-426614174000",
            "/o/deadbeef01",
        ];
        assert_eq!(folded(&uuids), ["/o/*"]);
        let words: Vec<String> = (0..9).map(|n| format!("/w/word{n}x")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(folded(&words), ["/w/*"]);
        assert_eq!(folded(&words[..8]).len(), 8);
    }

    #[test]
    fn two_stars_need_a_tree() {
        let mut tree: Vec<String> = (0..9).map(|n| format!("/f/dir{n}x")).collect();
        let flat: Vec<&str> = tree.iter().map(String::as_str).collect();
        assert_eq!(folded(&flat), ["/f/*"]);
        tree.push("/f/dir0x/a/b".to_owned());
        tree.push("/other".to_owned());
        let tree: Vec<&str> = tree.iter().map(String::as_str).collect();
        assert_eq!(folded(&tree), ["/f/**", "/other"]);
        assert_eq!(folded(&["/a/b", "/a/b/c", "/a/b/c/d"]).len(), 3);
    }

    #[test]
    fn characters_that_patterns_cannot_say_become_a_star() {
        assert_eq!(folded(&["/a{b}/c"]), ["/a*b*/c"]);
        assert_eq!(folded(&["/*"]), ["/*"]);
    }
}
