//! The Gemini API of Google.

use openshell_testkit::http::Response;
use serde_json::{Value, json};

use super::{Turn, error, events, texts, turn};

/// The shell tool of its clients.
const SHELL: [&str; 1] = ["run_shell_command"];

pub fn answer(path: &str, body: &Value, command: &str) -> Option<Response> {
    // `/v1beta/models/NAME:METHOD`
    let (model, method) = path.rsplit('/').next()?.split_once(':')?;
    let one = |value: Value| Some(Response::json(value.to_string()));
    match method {
        "generateContent" => one(content(model, body, command)),
        "streamGenerateContent" => Some(events(&[content(model, body, command)])),
        "countTokens" => one(json!({ "totalTokens": 40 })),
        _ => None,
    }
}

pub fn refusal(is_there: bool) -> Response {
    // This vendor calls neither 401.
    let (code, status, message) = if is_there {
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
    } else {
        (403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
    };
    error(code, &json!({ "error": { "code": code, "message": message, "status": status } }))
}

fn content(model: &str, body: &Value, command: &str) -> Value {
    let schema = &body["generationConfig"]["responseJsonSchema"];
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| tool["functionDeclarations"].as_array()).flatten();
    let tools = tools.filter_map(|tool| Some(tool["name"].as_str()?.to_owned()));
    let part = match turn(tools, &SHELL, result(body)) {
        Turn::Tell(_) if schema.is_object() => json!({ "text": filled(schema).to_string() }),
        Turn::Run(tool) => {
            let arguments = json!({ "command": command, "description": "Run what the test says" });
            json!({ "functionCall": { "name": tool, "args": arguments } })
        }
        Turn::Tell(text) => json!({ "text": text }),
    };
    let content = json!({ "role": "model", "parts": [part] });
    json!({
        "candidates": [{ "content": content, "finishReason": "STOP", "index": 0 }],
        "usageMetadata": {
            "promptTokenCount": 40,
            "candidatesTokenCount": 20,
            "totalTokenCount": 60,
        },
        "modelVersion": model,
    })
}

/// What the last content has of a tool's result.
fn result(body: &Value) -> Option<String> {
    let parts = body["contents"].as_array()?.last()?["parts"].as_array()?;
    let part = parts.iter().find(|part| part.get("functionResponse").is_some())?;
    Some(texts(&part["functionResponse"]["response"]))
}

/// The least that a schema of flat objects takes.
fn filled(schema: &Value) -> Value {
    let of = schema["type"].as_str().unwrap_or_default().to_lowercase();
    match (&schema["enum"], of.as_str()) {
        (Value::Array(all), _) => all.first().cloned().unwrap_or_default(),
        (_, "object") => {
            let all = schema["properties"].as_object().into_iter().flatten();
            all.map(|(name, schema)| (name.clone(), filled(schema))).collect()
        }
        (_, "array") => json!([]),
        (_, "boolean") => json!(false),
        (_, "integer" | "number") => json!(1),
        _ => json!("ok"),
    }
}
