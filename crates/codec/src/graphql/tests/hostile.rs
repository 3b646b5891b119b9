//! The cases of the list of hostile inputs.

use super::*;

#[test]
fn h01_aliases_are_resolved() {
    assert_eq!(document("{ viewer: deleteAll, x: b }"), Ok(query(&["b", "deleteAll"])));
}

#[test]
fn h01_fragments_are_followed_at_the_root() {
    for (text, fields) in [
        ("{ ...F } fragment F on Query { evil }", &["evil"][..]),
        ("{ ... { evil } ... on Query @x { b } a }", &["a", "b", "evil"]),
        (
            "{ ...F } fragment G on Query { x: evil } fragment F on Query { a ...G ...G }",
            &["a", "evil"],
        ),
        ("{ a { ...F } } fragment F on T { evil }", &["a"]),
        ("{ a @skip(if: true) b @include(if: false) }", &["a", "b"]),
    ] {
        assert_eq!(document(text), Ok(query(fields)), "{text}");
    }
    refused(&[
        ("{ ...F }", GraphqlError::UnknownFragment),
        ("{ ...F } fragment F on Q { ...G }", GraphqlError::UnknownFragment),
        ("{ ...F } fragment F on Q { a ...F }", GraphqlError::FragmentCycle),
        (
            "{ ...F } fragment F on Q { ...G } fragment G on Q { ... { ...F } }",
            GraphqlError::FragmentCycle,
        ),
        ("{ ...F } fragment F on Q { a } fragment F on Q { b }", GraphqlError::Duplicate),
    ]);
}

