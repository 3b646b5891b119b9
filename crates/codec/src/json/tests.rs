use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Json, JsonError> {
    Json::parse(text.as_bytes())
}

fn refused(error: JsonError, texts: &[&str]) {
    for text in texts {
        assert_eq!(read(text), Err(error), "{text}");
    }
}

fn number(text: &str) -> Json {
    Json::Number(Number(text.to_owned()))
}

#[test]
fn values_are_read() {
    let object =
        read(r#" {"a": [null, true, -0.10e+2, "\u0041\ud83d\ude00\n"], "": {}} "#).unwrap();
    let items =
        vec![Json::Null, Json::Bool(true), number("-0.10e+2"), Json::String("A😀\n".into())];
    let object = object.as_object().unwrap();
    assert_eq!(object.get("a"), Some(&Json::Array(items)));
    assert_eq!(object.get(""), Some(&Json::Object(Object::default())));
    assert_eq!(object.get("b"), None);
    assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", ""]);
    assert_eq!(read("\"x\"").unwrap().as_str(), Some("x"));
}

#[test]
fn numbers_keep_their_text() {
    for text in ["0", "-0", "0.0e5", "1.0", "10e-1", "12345678901234567890123", "0.1000", "5e-324"]
    {
        assert_eq!(read(text), Ok(number(text)));
    }
}

#[test]
fn h02_a_name_twice_is_refused_after_unescaping() {
    refused(
        JsonError::DuplicateName,
        &[
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"[{"x":{"":1,"":2}}]"#,
            r#"{"\ud83d\ude00":1,"😀":2}"#,
        ],
    );
    assert!(read(r#"[{"a":1},{"a":{"a":2}},{"A":1,"a":2}]"#).is_ok());
}

#[test]
fn h02_nothing_may_follow_the_value() {
    let texts = ["1 2", "{}{}", "{} x", "[],", "null\0", "{}//", "{}\u{a0}", "{}\u{feff}"];
    refused(JsonError::Syntax, &texts);
}

#[test]
fn h02_other_encodings_are_refused() {
    refused(JsonError::ByteOrderMark, &["\u{feff}{}"]);
    let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Json::parse(&utf16), Err(JsonError::Syntax));
    for bytes in
        [&b"\xff\xfe{\0}\0"[..], b"\"\xc0\xae\"", b"\"\xed\xa0\x80\"", b"\"\xff\"", b"{}\xff"]
    {
        assert_eq!(Json::parse(bytes), Err(JsonError::Encoding));
    }
}

#[test]
fn h02_numbers_out_of_range_are_refused() {
    refused(JsonError::Number, &["1e999", "[-1e309]", "1e-999", "0.0001e-400"]);
    refused(JsonError::Number, &["1".repeat(NUMBER_CHARS + 1).as_str()]);
    assert!(read(&"1".repeat(NUMBER_CHARS)).is_ok());
    refused(
        JsonError::Syntax,
        &["NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "0x10", "-", "1e", "1_0", "--1"],
    );
}

#[test]
fn h02_deep_nesting_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(64)).is_ok());
    refused(JsonError::Depth, &[&nested(65), &"[".repeat(1_000_000), &"{\"a\":".repeat(1_000_000)]);
}

#[test]
fn h02_too_many_values_are_refused() {
    let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert!(read(&zeros(VALUES - 1)).is_ok());
    refused(JsonError::Values, &[&zeros(VALUES)]);
}

#[test]
fn h02_halves_of_surrogate_pairs_are_refused() {
    refused(
        JsonError::Syntax,
        &[
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\udc00\ud800""#,
            r#"{"\ud800":1}"#,
        ],
    );
}

#[test]
fn what_only_some_readers_take_is_refused() {
    refused(
        JsonError::Syntax,
        &[
            "",
            " ",
            "{a:1}",
            "{'a':1}",
            "['a']",
            "[1,]",
            "{\"a\":1,}",
            "[,1]",
            "[1 2]",
            "/**/1",
            "#x\n1",
            "\"\t\"",
            "\"\n\"",
            "\"\0\"",
            r#""\x41""#,
            r#""\a""#,
            r#""\u12""#,
            "True",
            "nul",
            "undefined",
            "{1:2}",
            "{\"a\"}",
            "{\"a\" 1}",
            "[",
            "{",
            "\"a",
            "\u{c}1",
            "\u{2028}1",
            "tru",
            "[1}",
            "{]",
        ],
    );
}

#[test]
fn an_object_with_the_name_of_a_reader_is_an_object() {
    let names = ["$serde_json::private::Number", "$serde_json::private::RawValue"];
    for name in names {
        let json = read(&format!("{{\"{name}\": \"1\"}}")).unwrap();
        assert_eq!(json.as_object().and_then(|object| object.get(name)?.as_str()), Some("1"));
    }
}

/// What another reader makes of it; numbers as doubles.
fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::Number(ours), Value::Number(theirs)) => {
            ours.as_str().parse::<f64>().ok() == theirs.as_f64()
        }
        (Json::String(ours), Value::String(theirs)) => ours == theirs,
        (Json::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, two)| same(one, two))
        }
        (Json::Object(ours), Value::Object(theirs)) => {
            ours.iter().count() == theirs.len()
                && ours
                    .iter()
                    .all(|(name, value)| theirs.get(name).is_some_and(|two| same(value, two)))
        }
        _ => false,
    }
}

const PIECES: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"",
    "\\",
    "\\ud83d\\ude00",
    "\\ud800",
    "1",
    "-",
    "0",
    ".5",
    "e9",
    "e999",
    "1.5",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\u{feff}",
    "ä",
    "\0",
    "{\"a\":1}",
    "[1,2]",
    "{\"a\":[",
    "NaN",
];

proptest! {
    #[test]
    fn what_is_read_reads_the_same_elsewhere(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
    ) {
        let text = pieces.concat();
        if let Ok(ours) = read(&text) {
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(same(&ours, &theirs), "{text}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _read = Json::parse(&bytes);
    }
}
