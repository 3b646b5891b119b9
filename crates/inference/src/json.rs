//! Putting the route's model into the body of a call.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use openshell_types::ModelProtocol;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::operation::Operation;
use crate::refused::Refused;

/// The body that goes to the backend: the members of the caller's in their order, and `model` is the
/// route's. SECURITY: H2, H8; what two readers could take for two different things is refused.
pub(crate) fn with_model(
    operation: Operation,
    model: &str,
    body: &[u8],
) -> Result<Vec<u8>, Refused> {
    let text =
        std::str::from_utf8(body).map_err(|_| Refused::Json("it is not UTF-8".to_owned()))?;
    object(operation, model, text, Depth::Call)
}

/// Which object is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Call,
    /// The call within one that counts its tokens, which has none within it.
    Inner,
}

fn object(operation: Operation, model: &str, text: &str, depth: Depth) -> Result<Vec<u8>, Refused> {
    let members: Members<'_> = read(text)?;
    let protocol = operation.protocol();
    for (name, value) in &members.0 {
        check(operation, name, value)?;
    }
    let mut out =
        Out { text: String::with_capacity(text.len() + model.len() + 16), is_empty: true };
    out.text.push('{');
    let has_model = members.0.iter().any(|(name, _)| name == MODEL);
    let forced = match protocol {
        ModelProtocol::OpenAi | ModelProtocol::Anthropic => quoted(model),
        // A resource's name there; most calls have it in their path alone.
        ModelProtocol::Gemini => quoted(&format!("models/{model}")),
    };
    if !has_model && protocol != ModelProtocol::Gemini {
        out.member(MODEL, &forced);
    }
    for (name, value) in &members.0 {
        match name.as_ref() {
            MODEL => out.member(MODEL, &forced),
            INNER if protocol == ModelProtocol::Gemini => {
                // SECURITY: H2; a body of such objects alone would cost a frame of the stack for each.
                if depth == Depth::Inner {
                    let why = "it stands within itself";
                    return Err(Refused::Member { member: INNER, why });
                }
                let inner = object(operation, model, value.get(), Depth::Inner)?;
                out.member(INNER, &String::from_utf8_lossy(&inner));
            }
            name => out.member(name, value.get()),
        }
    }
    out.text.push('}');
    Ok(out.text.into_bytes())
}

const MODEL: &str = "model";

/// Where a call that counts tokens has the call that it counts for.
const INNER: &str = "generateContentRequest";

/// Checks one member of a call's object.
fn check(operation: Operation, name: &str, value: &RawValue) -> Result<(), Refused> {
    let is = |member: &str| is_alike(name, member);
    let refuse = |member, why| Err(Refused::Member { member, why });
    // Some servers do not tell upper case from lower case here.
    if is(MODEL) && name != MODEL {
        return refuse(
            MODEL,
            "it is written in another case, and servers differ in what that means",
        );
    }
    // Gemini's servers know each member by two names, and those with `_` would be passed on unread.
    if operation.protocol() == ModelProtocol::Gemini && name != INNER && is(INNER) {
        return refuse(INNER, "write it so, and not in another way");
    }
    // The second is what some routers of models of that protocol take.
    for several in ["models", "fallbacks"] {
        if operation.protocol() == ModelProtocol::OpenAi && is(several) {
            return refuse(several, "which model answers is not the caller's choice");
        }
    }
    // SECURITY: H9; its answer would be fetched by a request that is no call.
    if operation == Operation::Responses && is("background") && is_set(value) {
        return refuse("background", "calls in the background are not routed");
    }
    if is("tools") {
        let tools: Option<Vec<&RawValue>> = read(value.get())?;
        for tool in tools.into_iter().flatten().filter(|tool| tool.get().starts_with('{')) {
            let tool: Members<'_> = read(tool.get())?;
            if tool.0.iter().any(|(name, _)| is_alike(name, MODEL)) {
                return refuse("tools", "a tool there names a model of its own");
            }
        }
    }
    Ok(())
}

/// Whether some server takes `name` for `member`, which is ASCII: some do not tell cases from each
/// other, as Unicode has them, and some not `generate_content` from `generateContent`.
fn is_alike(name: &str, member: &str) -> bool {
    let folded = name.chars().filter(|c| *c != '_').map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(member.chars().map(|c| c.to_ascii_lowercase()))
}