#[test]
fn h01_it_is_plain_which_operation_is_meant() {
    let named = |name: &str, text: &str| {
        json(&format!(r#"{{"query":{},"operationName":{name}}}"#, quoted(text)))
    };
    let two = "query A {a} mutation B {b}";
    assert_eq!(named("\"A\"", two), Ok(vec![operation(OperationType::Query, "A", &["a"])]));
    assert_eq!(named("\"B\"", two), Ok(vec![operation(OperationType::Mutation, "B", &["b"])]));
    for (name, text) in [
        ("null", two),
        ("\"\"", two),
        ("\"a\"", two),
        ("\"C\"", two),
        ("\"A\"", "{a}"),
        ("\"F\"", "query A {a} fragment F on Query {b}"),
        ("null", "fragment F on Query {b}"),
    ] {
        assert_eq!(named(name, text), Err(GraphqlError::Operation), "{name} {text}");
    }
    refused(&[
        ("{a} mutation B {b}", GraphqlError::Duplicate),
        ("{a} {b}", GraphqlError::Duplicate),
        ("query A {a} query A {b}", GraphqlError::Duplicate),
        ("query A {a} mutation A {b}", GraphqlError::Duplicate),
    ]);
}

#[test]
fn h01_a_hash_is_the_hash_of_its_document() {
    let persisted =
        |hash: &str| format!(r#"{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}"#);
    let own = persisted(&sha256("{a}"));
    let other = persisted(&sha256("mutation {b}"));
    assert_eq!(get(&[("query", "{a}"), ("extensions", &own)]), Ok(vec![query(&["a"])]));
    assert_eq!(get(&[("query", "{a}"), ("extensions", &other)]), Err(GraphqlError::OtherHash));
    assert_eq!(get(&[("extensions", &own)]), Ok(vec![hash(&sha256("{a}"))]));
    let upper = persisted(&sha256("{a}").to_uppercase());
    assert_eq!(get(&[("query", "{a}"), ("extensions", &upper)]), Err(GraphqlError::OtherHash));
    assert_eq!(get(&[("query", "{a} "), ("extensions", &own)]), Err(GraphqlError::OtherHash));
    assert_eq!(
        json(&format!(r#"{{"query":"","extensions":{own}}}"#)),
        Ok(vec![hash(&sha256("{a}"))])
    );
    // Refused for itself, too.
    assert_eq!(get(&[("query", "{a"), ("extensions", &own)]), Err(GraphqlError::Syntax));
}

#[test]
fn h01_an_id_is_not_beside_another_document() {
    for name in ["id", "documentId", "doc_id"] {
        assert_eq!(get(&[(name, "42")]), Ok(vec![hash("42")]));
        assert_eq!(json(&format!(r#"{{"{name}":"42","variables":{{}}}}"#)), Ok(vec![hash("42")]));
        let both = format!(r#"{{"{name}":"42","query":"{{a}}"}}"#);
        assert_eq!(json(&both), Err(GraphqlError::OtherHash));
    }
    assert_eq!(json(r#"{"doc_id":42}"#), Ok(vec![hash("42")]));
    assert_eq!(json(r#"{"doc_id":"1","id":"2"}"#), Err(GraphqlError::OtherHash));
    assert_eq!(json(r#"{"doc_id":"1","id":"1"}"#), Ok(vec![hash("1")]));
    assert_eq!(
        json(r#"{"doc_id":"1","extensions":{"persistedQuery":{"sha256Hash":"2"}}}"#),
        Err(GraphqlError::OtherHash)
    );
}

#[test]
fn h01_malformed_hashes_are_refused() {
    for (extensions, error) in [
        (r#"{"persistedQuery":{}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"version":1}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"sha256Hash":""}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"sha256Hash":"a b"}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"sha256Hash":"a\u0000"}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"sha256Hash":"ä"}}"#, GraphqlError::Hash),
        (r#"{"persistedQuery":{"sha256Hash":1}}"#, GraphqlError::Type),
        (r#"{"persistedQuery":"x"}"#, GraphqlError::Type),
        (r#"{"persistedQuery":{"sha256Hash":"a","md5Hash":"b"}}"#, GraphqlError::Member),
        (r#"{"persistedquery":{"sha256Hash":"a"}}"#, GraphqlError::Ambiguous),
        (r#"{"persistedQuery":null}"#, GraphqlError::NoDocument),
        (r#"{"a":1,"a":2}"#, GraphqlError::Json(JsonError::DuplicateName)),
        ("[]", GraphqlError::Type),
        ("{", GraphqlError::Json(JsonError::Syntax)),
    ] {
        assert_eq!(get(&[("extensions", extensions)]), Err(error), "{extensions}");
    }
    let long = "a".repeat(257);
    assert_eq!(get(&[("id", &long)]), Err(GraphqlError::Hash));
}

#[test]
fn h01_comments_and_strings_end_where_they_should() {
    for (text, fields) in [
        ("{ a # } {\r b\r\n#}\n}", &["a", "b"][..]),
        ("{ a(x: \"#\") b(x: \"\\\"\") }", &["a", "b"]),
        (r#"{ a(x: """ \""" b """) c(x: """""") d }"#, &["a", "c", "d"]),
        (r#"{ a(x: """ \\""" b "" " \n""") c(x: "") d }"#, &["a", "c", "d"]),
        ("{ a(x: \"\"\"\n\"\"\") b }", &["a", "b"]),
    ] {
        assert_eq!(document(text), Ok(query(fields)), "{text}");
    }
    refused(&[
        (r#"{ a(x: """b"""") }"#, GraphqlError::Syntax),
        (r#"{ a(x: """b\""") }"#, GraphqlError::Syntax),
        ("{ a # }", GraphqlError::Syntax),
    ]);
}

#[test]
fn h01_what_is_no_executable_document_is_refused() {
    refused(&[
        ("", GraphqlError::Syntax),
        (" # x", GraphqlError::Syntax),
        ("{}", GraphqlError::Syntax),
        ("{a", GraphqlError::Syntax),
        ("{a}}", GraphqlError::Syntax),
        ("{a {}}", GraphqlError::Syntax),
        ("{a: b: c}", GraphqlError::Syntax),
        ("query", GraphqlError::Syntax),
        ("Query {a}", GraphqlError::Syntax),
        ("query {a} x", GraphqlError::Syntax),
        ("{...}", GraphqlError::Syntax),
        ("{a} fragment on on Q {a}", GraphqlError::Syntax),
        ("{a} fragment F {a}", GraphqlError::Syntax),
        ("{a(x: \"\n\")}", GraphqlError::Syntax),
        ("{a(x: \"\r) {b} #\")}", GraphqlError::Syntax),
        ("{a(x: \"b\n\")}", GraphqlError::Syntax),
        ("{a(x: \"\\q\")}", GraphqlError::Syntax),
        ("{ä}", GraphqlError::Syntax),
        ("{a\u{0}}", GraphqlError::Syntax),
        ("{a\u{a0}b}", GraphqlError::Syntax),
        ("{a\u{ff5d}", GraphqlError::Syntax),
        ("\"x\" {a}", GraphqlError::Syntax),
        ("{a} type T {b: Int}", GraphqlError::Definition),
        ("{a} extend type Query {b: Int}", GraphqlError::Definition),
        ("schema {query: Q}", GraphqlError::Definition),
    ]);
}

#[test]
fn g10_a_get_is_read_as_well() {
    let mutation = operation(OperationType::Mutation, "", &["a"]);
    assert_eq!(get(&[("query", "mutation {a}")]), Ok(vec![mutation]));
    assert_eq!(get(&[]), Err(GraphqlError::NoDocument));
    for pairs in [
        &[("query", "{a}"), ("query", "{a}")][..],
        &[("query", "{a}"), ("Query", "{b}")],
        &[("query", "{a}"), ("query[]", "{b}")],
        &[("query", "{a}"), ("query[0]", "{b}")],
        &[("query", "{a}"), (" query", "{b}")],
        &[("query", "{a}"), ("operationname", "B")],
        &[("query", "{a}"), ("doc.id", "1")],
        &[("extensions", "{}"), ("extensions", "")],
    ] {
        assert_eq!(get(pairs), Err(GraphqlError::Ambiguous), "{pairs:?}");
    }
    for pairs in [("variables", "[]"), ("variables", "1"), ("extensions", "\"x\"")] {
        assert_eq!(get(&[("query", "{a}"), pairs]), Err(GraphqlError::Type), "{pairs:?}");
    }
    let request =
        Request { method: "GET", pairs: &[("query", "{a}")], media_type: None, body: b"{}" };
    assert_eq!(operations(&request), Err(GraphqlError::Body));
    for method in ["HEAD", "get", "PUT", "QUERY", "OPTIONS"] {
        let request = Request { method, body: b"", ..request };
        assert_eq!(operations(&request), Err(GraphqlError::Method), "{method}");
    }
}

#[test]
fn g10_a_post_says_nothing_in_its_target() {
    let media_type = media("application/json");
    let with = |pairs: &[(&str, &str)]| {
        let body = br#"{"query":"{a}"}"#;
        operations(&Request { method: "POST", pairs, media_type: Some(&media_type), body })
    };
    assert_eq!(with(&[("v", "1")]), Ok(vec![query(&["a"])]));
    for pair in
        [("query", "{a}"), ("query", ""), ("id", "1"), ("operationName", ""), ("variables", "{}")]
    {
        assert_eq!(with(&[pair]), Err(GraphqlError::Target), "{pair:?}");
    }
    assert_eq!(with(&[("QUERY", "{b}")]), Err(GraphqlError::Ambiguous));
}

#[test]
fn h02_a_body_is_strict_json() {
    for (body, error) in [
        (r#"{"query":"{a}","query":"{b}"}"#, GraphqlError::Json(JsonError::DuplicateName)),
        (r#"{"query":"{a}"} "#, GraphqlError::NoDocument),
        (r#"{"query":"{a}"}{}"#, GraphqlError::Json(JsonError::Syntax)),
        (r#"{"query":"{a}","Query":"{b}"}"#, GraphqlError::Member),
        (r#"{"query":"{a}","mutation":"{b}"}"#, GraphqlError::Member),
        (r#"{"query":["{a}"]}"#, GraphqlError::Type),
        (r#"{"query":1}"#, GraphqlError::Type),
        (r#"{"query":"{a}","operationName":1}"#, GraphqlError::Type),
        (r#"{"query":"{a}","variables":"{}"}"#, GraphqlError::Type),
        (r#"{"query":"{a}","extensions":[]}"#, GraphqlError::Type),
        (r#"{"id":true}"#, GraphqlError::Type),
        (r#"{"query":null}"#, GraphqlError::NoDocument),
        ("{}", GraphqlError::NoDocument),
        ("[]", GraphqlError::EmptyBatch),
        ("[1]", GraphqlError::Shape),
        (r#"[[{"query":"{a}"}]]"#, GraphqlError::Shape),
        (r#""{a}""#, GraphqlError::Shape),
        ("", GraphqlError::Json(JsonError::Syntax)),
    ] {
        // White space behind the value is JSON.
        let expected = if body.ends_with(' ') { Ok(vec![query(&["a"])]) } else { Err(error) };
        assert_eq!(json(body), expected, "{body}");
    }
    let batch = |count: usize| json(&format!("[{}]", vec![r#"{"query":"{a}"}"#; count].join(",")));
    assert_eq!(batch(BATCH).map(|operations| operations.len()), Ok(BATCH));
    assert_eq!(batch(BATCH + 1), Err(GraphqlError::LongBatch));
    assert_eq!(json(r#"[{"query":"{a}"},{"query":"{a"}]"#), Err(GraphqlError::Syntax));
}

#[test]
fn h03_json_that_says_to_be_something_else_is_refused() {
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/graphql; charset=latin1",
        "application/graphql-response+json",
    ] {
        assert_eq!(post(kind, r#"{"query":"{a}"}"#), Err(GraphqlError::MediaType), "{kind}");
    }
    let body = br#"{"query":"{a}"}"#;
    let request = Request { method: "POST", pairs: &[], media_type: None, body };
    assert_eq!(operations(&request), Err(GraphqlError::MediaType));
    let media_type = media("application/graphql");
    let request = Request { media_type: Some(&media_type), body: b"{a\xff}", ..request };
    assert_eq!(operations(&request), Err(GraphqlError::Encoding));
}

#[test]
fn n06_large_and_deep_documents_are_refused() {
    let nested = |depth: usize| format!("{}a{}", "{a".repeat(depth - 1) + "{", "}".repeat(depth));
    assert!(document(&nested(DEPTH)).is_ok());
    assert_eq!(document(&nested(DEPTH + 1)), Err(GraphqlError::TooLarge));
    for (opening, unit) in
        [("", "{a"), ("{", "...{"), ("{a(x:", "["), ("{a(x:", "{x:"), ("query($x:", "["), ("", "{")]
    {
        let deep = format!("{opening}{}", unit.repeat(20_000));
        assert!(
            matches!(document(&deep), Err(GraphqlError::TooLarge | GraphqlError::Syntax)),
            "{opening} {unit}"
        );
    }
    assert_eq!(
        document(&format!("{{a}}{}", " ".repeat(DOCUMENT_BYTES))),
        Err(GraphqlError::TooLarge)
    );
    assert_eq!(document(&format!("{{{}}}", "a,".repeat(TOKENS))), Err(GraphqlError::TooLarge));
    let chain: String =
        (0..DEPTH).map(|n| format!("fragment F{n} on Q {{...F{}}}", n + 1)).collect();
    assert_eq!(document(&format!("{{...F0}}{chain}")), Err(GraphqlError::TooLarge));
}

#[test]
fn n06_the_work_is_that_of_reading() {
    // Each fragment uses the next one twice: followed as often as it is used, 2^40 fields.
    let doubling: String =
        (0..40).map(|n| format!("fragment F{n} on Q {{...F{0} ...F{0}}}", n + 1)).collect();
    let doubling = format!("{{...F0}}{doubling}fragment F40 on Q {{a}}");
    assert_eq!(document(&doubling), Ok(query(&["a"])));
    let size = DOCUMENT_BYTES - 1024;
    let fill = |unit: &str| unit.repeat(size / unit.len());
    for text in [
        fill("#\n"),
        fill("#"),
        fill(","),
        fill("\""),
        fill("\"\"\""),
        fill("\"a\" "),
        fill("\\"),
        fill("ä"),
        fill("a "),
        fill("} "),
        fill("query "),
        fill("fragment "),
        fill("{a}"),
        fill("extend "),
        format!("{{{}", fill("... ")),
        format!("{{{}", fill("...#\n")),
        format!("{{{}", fill("a:")),
        format!("{{{}", fill("a#\n:")),
        format!("{{{}", fill("a@b ")),
        format!("{{a(x:\"{}\")}}", fill("\\u0041")),
        format!("{{a(x:\"\"\"{}\"\"\")}}", fill("\\\"\"\"")),
        format!("{{a(x:\"\"\"{}\"\"\")}}", fill(" \n")),
        format!("{{{}}}", fill("...on Q{a}")),
        format!("{{a {}}}", fill("#x\n")),
    ] {
        let before = Instant::now();
        let _read = document(&text);
        let start = &text.chars().take(20).collect::<String>();
        assert!(before.elapsed() < Duration::from_secs(4), "{start} {:?}", before.elapsed());
    }
}
