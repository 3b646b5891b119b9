//! Models of the vendors that agents are made for, scripted: asked with a shell tool, a model runs
//! one command with it; given what the command printed, it tells that. Whatever else a client
//! wants to know is answered with a word.
//!
//! A [`Model`] keeps nothing between requests: what it is sent says which turn it is. It makes a
//! `Response` of a `Request`, and so serves wherever a test lets it, with TLS or without.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;

use flate2::read::GzDecoder;
use openshell_testkit::http::{Body, Request, Response};
use serde_json::{Value, json};

mod anthropic;
mod google;
mod openai;
#[cfg(test)]
mod tests;

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vendor {
    /// Messages, and the count of their tokens.
    Anthropic,
    /// Responses, and Chat Completions.
    OpenAi,
    /// `generateContent`, `streamGenerateContent`, `countTokens`.
    Google,
}

/// A model that has one thing to do.
#[derive(Debug)]
pub struct Model {
    vendor: Vendor,
    key: String,
    command: String,
    record: Mutex<File>,
}

/// What it says next.
enum Turn {
    /// Run the command with the tool of this name.
    Run(String),
    /// This text is all.
    Tell(String),
}

impl Vendor {
    /// The host that its clients ask where they are told of no other.
    pub fn host(self) -> &'static str {
        match self {
            Self::Anthropic => "api.anthropic.com",
            Self::OpenAi => "api.openai.com",
            Self::Google => "generativelanguage.googleapis.com",
        }
    }

    /// The header that has the key, and what stands before it.
    fn credential(self) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic => ("x-api-key", ""),
            Self::OpenAi => ("authorization", "Bearer "),
            Self::Google => ("x-goog-api-key", ""),
        }
    }
}

impl Model {
    /// One that runs `command`, for whoever has the key. Each request becomes a line of JSON in
    /// the file `record`, with `method`, `target`, `headers`, `body` and the answer's `status`.
    pub fn new(vendor: Vendor, key: &str, command: &str, record: &Path) -> Self {
        let record = File::create(record).expect("the record can be written");
        let (key, command) = (key.to_owned(), command.to_owned());
        Self { vendor, key, command, record: Mutex::new(record) }
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Response {
        let body = content(request);
        let path = request.target.split('?').next().unwrap_or_default();
        let response = if !self.knows_key(request) {
            self.refusal(request)
        } else if request.header("upgrade").is_some() {
            // Said to a client that would rather have a WebSocket.
            Some(Response::new(426, "text/plain", "no WebSockets here").with("Upgrade", "HTTP/1.1"))
        } else if request.method == "POST" {
            match self.vendor {
                Vendor::Anthropic => anthropic::answer(path, &body, &self.command),
                Vendor::OpenAi => openai::answer(path, &body, &self.command),
                Vendor::Google => google::answer(path, &body, &self.command),
            }
        } else {
            None
        }
        .unwrap_or_else(|| error(404, &json!({ "error": { "message": "there is none" } })));
        self.record(request, &body, response.status);
        response
    }

    /// What somebody is told who comes with another key, or with none.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let is_there = request.header(self.vendor.credential().0).is_some();
        Some(match self.vendor {
            Vendor::Anthropic => anthropic::refusal(is_there),
            Vendor::OpenAi => openai::refusal(is_there),
            Vendor::Google => google::refusal(is_there),
        })
    }

    fn knows_key(&self, request: &Request) -> bool {
        let (name, before) = self.vendor.credential();
        let key = request.header(name).and_then(|value| value.strip_prefix(before));
        key == Some(&self.key)
    }

    fn record(&self, request: &Request, body: &Value, status: u16) {
        let headers = request.headers.iter();
        let headers: BTreeMap<String, &str> =
            headers.map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
        let line = json!({
            "method": request.method,
            "target": request.target,
            "headers": headers,
            "body": body,
            "status": status,
        });
        let mut record = self.record.lock().expect("nothing panics with it");
        writeln!(record, "{line}").expect("the record can be written");
    }
}

/// The body of a request: JSON, or else a text.
fn content(request: &Request) -> Value {
    let mut bytes = request.body.clone();
    if request.header("content-encoding") == Some("gzip") {
        bytes.clear();
        let read = GzDecoder::new(request.body.as_slice()).read_to_end(&mut bytes);
        read.expect("what is called gzip is gzip");
    }
    let text = || json!(String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap_or_else(|_| text())
}

/// The turn that a request is for: `tools` are the names of those that its model has, and `result`
/// is what the last message brings of one.
fn turn(mut tools: impl Iterator<Item = String>, shell: &[&str], result: Option<String>) -> Turn {
    match (result, tools.find(|name| shell.contains(&name.as_str()))) {
        (Some(result), _) => Turn::Tell(format!("The command printed: {result}")),
        (None, Some(tool)) => Turn::Run(tool),
        (None, None) => Turn::Tell("ok".to_owned()),
    }
}

/// The strings in a JSON value, a line each, but for the names of types: how clients wrap a tool's
/// result is their affair.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(texts).collect::<Vec<_>>().join("\n"),
        Value::Object(all) => {
            let others = all.iter().filter(|(name, _)| *name != "type");
            others.map(|(_, value)| texts(value)).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Events as vendors stream them, each an own chunk. Those with a `type` are called by it.
fn events(all: &[Value]) -> Response {
    let chunk = |event: &Value| {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n"));
        format!("{}data: {event}\n\n", name.unwrap_or_default()).into_bytes()
    };
    let headers = vec![("Content-Type".to_owned(), "text/event-stream".to_owned())];
    Response { status: 200, headers, body: Body::Chunks(all.iter().map(chunk).collect()) }
}

fn error(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json", body.to_string())
}