fn is_set(value: &RawValue) -> bool {
    !matches!(value.get(), "false" | "null")
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refused> {
    serde_json::from_str(text).map_err(|error| {
        // The place alone: what stands there is content.
        let what = if error.is_data() { "what stands" } else { "the syntax" };
        Refused::Json(format!(
            "{what} in line {}, column {} is wrong",
            error.line(),
            error.column()
        ))
    })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object that is being written.
struct Out {
    text: String,
    is_empty: bool,
}

impl Out {
    fn member(&mut self, name: &str, value: &str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.text.push(',');
        }
        self.text.push_str(&quoted(name));
        self.text.push(':');
        self.text.push_str(value);
    }
}

/// The members of an object in their order; none stands twice.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom("a member stands twice"));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// A name that is copied only if it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(operation: Operation, body: &str) -> Result<String, Refused> {
        let out = with_model(operation, "ours", body.as_bytes())?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn h08_the_model_is_the_routes() {
        for (operation, body, expected) in [
            (Operation::Messages, r#"{"model":"a","x":[1, 2]}"#, r#"{"model":"ours","x":[1, 2]}"#),
            (Operation::Messages, r#"{"x":1, "model" : {"a":1} }"#, r#"{"x":1,"model":"ours"}"#),
            (Operation::ChatCompletions, r#"{"mod\u0065l":"a"}"#, r#"{"model":"ours"}"#),
            (Operation::Responses, r#"{"input":"x"}"#, r#"{"model":"ours","input":"x"}"#),
            (Operation::Embeddings, "{}", r#"{"model":"ours"}"#),
            (Operation::GenerateContent, r#"{"contents":[]}"#, r#"{"contents":[]}"#),
            (Operation::GenerateContent, r#"{"model":"models/a"}"#, r#"{"model":"models/ours"}"#),
            (
                Operation::CountTokens,
                r#"{"generateContentRequest":{"model":"models/a","c":1}}"#,
                r#"{"generateContentRequest":{"model":"models/ours","c":1}}"#,
            ),
        ] {
            assert_eq!(written(operation, body).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn h08_a_second_model_is_refused() {
        for body in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","mod\u0065l":"b"}"#,
            r#"{"model":"a","Model":"b"}"#,
            r#"{"MODEL":"b"}"#,
            r#"{"models":["b"]}"#,
            r#"{"fallbacks":["b"]}"#,
            r#"{"tools":[{"type":"image_generation","model":"b"}]}"#,
            r#"{"tools":[{"type":"x"},{"MODEL":"b"}]}"#,
            r#"{"tools":{"model":"b"}}"#,
            r#"{"background":true}"#,
            r#"{"Background":1}"#,
        ] {
            assert!(written(Operation::Responses, body).is_err(), "{body}");
        }
        let nested = r#"{"generateContentRequest":{"model":"a","model":"b"}}"#;
        assert!(written(Operation::CountTokens, nested).is_err());
    }

    #[test]
    fn h08_a_second_model_by_another_spelling_is_refused() {
        for (operation, body) in [
            (Operation::CountTokens, r#"{"generate_content_request":{"model":"models/b"}}"#),
            (Operation::CountTokens, r#"{"GenerateContentRequest":{"model":"models/b"}}"#),
            (
                Operation::CountTokens,
                r#"{"generateContentRequest":{"generate_content_request":{"model":"models/b"}}}"#,
            ),
            (Operation::ChatCompletions, "{\"model\u{17f}\":[\"b\"]}"),
            (Operation::ChatCompletions, r#"{"model_\u017f":["b"]}"#),
            (Operation::Responses, "{\"bac\u{212a}ground\":true}"),
            (Operation::Responses, "{\"tool\u{17f}\":[{\"model\":\"b\"}]}"),
        ] {
            assert!(written(operation, body).is_err(), "{body}");
        }
    }

    #[test]
    fn h02_a_call_within_a_call_within_a_call_is_refused() {
        for levels in [2, 100_000] {
            let (open, close) = (r#"{"generateContentRequest":"#, "}");
            let body = format!("{}{{}}{}", open.repeat(levels), close.repeat(levels));
            let refused = written(Operation::CountTokens, &body);
            assert!(matches!(refused, Err(Refused::Member { .. })), "{levels}");
        }
    }

    #[test]
    fn what_is_no_second_model_passes() {
        for body in [
            r#"{"tools":null}"#,
            r#"{"tools":[]}"#,
            r#"{"tools":[{"type":"function","function":{"parameters":{"model":"string"}}}]}"#,
            r#"{"background":false}"#,
            r#"{"background":null}"#,
            r#"{"messages":[{"content":"{\"model\":\"x\"}"}]}"#,
        ] {
            assert!(written(Operation::Responses, body).is_ok(), "{body}");
        }
    }

    #[test]
    fn h02_what_is_no_strict_json_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "\"x\"",
            "{\"a\":1} {\"model\":\"b\"}",
            "{\"a\":1,}",
            "{'a':1}",
            "\u{feff}{}",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"a\":\"\n\"}",
            "{\"a\":1",
            "{/**/}",
        ] {
            let refused = written(Operation::Messages, body);
            assert!(matches!(refused, Err(Refused::Json(_))), "{body:?}: {refused:?}");
        }
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(with_model(Operation::Messages, "ours", &utf16).is_err());
        assert!(with_model(Operation::Messages, "ours", b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn an_error_tells_no_content() {
        let refused = written(Operation::Messages, r#"{"prompt":"secret words", "secret words"}"#);
        let text = refused.expect_err("it is no JSON").to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    proptest! {
        #[test]
        fn nothing_but_the_model_changes(
            members in prop::collection::btree_map("[a-z\"\\\\é]{1,6}", "\\PC{0,8}", 0..6),
            model in prop::option::of("\\PC{0,8}"),
        ) {
            prop_assume!(!members.keys().any(|name| ["model", "models", "tools"].contains(&name.as_str())));
            let mut object: serde_json::Map<String, serde_json::Value> =
                members.into_iter().map(|(name, value)| (name, value.into())).collect();
            if let Some(model) = model {
                object.insert("model".to_owned(), model.into());
            }
            let body = serde_json::to_string(&object).expect("JSON");
            let out = written(Operation::Messages, &body).expect("it is a call");
            let mut read: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&out).expect("what was written is JSON");
            prop_assert_eq!(read.remove("model"), Some("ours".into()));
            object.remove("model");
            prop_assert_eq!(read, object);
        }
    }
}
