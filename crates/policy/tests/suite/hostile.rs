//! M1 and M2 for rules of requests: texts that are to make the reader slow, large or wrong.

use std::time::{Duration, Instant};

use openshell_policy::{Parsed, parse};

/// Far more than any text needs in a test build on a busy machine, and far less than a text would
/// take whose cost is the square of its length.
const SOON: Duration = Duration::from_secs(300);

fn read_soon(what: &str, text: &str) -> Parsed {
    let start = Instant::now();
    let parsed = parse(text);
    let took = start.elapsed();
    assert!(took < SOON, "{what}: {} bytes took {took:?}", text.len());
    parsed
}

fn rules(rules: impl Iterator<Item = String>) -> String {
    let head = "version: 1\nnetwork_policies:\n  a:\n    binaries: [{ path: /usr/bin/curl }]\n    endpoints:\n      - host: a.example\n        port: 443\n        protocol: rest\n        rules:\n";
    rules.fold(head.to_owned(), |text, rule| format!("{text}          - allow: {rule}\n"))
}

fn errors(parsed: &Parsed) -> Vec<&'static str> {
    parsed.diagnostics.iter().filter(|found| found.is_error()).map(|found| found.code).collect()
}

#[test]
fn ten_thousand_rules_of_one_endpoint_are_read() {
    let literal =
        rules((0..10_000).map(|n| format!("{{ method: GET, path: /repos/owner{n}/project }}")));
    let parsed = read_soon("literal paths", &literal);
    assert_eq!(errors(&parsed), [""; 0]);
    let document = parsed.document.unwrap();
    assert_eq!(document.canonical().matches("allow").count(), 10_000);
    let wide = rules((0..10_000).map(|n| format!("{{ method: GET, path: /repos/*{n}/** }}")));
    assert_eq!(errors(&read_soon("wide paths", &wide)), [""; 0]);
}

#[test]
fn m02_comparing_rules_never_takes_the_square_of_the_text() {
    let stars = "*a".repeat(500);
    let long = rules((0..700).map(|n| format!("{{ path: '/{stars}{n}' }}")));
    assert_eq!(errors(&read_soon("long patterns", &long)), [""; 0]);
    let mut hosts = String::from("version: 1\nnetwork_policies:\n");
    for number in 0..4000 {
        let (host, judged) = match number % 2 {
            0 => (format!("h{number}.example.com"), ", protocol: rest, access: full"),
            _ => (format!("h{number}*.example.com"), ""),
        };
        hosts += &format!(
            "  r{number}: {{ endpoints: [{{ host: '{host}', port: 443{judged} }}], binaries: [{{ path: /usr/bin/curl }}] }}\n"
        );
    }
    assert_eq!(errors(&read_soon("many hosts", &hosts)), [""; 0]);
}

#[test]
fn m01_braces_and_patterns_beyond_the_limits_are_refused() {
    let bomb = format!("/{}", "{a,b,c,d,e,f,g,h}".repeat(200));
    assert_eq!(errors(&parse(&rules([format!("{{ path: '{bomb}' }}")].into_iter()))), ["P0412"]);
    let nested = format!("/{}", "{a,".repeat(1000));
    assert_eq!(errors(&parse(&rules([format!("{{ path: '{nested}' }}")].into_iter()))), ["P0412"]);
    let long = format!("{{ path: '/{}' }}", "a".repeat(5000));
    assert_eq!(errors(&parse(&rules([long].into_iter()))), ["P0002"]);
    let fat = format!("/{}/{}", "{1,2,3,4,5,6,7,8}".repeat(2), "a".repeat(4000));
    let fat = rules((0..200).map(|_| format!("{{ path: '{fat}' }}")));
    assert_eq!(errors(&read_soon("fat braces", &fat)), ["P0002"]);
    let names: String = (0..65).map(|n| format!("k{n}: v, ")).collect();
    let names = format!("{{ query: {{ {names} }} }}");
    assert_eq!(errors(&parse(&rules([names].into_iter()))), ["P0002"]);
    let many = format!("{{ query: {{ k: {{ any: [{}] }} }} }}", "v, ".repeat(257));
    assert_eq!(errors(&parse(&rules([many].into_iter()))), ["P0002"]);
    let over = rules((0..16_385).map(|_| "{ path: /a }".to_owned()));
    assert_eq!(errors(&read_soon("too many rules", &over)), ["P0002"]);
}

#[test]
fn m01_keys_that_stand_twice_are_refused_at_every_depth() {
    for text in [
        "{ method: GET, method: POST }",
        "{ query: { a: b, a: c } }",
        "{ query: { a: { any: [b], any: [c] } } }",
        "{ headers: { A: b, a: c } }",
    ] {
        assert_eq!(errors(&parse(&rules([text.to_owned()].into_iter()))), ["P0004"], "{text}");
    }
}

#[test]
fn m01_anchors_and_tags_are_refused_within_rules() {
    for (text, code) in [
        ("&a { path: /a }", "P0003"),
        ("{ path: !!str /a }", "P0006"),
        ("{ query: { a: &x b } }", "P0003"),
    ] {
        assert_eq!(errors(&parse(&rules([text.to_owned()].into_iter()))), [code], "{text}");
    }
}

#[test]
fn m01_values_that_yaml_types_are_no_patterns() {
    for text in ["{ query: { a: 0777 } }", "{ query: { a: true } }", "{ path: 1.5 }"] {
        assert_eq!(errors(&parse(&rules([text.to_owned()].into_iter()))), ["P0102"], "{text}");
    }
    // A word that some readers take for a truth value is text here, and is written in quotes.
    let text = rules(["{ query: { a: no } }".to_owned()].into_iter());
    let document = parse(&text).document.unwrap();
    assert!(document.formatted().contains("a: \"no\""), "{}", document.formatted());
}
