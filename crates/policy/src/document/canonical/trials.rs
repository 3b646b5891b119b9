//! How tests are written.

use super::{Keys, operation_type};
use crate::document::tree::{Key, Layout, Value};
use crate::document::trials::{Target, Trial, TrialRequest, Want};

pub(super) fn trial(trial: &Trial) -> Value {
    let mut keys = Keys::default();
    if let Some(name) = &trial.name {
        keys.text("name", name);
    }
    let (target, port) = &trial.to;
    let host = match target {
        Target::Name(name) => name.to_string(),
        Target::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Target::Address(address) => address.to_string(),
    };
    keys.text("to", &format!("{host}:{port}"));
    keys.text("by", &trial.by);
    if let Some(digest) = trial.sha256 {
        keys.text("sha256", &digest.to_string());
    }
    if !trial.ancestors.is_empty() {
        keys.known("ancestors", texts(&trial.ancestors));
    }
    if trial.udp {
        keys.word("transport", "udp");
    }
    if let Some(time) = trial.time {
        keys.word("time", format_args!("\"{time}\""));
    }
    if let Some(asked) = &trial.request {
        request(&mut keys, asked);
    }
    keys.word(
        "want",
        match trial.want {
            Want::Allow => "allow",
            Want::Deny => "deny",
        },
    );
    for (key, text) in [("rule", &trial.rule), ("reason", &trial.reason)] {
        if let Some(text) = text {
            keys.text(key, text);
        }
    }
    keys.into_map(Layout::Small)
}

fn texts(all: &[String]) -> Value {
    Value::List(all.iter().map(|one| Value::text(one)).collect())
}

fn pairs(all: &[(String, String)]) -> Value {
    let entries = all.iter().map(|(name, value)| (Key::Text(name.clone()), Value::text(value)));
    Value::Map(Layout::Small, entries.collect())
}

fn request(keys: &mut Keys, asked: &TrialRequest) {
    if let Some(method) = &asked.method {
        keys.text("method", method);
    }
    let question = if asked.query.is_empty() { "" } else { "?" };
    keys.text("path", &format!("{}{question}{}", asked.path, asked.query));
    if !asked.headers.is_empty() {
        keys.known("headers", pairs(&asked.headers));
    }
    if let Some(operation) = &asked.graphql {
        let mut own = Keys::default();
        own.word("operation_type", operation_type(operation.operation_type));
        if !operation.name.is_empty() {
            own.text("operation_name", &operation.name);
        }
        if !operation.fields.is_empty() {
            own.known("fields", texts(&operation.fields));
        }
        keys.known("graphql", own.into_map(Layout::Small));
    }
    if let Some(call) = &asked.rpc {
        let mut own = Keys::default();
        own.text("method", &call.method);
        if let Some(tool) = &call.tool {
            own.text("tool", tool);
        }
        if !call.params.is_empty() {
            own.known("params", pairs(&call.params));
        }
        keys.known("rpc", own.into_map(Layout::Small));
    }
}
