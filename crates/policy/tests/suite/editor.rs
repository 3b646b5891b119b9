//! The JSON Schema for editors and the reader know the same keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use openshell_policy::{DEFAULT_TEXT, SCHEMA, parse};
use serde_json::Value;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn keys_of(schema: &Value, place: &str) -> BTreeSet<String> {
    let object = schema.pointer(place).unwrap_or_else(|| panic!("no {place}"));
    assert_eq!(object["additionalProperties"], false, "{place}");
    object["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The keys that the reader names when it refuses one that it does not know.
fn keys_of_reader(text: &str) -> BTreeSet<String> {
    let found = parse(text).diagnostics;
    let unknown = found.iter().find(|finding| finding.code == "P0101");
    let help = unknown.and_then(|finding| finding.help.clone());
    let help = help.unwrap_or_else(|| panic!("no key was refused: {found:#?}\n{text}"));
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn endpoint(text: &str) -> String {
    format!("version: 1\nnetwork_policies: {{ a: {{ endpoints: [{{ {text} }}] }} }}\n")
}

fn clause(protocol: &str) -> String {
    endpoint(&format!("protocol: {protocol}, deny_rules: [{{ zzzzzzzzzzzz: 1 }}]"))
}

#[test]
fn every_key_of_the_schema_is_one_of_the_reader_and_the_other_way_round() {
    let schema = schema();
    let rest = "protocol: rest, deny_rules: [{ query: { q: { zzzzzzzzzzzz: 1 } } }]";
    for (place, text) in [
        ("", "zzzzzzzzzzzz: 1".to_owned()),
        ("/$defs/filesystem", "filesystem_policy: { zzzzzzzzzzzz: 1 }".to_owned()),
        ("/$defs/landlock", "landlock: { zzzzzzzzzzzz: 1 }".to_owned()),
        ("/$defs/process", "process: { zzzzzzzzzzzz: 1 }".to_owned()),
        ("/$defs/rule", "network_policies: { a: { zzzzzzzzzzzz: 1 } }".to_owned()),
        (
            "/$defs/binary",
            "network_policies: { a: { binaries: [{ zzzzzzzzzzzz: 1 }] } }".to_owned(),
        ),
        ("/$defs/endpoint", endpoint("zzzzzzzzzzzz: 1")),
        ("/$defs/allowing", endpoint("protocol: rest, rules: [{ zzzzzzzzzzzz: 1 }]")),
        ("/$defs/any", endpoint(rest)),
        ("/$defs/mcp", endpoint("protocol: mcp, mcp: { zzzzzzzzzzzz: 1 }")),
        ("/$defs/budget", endpoint("budget: { zzzzzzzzzzzz: 1 }")),
        (
            "/$defs/operation",
            endpoint("protocol: graphql, graphql_persisted_queries: { a: { zzzzzzzzzzzz: 1 } }"),
        ),
        (
            "/$defs/endpoint/properties/json_rpc",
            endpoint("protocol: json-rpc, json_rpc: { zzzzzzzzzzzz: 1 }"),
        ),
        (
            "/$defs/endpoint/properties/credential_binding",
            endpoint("credential_binding: { zzzzzzzzzzzz: 1 }"),
        ),
    ] {
        assert_eq!(keys_of(&schema, place), keys_of_reader(&text), "{place}");
    }
    let protocols = ["rest", "websocket", "graphql", "json-rpc", "mcp", "grpc"];
    let fields: BTreeSet<String> =
        protocols.iter().flat_map(|protocol| keys_of_reader(&clause(protocol))).collect();
    assert_eq!(keys_of(&schema, "/$defs/clause"), fields);
}

#[test]
fn every_word_of_the_schema_is_one_of_the_reader() {
    let schema = schema();
    let endpoint_keys = schema.pointer("/$defs/endpoint/properties").unwrap().as_object().unwrap();
    let mut tried = 0;
    for (key, of) in endpoint_keys {
        let Some(words) = of.get("enum").and_then(Value::as_array) else { continue };
        let mut named: BTreeSet<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let protocol = if key == "protocol" { "" } else { "protocol: graphql, " };
        for word in &named {
            let found = parse(&endpoint(&format!("{protocol}{key}: '{word}'"))).diagnostics;
            assert!(found.iter().all(|finding| finding.code != "P0104"), "{key}: {word}");
            tried += 1;
        }
        let found = parse(&endpoint(&format!("{protocol}{key}: zzzzzzzzzzzz"))).diagnostics;
        let refused = found.iter().find(|finding| finding.code == "P0104").unwrap();
        for word in refused.help.as_ref().unwrap().split('`').skip(1).step_by(2) {
            assert!(named.remove(word), "{key}: the schema has no {word}");
        }
        assert!(named.is_empty(), "{key}: the reader does not name {named:?}");
    }
    assert!(tried > 15, "only {tried} words were tried");
}

/// What is wrong with a value, by the part of JSON Schema that the schema uses.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let no = |why: &str| Err(format!("{at}: {why}: {value}"));
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#'));
                check(root, target.unwrap_or_else(|| panic!("no {wanted}")), value, at)?;
            }
            "type" => {
                let kinds = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                let fits = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                if !kinds.iter().any(fits) {
                    return no("of another type");
                }
            }
            "const" if value != wanted => return no("another value"),
            "enum" if !wanted.as_array().unwrap().contains(value) => return no("no word of it"),
            "anyOf" => {
                let any = wanted.as_array().unwrap();
                if !any.iter().any(|one| check(root, one, value, at).is_ok()) {
                    return no("fits none of several");
                }
            }
            "required" => {
                for key in wanted.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        return no(&format!("{key} is missing"));
                    }
                }
            }
            "properties" => {
                let Some(map) = value.as_object() else { continue };
                for (key, inner) in map {
                    match (wanted.get(key), &schema["additionalProperties"]) {
                        (Some(schema), _) => check(root, schema, inner, &format!("{at}/{key}"))?,
                        (None, Value::Bool(false)) => return no(&format!("no key {key}")),
                        (None, _) => {}
                    }
                }
            }
            "additionalProperties" if wanted.is_object() => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    check(root, wanted, inner, &format!("{at}/{key}"))?;
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{at}/{number}"))?;
                }
            }
            "minItems" if value.as_array().is_some_and(Vec::is_empty) => return no("empty"),
            "minProperties" if value.as_object().is_some_and(serde_json::Map::is_empty) => {
                return no("empty");
            }
            "minimum" if value.as_u64() < wanted.as_u64() => return no("too small"),
            "maximum" if value.as_u64() > wanted.as_u64() => return no("too big"),
            _ => {}
        }
    }
    Ok(())
}

fn fits(text: &str) -> Result<(), String> {
    let schema = schema();
    let value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    check(&schema, &schema, &value, "")
}

#[test]
fn policies_that_are_read_fit_the_schema() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut ran = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let text = case["policy"].as_str().unwrap();
        let document = parse(text).document.unwrap();
        for text in [text.to_owned(), document.canonical(), document.formatted()] {
            fits(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
        ran += 1;
    }
    assert!(ran >= 6, "only {ran} case files were found");
    fits(DEFAULT_TEXT).unwrap();
}

#[test]
fn a_text_of_another_shape_does_not_fit() {
    for text in [
        "{}",
        "version: 2",
        "version: 1\nlandlok: {}",
        "version: 1\nnetwork_policies: { a: { endpoints: [{ port: 443 }] } }",
        "version: 1\nnetwork_policies: { a: { endpoints: [{ host: a, port: 70000 }] } }",
        "version: 1\nnetwork_policies: { a: { endpoints: [{ host: a, protocol: sql }] } }",
        "version: 1\nnetwork_policies: { a: { endpoints: [{ host: a, rules: [{ method: GET }] }] } }",
    ] {
        assert!(fits(text).is_err(), "{text}");
    }
}
