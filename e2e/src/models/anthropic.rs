//! Anthropic's Messages.

use openshell_testkit::http::Response;
use serde_json::{Value, json};

use super::{Turn, error, events, texts, turn};

/// The shell tool of its clients.
const SHELL: [&str; 1] = ["Bash"];

pub fn answer(path: &str, body: &Value, command: &str) -> Option<Response> {
    match path {
        "/v1/messages" => Some(message(body, command)),
        "/v1/messages/count_tokens" => {
            Some(Response::json(json!({ "input_tokens": 40 }).to_string()))
        }
        _ => None,
    }
}

pub fn refusal(is_there: bool) -> Response {
    let message = if is_there { "invalid x-api-key" } else { "x-api-key header is required" };
    let error_of = json!({ "type": "authentication_error", "message": message });
    error(401, &json!({ "type": "error", "error": error_of }))
}

fn message(body: &Value, command: &str) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| Some(tool["name"].as_str()?.to_owned()));
    let (block, reason) = match turn(tools, &SHELL, result(body)) {
        Turn::Run(tool) => {
            let input = json!({ "command": command, "description": "Run what the test says" });
            let id = "toolu_01";
            (json!({ "type": "tool_use", "id": id, "name": tool, "input": input }), "tool_use")
        }
        Turn::Tell(text) => (json!({ "type": "text", "text": text }), "end_turn"),
    };
    let mut message = json!({
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [block],
        "stop_reason": reason,
        "stop_sequence": null,
        "usage": { "input_tokens": 40, "output_tokens": 20 },
    });
    if body["stream"] != true {
        return Response::json(message.to_string());
    }
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    stream(&message, block, reason)
}

/// A message with one block, in the pieces that a client puts together.
fn stream(message: &Value, mut block: Value, reason: &str) -> Response {
    let delta = if block["type"] == "text" {
        let text = std::mem::replace(&mut block["text"], json!(""));
        json!({ "type": "text_delta", "text": text })
    } else {
        let input = std::mem::replace(&mut block["input"], json!({}));
        json!({ "type": "input_json_delta", "partial_json": input.to_string() })
    };
    events(&[
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "output_tokens": 20 },
        }),
        json!({ "type": "message_stop" }),
    ])
}

/// What the last message has of a tool's result.
fn result(body: &Value) -> Option<String> {
    let blocks = body["messages"].as_array()?.last()?["content"].as_array()?;
    let block = blocks.iter().find(|block| block["type"] == "tool_result")?;
    Some(texts(&block["content"]))
}
