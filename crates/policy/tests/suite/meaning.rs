//! What is said about a policy holds for its decisions: its texts decide alike, and a rule that is
//! called superfluous is.

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Caller, Content, Destination, Policy, Program, Request, Verdict, parse,
};
use openshell_types::{FileId, HostName, Port};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "delete", "PROPFIND", "'*'"];
const PATHS: [&str; 12] = [
    "/a",
    "/a/b",
    "/A/b",
    "/a/*",
    "/a/**",
    "'/a/{b,c}'",
    "'/{a,a}/*'",
    "/b/**",
    "/**",
    "'**'",
    "'/*/b'",
    "'/a/***'",
];
const QUERIES: [&str; 5] =
    ["{ q: x }", "{ q: '*' }", "{ q: 'x**' }", "{ q: { any: [x, y, x] } }", "{ q: x, r: '*' }"];
const ASKED_PATHS: [&str; 8] = ["/", "/a", "/a/b", "/A/B", "/a/b/c", "/b/x", "/c/b", "/a/c"];

fn clause() -> impl Strategy<Value = String> {
    let method = select(&METHODS[..]).prop_map(|method| format!("method: {method}"));
    let path = select(&PATHS[..]).prop_map(|path| format!("path: {path}"));
    let query = select(&QUERIES[..]).prop_map(|query| format!("query: {query}"));
    (method, path, query)
        .prop_flat_map(|(method, path, query)| subsequence(vec![method, path, query], 1..=3))
        .prop_map(|fields| format!("{{ {} }}", fields.join(", ")))
}

#[derive(Clone, Debug)]
struct Rules {
    case: &'static str,
    allow: Vec<String>,
    deny: Vec<String>,
}

fn rules() -> impl Strategy<Value = Rules> {
    let case = select(&["", "path_case: sensitive, ", "path_case: insensitive, "][..]);
    let allow = prop::collection::vec(clause(), 1..5);
    let deny = prop::collection::vec(clause(), 0..4);
    (case, allow, deny).prop_map(|(case, allow, deny)| Rules { case, allow, deny })
}

/// The text, with each rule in a line of its own: line 6 and on for those that allow.
fn write(rules: &Rules) -> String {
    let mut text = format!(
        "version: 1\nnetwork_policies:\n  a:\n    binaries: [{{ path: '/**', descendants: false }}]\n    endpoints: [{{ host: a.example, port: 443, protocol: rest, {}rules: [\n",
        rules.case
    );
    for rule in &rules.allow {
        text += &format!("      {{ allow: {rule} }},\n");
    }
    text += if rules.deny.is_empty() { "      ]\n" } else { "      ], deny_rules: [\n" };
    for rule in &rules.deny {
        text += &format!("      {rule},\n");
    }
    text + if rules.deny.is_empty() { "      }]\n" } else { "      ] }]\n" }
}

fn compile(text: &str) -> Policy {
    let (policy, _) = Policy::compile(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let mut table = BinaryTable::new();
    table.insert("/usr/bin/curl", Binding::Files(vec![FileId { device: 1, inode: 1 }]));
    policy.bind(&table)
}

/// Whether each request of the small world of this file may pass.
fn answers(policy: &Policy) -> Vec<bool> {
    let name = HostName::parse("a.example").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let file = FileId { device: 1, inode: 1 };
    let exe = Program { file, path: Some("/usr/bin/curl".into()), sha256: None };
    let by = Caller { exe, ancestors: Vec::new() };
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let queries: [&[(&str, &str)]; 5] =
        [&[], &[("q", "x")], &[("q", "x"), ("q", "z")], &[("q", "y"), ("r", "")], &[("r", "x")]];
    let mut all = Vec::new();
    for method in ["GET", "HEAD", "POST", "DELETE", "PROPFIND", "PURGE"] {
        for path in ASKED_PATHS {
            for query in queries {
                let request =
                    Request { method, path, query, headers: &[], content: Content::Plain };
                all.push(matches!(policy.request(&to, &by, &request, now), Verdict::Allow(_)));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_texts_of_a_document_decide_alike(rules in rules()) {
        let text = write(&rules);
        let document = parse(&text).document.unwrap();
        let wanted = answers(&compile(&text));
        prop_assert_eq!(&answers(&compile(&document.canonical())), &wanted, "{}", text);
        prop_assert_eq!(&answers(&compile(&document.formatted())), &wanted, "{}", text);
    }

    #[test]
    fn a_rule_that_is_called_superfluous_changes_no_answer(rules in rules()) {
        let text = write(&rules);
        let wanted = answers(&compile(&text));
        for finding in parse(&text).diagnostics {
            if !matches!(finding.code, "P0511" | "P0512") {
                continue;
            }
            let mut fewer = rules.clone();
            let at = finding.line as usize - 6;
            match at.checked_sub(rules.allow.len() + 1) {
                None => drop(fewer.allow.remove(at)),
                Some(at) => drop(fewer.deny.remove(at)),
            }
            prop_assert_eq!(answers(&compile(&write(&fewer))), wanted.clone(), "{:?}\n{}", finding, text);
        }
    }
}
