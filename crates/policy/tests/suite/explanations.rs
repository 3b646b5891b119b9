//! Every finding has its page, and every page does what it shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use openshell_policy::{explanation, parse};

/// Codes whose example would be too long or could not be seen, or that only a gateway finds.
const WITHOUT_EXAMPLE: [&str; 4] = ["P0002", "P0007", "P0008", "P0422"];

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The codes that stand as strings in the sources.
fn codes() -> BTreeSet<String> {
    let mut texts = Vec::new();
    sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let strings = texts.iter().flat_map(|text| text.split('"'));
    strings
        .filter(|word| {
            word.len() == 5
                && word.starts_with("P0")
                && word[1..].bytes().all(|b| b.is_ascii_digit())
        })
        .map(str::to_owned)
        .collect()
}

/// A whole policy of an example, which may be one of an endpoint or a rule.
fn whole(kind: &str, body: &str) -> String {
    let indented = |by: usize| {
        body.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect::<String>()
    };
    match kind {
        "" => body.to_owned(),
        "rule" => format!("version: 1\nnetwork_policies:\n  a:\n{}", indented(4)),
        "endpoint" => format!(
            "version: 1\nnetwork_policies:\n  a:\n    binaries: [{{ path: /usr/bin/curl }}]\n    endpoints:\n      -\n{}",
            indented(8)
        ),
        other => panic!("an example of kind {other:?}"),
    }
}

fn examples(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```yaml") {
        let (kind, after) = after.split_once('\n').unwrap();
        let (body, after) = after.split_once("```").unwrap();
        found.push(whole(kind.trim(), body));
        rest = after;
    }
    found
}

#[test]
fn every_code_of_the_sources_has_a_page_with_an_example_and_its_mend() {
    let codes = codes();
    assert!(codes.len() > 50, "only {} codes were found", codes.len());
    for code in &codes {
        let page = explanation(code).unwrap_or_else(|| panic!("{code} has no page"));
        assert!(page.starts_with(&format!("## {code}: ")), "{code}: {page}");
        assert_eq!(page.matches("\n## ").count(), 0, "{code}: more than one page");
        if WITHOUT_EXAMPLE.contains(&code.as_str()) {
            continue;
        }
        let examples = examples(page);
        let [failing, mended] = examples.as_slice() else {
            panic!("{code} has {} examples", examples.len())
        };
        let found = |text: &str| -> Vec<&'static str> {
            let parsed = parse(text);
            // What a reader accepts and this build's egress does not.
            let beyond = parsed.document.and_then(|document| document.unenforced());
            parsed.diagnostics.iter().chain(&beyond).map(|finding| finding.code).collect()
        };
        assert!(found(failing).contains(&code.as_str()), "{code}: {:?}\n{failing}", found(failing));
        let mended = parse(mended);
        assert!(mended.document.is_some(), "{code}: {:#?}", mended.diagnostics);
        // A note about the whole text stays; what the page is about is gone.
        let left = mended.diagnostics.iter().filter(|finding| finding.code == code);
        let left: Vec<_> =
            left.filter(|finding| !finding.message.contains("that program alone")).collect();
        assert!(left.is_empty(), "{code}: {left:#?}");
        if code == "P0420" {
            let beyond = mended.document.and_then(|document| document.unenforced());
            assert_eq!(beyond, None, "{code}");
        }
    }
}

#[test]
fn every_page_is_about_a_code_of_the_sources() {
    let codes = codes();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("explanations");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
            let code = heading.split(':').next().unwrap();
            assert!(codes.contains(code), "no source says {code}");
        }
    }
}

#[test]
fn what_is_no_code_has_no_page() {
    for word in ["", "P", "P9999", "P0103:", "text", "P010", "P01033", "Pä12"] {
        assert_eq!(explanation(word), None, "{word}");
    }
}
