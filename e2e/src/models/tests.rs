use openshell_testkit::http::{Body, Request, Response};
use serde_json::{Value, json};

use super::{Model, Vendor};

const COMMAND: &str = "echo it";

fn ask(vendor: Vendor, target: &str, key: &str, body: &Value) -> Response {
    let (name, before) = vendor.credential();
    let headers = vec![(name.to_owned(), format!("{before}{key}"))];
    let (method, target) = ("POST".to_owned(), target.to_owned());
    let request = Request { method, target, headers, body: body.to_string().into_bytes() };
    let file = tempfile::NamedTempFile::new().unwrap();
    let response = Model::new(vendor, "right", COMMAND, file.path()).answer(&request);
    let line: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
    assert_eq!((&line["status"], &line["body"]), (&json!(response.status), body));
    response
}

/// The body of an answer, and of a streamed one the events' data.
fn said(response: Response) -> String {
    match response.body {
        Body::Whole(bytes) => String::from_utf8(bytes).unwrap(),
        Body::Chunks(chunks) => String::from_utf8(chunks.concat()).unwrap(),
    }
}

#[test]
fn a_wrong_key_is_told_in_the_vendors_words() {
    let all = [
        (Vendor::Anthropic, "/v1/messages", 401, "invalid x-api-key"),
        (Vendor::OpenAi, "/v1/responses", 401, "invalid_api_key"),
        (Vendor::Google, "/v1beta/models/m:generateContent", 400, "API key not valid"),
    ];
    for (vendor, target, status, words) in all {
        let response = ask(vendor, target, "wrong", &json!({}));
        assert_eq!(response.status, status);
        assert!(said(response).contains(words));
    }
}

#[test]
fn each_runs_the_command_and_then_tells_the_result() {
    let bash = json!([{ "name": "Bash" }]);
    let result =
        json!([{ "role": "user", "content": [{ "type": "tool_result", "content": "it" }] }]);
    let messages = json!([{ "role": "user", "content": "go" }]);
    let chat = json!([{ "function": { "name": "shell" } }]);
    let gemini = json!([{ "functionDeclarations": [{ "name": "run_shell_command" }] }]);
    let output = json!([{ "type": "function_call_output", "output": "it" }]);
    let function =
        json!([{ "parts": [{ "functionResponse": { "response": { "output": "it" } } }] }]);
    let tool = json!([{ "role": "tool", "content": "it" }]);
    let all = [
        (
            Vendor::Anthropic,
            "/v1/messages?beta=true",
            json!({ "tools": bash, "messages": messages }),
            json!({ "tools": bash, "messages": result }),
        ),
        (
            Vendor::OpenAi,
            "/v1/responses",
            json!({ "tools": [{ "name": "exec_command" }], "input": [] }),
            json!({ "tools": [{ "name": "exec_command" }], "input": output }),
        ),
        (
            Vendor::OpenAi,
            "/v1/responses",
            json!({ "input": [{ "tools": [{ "name": "group", "tools": [{ "name": "exec" }] }] }] }),
            json!({ "input": [{ "type": "custom_tool_call_output", "output": "it" }] }),
        ),
        (
            Vendor::OpenAi,
            "/v1/chat/completions",
            json!({ "tools": chat, "messages": messages }),
            json!({ "tools": chat, "messages": tool }),
        ),
        (
            Vendor::Google,
            "/v1beta/models/m:generateContent",
            json!({ "tools": gemini, "contents": [] }),
            json!({ "tools": gemini, "contents": function }),
        ),
    ];
    for (vendor, target, first, second) in all {
        for stream in [false, true] {
            let target = if stream && vendor == Vendor::Google {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                target
            };
            let of = |body: &Value| {
                let mut body = body.clone();
                body["stream"] = json!(stream);
                said(ask(vendor, target, "right", &body))
            };
            let (first, second) = (of(&first), of(&second));
            assert!(first.contains(COMMAND), "{first}");
            assert!(second.contains("The command printed: it"), "{second}");
            assert_eq!(second.contains("data: "), stream, "{second}");
        }
    }
}

#[test]
fn tokens_are_counted_and_schemas_are_filled() {
    let counted = ask(Vendor::Anthropic, "/v1/messages/count_tokens", "right", &json!({}));
    assert_eq!(said(counted), r#"{"input_tokens":40}"#);
    let counted = ask(Vendor::Google, "/v1beta/models/m:countTokens", "right", &json!({}));
    assert_eq!(said(counted), r#"{"totalTokens":40}"#);
    let schema = json!({ "type": "OBJECT", "properties": { "score": { "type": "INTEGER" } } });
    let body = json!({ "generationConfig": { "responseJsonSchema": schema } });
    let filled = said(ask(Vendor::Google, "/v1beta/models/m:generateContent", "right", &body));
    assert!(filled.contains(r#"{\"score\":1}"#), "{filled}");
}
