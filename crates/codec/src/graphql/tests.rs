use std::time::{Duration, Instant};

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::json::JsonError;

mod hostile;

fn media(value: &str) -> MediaType {
    MediaType::parse(value.as_bytes()).unwrap()
}

fn get(pairs: &[(&str, &str)]) -> Result<Vec<Operation>, GraphqlError> {
    operations(&Request { method: "GET", pairs, media_type: None, body: b"" })
}

fn post(kind: &str, body: &str) -> Result<Vec<Operation>, GraphqlError> {
    let media_type = Some(&media(kind));
    operations(&Request { method: "POST", pairs: &[], media_type, body: body.as_bytes() })
}

fn json(body: &str) -> Result<Vec<Operation>, GraphqlError> {
    post("application/json", body)
}

/// What a document alone means.
fn document(text: &str) -> Result<Operation, GraphqlError> {
    post("application/graphql", text).map(|mut operations| operations.remove(0))
}

fn operation(operation_type: OperationType, name: &str, fields: &[&str]) -> Operation {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Operation::Document { operation_type, name: name.to_owned(), fields }
}

fn query(fields: &[&str]) -> Operation {
    operation(OperationType::Query, "", fields)
}

fn hash(text: &str) -> Operation {
    Operation::Hash(text.to_owned())
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Expects each document to be refused for its reason.
fn refused(cases: &[(&str, GraphqlError)]) {
    for (text, error) in cases {
        assert_eq!(document(text), Err(*error), "{text}");
    }
}

#[test]
fn documents_are_read() {
    for (text, expected) in [
        ("{a}", query(&["a"])),
        ("query { a b }", query(&["a", "b"])),
        (
            "mutation M($x: [Int!]! = [1]) @d(a: {b: $x}) { a(x: $x) @e { b } }",
            operation(OperationType::Mutation, "M", &["a"]),
        ),
        (
            "subscription S { a { ...F } } fragment F on T { b }",
            operation(OperationType::Subscription, "S", &["a"]),
        ),
        ("\u{feff}#{b}\n,,query,Q,{,a,,b,}#", operation(OperationType::Query, "Q", &["a", "b"])),
        (
            "{ query mutation: on fragment __typename }",
            query(&["__typename", "fragment", "on", "query"]),
        ),
        ("{ a(s: \"\\u007d } { b\", t: \"\"\"} \"quoted\" {\"\"\") }", query(&["a"])),
    ] {
        assert_eq!(document(text), Ok(expected), "{text}");
    }
}

#[test]
fn requests_are_read_wherever_they_stand() {
    let expected = Ok(vec![operation(OperationType::Mutation, "M", &["a"])]);
    let text = "query Q {b} mutation M {a}";
    let whole = format!(
        r#"{{"query":{},"operationName":"M","variables":{{"x":{{"query":"y"}}}},"extensions":{{"e":1}}}}"#,
        quoted(text)
    );
    assert_eq!(json(&whole), expected);
    assert_eq!(post("application/json; charset=utf-8", &format!("[{whole}]")), expected);
    let pairs = [
        ("query", text),
        ("operationName", "M"),
        ("variables", r#"{"x":1}"#),
        ("extensions", ""),
        ("access_token", "t"),
    ];
    assert_eq!(get(&pairs), expected);
    let nulls =
        r#"{"query":"{a}","operationName":null,"variables":null,"extensions":null,"id":null}"#;
    assert_eq!(json(nulls), Ok(vec![query(&["a"])]));
    assert_eq!(json(r#"{"query":"{a}","operationName":""}"#), Ok(vec![query(&["a"])]));
    assert_eq!(json(r#"[{"query":"{a}"},{"id":"x"}]"#), Ok(vec![query(&["a"]), hash("x")]));
}

#[test]
fn messages_of_both_subprotocols_are_read() {
    for kind in ["subscribe", "start"] {
        let text =
            format!(r#"{{"id":"1","type":"{kind}","payload":{{"query":"subscription {{a}}"}}}}"#);
        let operations = vec![operation(OperationType::Subscription, "", &["a"])];
        assert_eq!(message(&text), Message { operations, control: false });
    }
    for text in [
        r#"{"type":"connection_init"}"#,
        r#"{"type":"connection_init","payload":{"token":"x"}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"pong","payload":null}"#,
        r#"{"type":"complete","id":"1"}"#,
        r#"{"type":"stop","id":"1"}"#,
        r#"{"type":"connection_terminate","payload":null}"#,
    ] {
        assert_eq!(message(text), Message { operations: Vec::new(), control: true }, "{text}");
    }
}

#[test]
fn h01_other_messages_are_neither() {
    for text in [
        "",
        "ping",
        "[]",
        "1",
        r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
        r#"{"type":"subscribe","id":"1","payload":[{"query":"{a}"}]}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a"}}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"start","id":"1","payload":{"query":"{a}","Query":"{b}"}}"#,
        r#"{"type":"ping","type":"start"}"#,
        r#"{"type":"ping","Type":"start"}"#,
        r#"{"type":"ping","query":"{a}"}"#,
        r#"{"type":"ping","id":"1"}"#,
        r#"{"type":"ping","payload":"x"}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"complete","id":""}"#,
        r#"{"type":"complete","id":"1","payload":{"query":"{a}"}}"#,
        r#"{"type":"next","id":"1"}"#,
        r#"{"type":"Ping"}"#,
        r#"{"type":1}"#,
        r#"{"id":"1"}"#,
        "{\"type\":\"ping\"}x",
        "\u{feff}{\"type\":\"ping\"}",
    ] {
        assert_eq!(message(text), Message::default(), "{text}");
    }
}

const PIECES: [&str; 30] = [
    "{",
    "}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "!",
    "$",
    "@",
    "...",
    "...F",
    "... on T",
    "a",
    "b",
    "on",
    "query",
    "mutation",
    "subscription",
    "fragment F on T",
    "fragment",
    "\"",
    "\"\"\"",
    "\\u{41}",
    "#",
    "\n",
    "ä",
    "1.5",
];

proptest! {
    #[test]
    fn any_document_is_read_or_refused(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24),
    ) {
        let text = pieces.join(" ");
        if let Ok(Operation::Document { fields, .. }) = document(&text) {
            prop_assert!(!fields.is_empty(), "{text}");
            prop_assert!(fields.is_sorted_by(|before, after| before < after));
        }
        let _message = message(&text);
        let _pairs = get(&[("query", &text), ("variables", &text)]);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _document = document(&text);
    }
}
