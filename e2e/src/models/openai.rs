//! OpenAI's Responses and Chat Completions.

use openshell_testkit::http::{Body, Response};
use serde_json::{Value, json};

use super::{Turn, error, events, texts, turn};

/// The shell tools of its clients.
const SHELL: [&str; 4] = ["exec_command", "shell_command", "shell", SCRIPT];

/// The tool that takes no command but a script, which has the shell tool as a function.
const SCRIPT: &str = "exec";

pub fn answer(path: &str, body: &Value, command: &str) -> Option<Response> {
    match path {
        "/v1/responses" => Some(response(body, command)),
        "/v1/chat/completions" => Some(completion(body, command)),
        _ => None,
    }
}

pub fn refusal(is_there: bool) -> Response {
    let message =
        if is_there { "Incorrect API key provided." } else { "You didn't provide an API key." };
    let kind = "invalid_request_error";
    let code = is_there.then_some("invalid_api_key");
    let error_of = json!({ "message": message, "type": kind, "param": null, "code": code });
    error(401, &json!({ "error": error_of }))
}

/// The arguments of a shell tool, as the text that they are sent as.
fn arguments(tool: &str, command: &str) -> String {
    let arguments = match tool {
        "exec_command" => json!({ "cmd": command }),
        "shell_command" => json!({ "command": command }),
        _ => json!({ "command": ["sh", "-c", command] }),
    };
    arguments.to_string()
}

fn response(body: &Value, command: &str) -> Response {
    let item = match turn(tools(body).into_iter(), &SHELL, result(body)) {
        Turn::Run(tool) if tool == SCRIPT => json!({
            "id": "ctc_01",
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "call_01",
            "namespace": "functions",
            "name": tool,
            "input": format!("text(await tools.exec_command({}))", json!({ "cmd": command })),
        }),
        Turn::Run(tool) => json!({
            "id": "fc_01",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_01",
            "arguments": arguments(&tool, command),
            "name": tool,
        }),
        Turn::Tell(text) => json!({
            "id": "msg_01",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
    };
    let whole = json!({
        "id": "resp_01",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": body["model"],
        "output": [item],
        "usage": {
            "input_tokens": 40,
            "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": 20,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": 60,
        },
    });
    if body["stream"] == true { stream(&whole, &item) } else { Response::json(whole.to_string()) }
}

/// A response with one item, in the pieces that a client puts together.
fn stream(whole: &Value, item: &Value) -> Response {
    let (mut begun, mut empty) = (whole.clone(), item.clone());
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    empty["status"] = json!("in_progress");
    let place = json!({ "item_id": item["id"], "output_index": 0 });
    let piece = |kind: &str, more: Value| {
        let mut piece = place.clone();
        piece["type"] = json!(kind);
        for (name, value) in more.as_object().into_iter().flatten() {
            piece[name] = value.clone();
        }
        piece
    };
    let middle = if item["type"] == "message" {
        empty["content"] = json!([]);
        let part = &item["content"][0];
        let text = &part["text"];
        let nothing = json!({ "type": "output_text", "text": "", "annotations": [] });
        vec![
            piece("response.content_part.added", json!({ "content_index": 0, "part": nothing })),
            piece("response.output_text.delta", json!({ "content_index": 0, "delta": text })),
            piece("response.output_text.done", json!({ "content_index": 0, "text": text })),
            piece("response.content_part.done", json!({ "content_index": 0, "part": part })),
        ]
    } else if item["type"] == "custom_tool_call" {
        let input = &item["input"];
        empty["input"] = json!("");
        vec![
            piece("response.custom_tool_call_input.delta", json!({ "delta": input })),
            piece("response.custom_tool_call_input.done", json!({ "input": input })),
        ]
    } else {
        let arguments = &item["arguments"];
        empty["arguments"] = json!("");
        vec![
            piece("response.function_call_arguments.delta", json!({ "delta": arguments })),
            piece("response.function_call_arguments.done", json!({ "arguments": arguments })),
        ]
    };
    let added = json!({ "type": "response.output_item.added", "output_index": 0, "item": empty });
    let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let mut all = vec![json!({ "type": "response.created", "response": begun }), added];
    all.extend(middle);
    all.extend([done, json!({ "type": "response.completed", "response": whole })]);
    for (number, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events(&all)
}

/// The names of a model's tools: they stand in the request or in an item of its input, alone or in
/// groups.
fn tools(of: &Value) -> Vec<String> {
    let groups = of["input"].as_array().into_iter().flatten().flat_map(tools);
    let own = of["tools"].as_array().into_iter().flatten();
    let own = own.flat_map(|tool| {
        let name = tool["name"].as_str().map(str::to_owned);
        tools(tool).into_iter().chain(name)
    });
    own.chain(groups).collect()
}

/// What the last item of a response's input has of a tool's result.
fn result(body: &Value) -> Option<String> {
    let last = body["input"].as_array()?.last()?;
    let is_result = ["function_call_output", "custom_tool_call_output"].map(Value::from);
    is_result.contains(&last["type"]).then(|| texts(&last["output"]))
}

fn completion(body: &Value, command: &str) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| Some(tool["function"]["name"].as_str()?.to_owned()));
    let last = body["messages"].as_array().and_then(|all| all.last());
    let result = last.filter(|last| last["role"] == "tool").map(|last| texts(&last["content"]));
    let (mut message, reason) = match turn(tools, &SHELL, result) {
        Turn::Run(tool) => {
            let function = json!({ "name": tool, "arguments": arguments(&tool, command) });
            let call = json!({ "id": "call_01", "type": "function", "function": function });
            (json!({ "content": null, "tool_calls": [call] }), "tool_calls")
        }
        Turn::Tell(text) => (json!({ "content": text }), "stop"),
    };
    message["role"] = json!("assistant");
    let usage = json!({ "prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60 });
    let whole = |object: &str, choices: Value, usage: &Value| {
        json!({
            "id": "chatcmpl-01",
            "object": object,
            "created": 1_700_000_000,
            "model": body["model"],
            "choices": choices,
            "usage": usage,
        })
    };
    if body["stream"] != true {
        let choice = json!([{ "index": 0, "message": message, "finish_reason": reason }]);
        return Response::json(whole("chat.completion", choice, &usage).to_string());
    }
    if let Some(call) = message["tool_calls"].get_mut(0) {
        call["index"] = json!(0);
    }
    let chunk = |choices, usage| whole("chat.completion.chunk", choices, usage);
    let first = json!([{ "index": 0, "delta": message, "finish_reason": null }]);
    let last = json!([{ "index": 0, "delta": {}, "finish_reason": reason }]);
    let null = Value::Null;
    let all = [chunk(first, &null), chunk(last, &null), chunk(json!([]), &usage)];
    let mut response = events(&all);
    if let Body::Chunks(chunks) = &mut response.body {
        chunks.push(b"data: [DONE]\n\n".to_vec());
    }
    response
}
