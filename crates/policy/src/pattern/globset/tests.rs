use proptest::prelude::*;

use super::*;
use crate::pattern::Glob;

fn set(case: Case, globs: &[Vec<Piece>]) -> (GlobSet, Vec<u32>) {
    let mut builder = GlobSetBuilder::new(case, b'/');
    let slots = globs.iter().map(|glob| builder.insert(glob)).collect();
    (builder.finish(), slots)
}

fn paths(globs: &[&str]) -> (GlobSet, Vec<u32>) {
    set(Case::Exact, &globs.iter().map(|glob| Piece::of_path(glob)).collect::<Vec<_>>())
}

fn matching(set: &GlobSet, text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    set.walk(text.as_bytes(), &mut |slot| found.push(slot));
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all, "a slot was visited twice");
    found
}

#[test]
fn finds_all_that_match_and_no_other() {
    let globs = [
        "/api/v1/users",
        "/api/v1/*",
        "/api/**",
        "/api/*/users",
        "/**/users",
        "/api/v1/user",
        "/ap*",
        "**",
        "*",
        "",
        "/api/v1/users*",
        "/api/v*/u*s",
    ];
    let (set, slots) = paths(&globs);
    assert_eq!(slots, (0..globs.len() as u32).collect::<Vec<_>>());
    assert_eq!(matching(&set, "/api/v1/users"), [0, 1, 2, 3, 4, 7, 10, 11]);
    assert_eq!(matching(&set, "/api/v1/users/7"), [2, 7]);
    assert_eq!(matching(&set, "/ap"), [6, 7]);
    assert_eq!(matching(&set, ""), [7, 8, 9]);
    assert_eq!(matching(&set, "x"), [7, 8]);
}

#[test]
fn globs_of_one_meaning_share_a_slot() {
    let (set, slots) = paths(&["/a/**", "/a/***", "/a/*", "/a/**"]);
    assert_eq!(slots, [0, 0, 1, 0]);
    assert_eq!(matching(&set, "/a/b"), [0, 1]);
}

#[test]
fn folded_sets_ignore_the_case_of_ascii_letters_alone() {
    let globs: Vec<_> = ["/Admin/**", "/é*"].iter().map(|glob| Piece::of_path(glob)).collect();
    let (set, _) = set(Case::Folded, &globs);
    assert_eq!(matching(&set, "/aDMIN/x"), [0]);
    assert_eq!(matching(&set, "/éX"), [1]);
    assert_eq!(matching(&set, "/É"), [0_u32; 0]);
}

#[test]
fn more_matches_than_fit_are_found_on_the_heap() {
    let globs: Vec<String> =
        (0..100).map(|n| format!("/{}*b*{}**", "*".repeat(n % 2), n)).collect();
    let (set, slots) = paths(&globs.iter().map(String::as_str).collect::<Vec<_>>());
    let text = format!("/ab/{}", (0..100).map(|n| format!("b{n}")).collect::<String>());
    let wanted: Vec<u32> = globs
        .iter()
        .zip(slots)
        .filter(|(glob, _)| Glob::new(glob).matches(&text))
        .map(|(_, slot)| slot)
        .collect();
    assert!(wanted.len() > INLINE, "{}", wanted.len());
    assert_eq!(matching(&set, &text), wanted);
}

fn steps(globs: &[&str], text: &str) -> usize {
    paths(globs).0.walk(text.as_bytes(), &mut |_| {})
}

#[test]
fn a_literal_beginning_is_followed_by_itself() {
    let globs: Vec<String> = (0..10_000).map(|n| format!("/repos/owner{n}/name/**")).collect();
    let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
    let text = format!("/repos/owner5678/name/{}", "x/".repeat(4000));
    assert!(steps(&globs, &text) < 30, "{}", steps(&globs, &text));
}

#[test]
fn a_hostile_path_costs_its_length_times_the_stars() {
    let long = "/a/b".repeat(2048);
    for (globs, alive) in [
        (vec!["/**/a/**/b/**"], 3),
        (vec!["/**/a/**/b/**/a/**/b/**/c"], 5),
        (vec!["**a**a**a**a**a**a**a**a**x"], 9),
        (vec!["/**/a/**/x", "/**/b/**/x", "/**/*a*/**/y", "/*/*/*/*/**/z"], 12),
        (vec!["*/a*/b*/**/a*b*/c", "**/*/*/*/a/*/x"], 16),
    ] {
        let found = steps(&globs, &long);
        // Each star makes one step and at most one arrival (two steps) at each byte.
        assert!(found <= long.len() * alive * 3, "{globs:?}: {found}");
    }
    let same = "a".repeat(8192);
    let found = steps(&[&format!("**{}**", "a".repeat(1000)), "**a*a*a*a*a*b"], &same);
    assert!(found <= same.len() * 24, "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_each_glob_by_itself(
        globs in prop::collection::vec("(/|a|b|ab|B|\\*|\\*\\*|/\\*\\*|/\\*){0,7}", 1..40),
        texts in prop::collection::vec("(/|a|b|ab|aB|/a){0,10}", 1..20),
        folded in any::<bool>(),
    ) {
        let case = if folded { Case::Folded } else { Case::Exact };
        let pieces: Vec<_> = globs.iter().map(|glob| Piece::of_path(glob)).collect();
        let (set, slots) = set(case, &pieces);
        let fold = |text: &str| if folded { text.to_lowercase() } else { text.to_owned() };
        for text in &texts {
            let mut wanted: Vec<u32> = globs
                .iter()
                .zip(&slots)
                .filter(|(glob, _)| Glob::new(&fold(glob)).matches(&fold(text)))
                .map(|(_, slot)| *slot)
                .collect();
            wanted.sort_unstable();
            wanted.dedup();
            prop_assert_eq!(matching(&set, text), wanted, "{:?} {}", globs, text);
        }
    }
}
