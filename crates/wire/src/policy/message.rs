//! From text to a message: how published clients see a policy.
//!
//! The text was judged by the policy crate before; this reads it leniently, and what the message
//! has no field for is not shown.

use std::collections::{BTreeMap, HashMap};

use prost_types::{ListValue, Struct, Value as Dynamic, value::Kind};
use serde_json::Value;
use thiserror::Error;

use crate::sandbox::{
    FilesystemPolicy, GraphqlOperation, L7Allow, L7DenyRule, L7QueryMatcher, L7Rule,
    LandlockPolicy, McpOptions, MiddlewareEndpointSelector, NetworkAccessPreset, NetworkBinary,
    NetworkCredentialBinding, NetworkEndpoint, NetworkEnforcementMode, NetworkMiddlewareConfig,
    NetworkPolicyRule, NetworkTlsMode, ProcessPolicy, SandboxPolicy,
};

/// The text is not YAML.
#[derive(Debug, Error)]
#[error("the text is not YAML: {0}")]
pub struct PolicyTextError(String);

/// The policy as a message.
pub fn from_text(text: &str) -> Result<SandboxPolicy, PolicyTextError> {
    let root = root(text)?;
    Ok(SandboxPolicy {
        version: number(&root, "version"),
        filesystem: root.get("filesystem_policy").map(|policy| FilesystemPolicy {
            include_workdir: flag(policy, "include_workdir"),
            read_only: texts(policy, "read_only"),
            read_write: texts(policy, "read_write"),
        }),
        landlock: root
            .get("landlock")
            .map(|landlock| LandlockPolicy { compatibility: text_of(landlock, "compatibility") }),
        process: root.get("process").map(|process| ProcessPolicy {
            run_as_user: text_of(process, "run_as_user"),
            run_as_group: text_of(process, "run_as_group"),
        }),
        network_policies: map(&root, "network_policies", rule),
        network_middlewares: map(&root, "network_middlewares", middleware),
    })
}

pub(crate) fn root(text: &str) -> Result<Value, PolicyTextError> {
    serde_saphyr::from_str(text).map_err(|error| PolicyTextError(error.to_string()))
}

fn rule(value: &Value) -> NetworkPolicyRule {
    NetworkPolicyRule {
        name: text_of(value, "name"),
        endpoints: list(value, "endpoints", endpoint),
        binaries: list(value, "binaries", |binary| NetworkBinary { path: text_of(binary, "path") }),
    }
}

pub(crate) fn endpoint(value: &Value) -> NetworkEndpoint {
    let limit = |key: &str| value.get(key).map_or(0, |part| number(part, "max_body_bytes"));
    NetworkEndpoint {
        host: text_of(value, "host"),
        port: number(value, "port"),
        ports: list(value, "ports", as_number),
        allowed_ips: texts(value, "allowed_ips"),
        path: text_of(value, "path"),
        protocol: text_of(value, "protocol"),
        tls: tls(&text_of(value, "tls")).into(),
        enforcement: enforcement(&text_of(value, "enforcement")).into(),
        access: access(&text_of(value, "access")).into(),
        rules: list(value, "rules", |rule| L7Rule { allow: rule.get("allow").map(allow) }),
        deny_rules: list(value, "deny_rules", deny),
        allow_encoded_slash: flag(value, "allow_encoded_slash"),
        persisted_queries: text_of(value, "persisted_queries"),
        graphql_persisted_queries: map(value, "graphql_persisted_queries", operation),
        graphql_max_body_bytes: number(value, "graphql_max_body_bytes"),
        json_rpc_max_body_bytes: limit("json_rpc").max(limit("mcp")),
        mcp: value.get("mcp").map(mcp),
        websocket_credential_rewrite: flag(value, "websocket_credential_rewrite"),
        request_body_credential_rewrite: flag(value, "request_body_credential_rewrite"),
        allow_uninspected_credentials: flag(value, "allow_uninspected_credentials"),
        credential_signing: text_of(value, "credential_signing"),
        signing_service: text_of(value, "signing_service"),
        signing_region: text_of(value, "signing_region"),
        credential_binding: value
            .get("credential_binding")
            .map(|binding| NetworkCredentialBinding { provider: text_of(binding, "provider") }),
        ..NetworkEndpoint::default()
    }
}

fn mcp(value: &Value) -> McpOptions {
    McpOptions {
        strict_tool_names: value.get("strict_tool_names").and_then(Value::as_bool),
        allow_all_known_mcp_methods: value
            .get("allow_all_known_mcp_methods")
            .and_then(Value::as_bool),
        versions: texts(value, "versions"),
    }
}

fn operation(value: &Value) -> GraphqlOperation {
    GraphqlOperation {
        operation_type: text_of(value, "operation_type"),
        operation_name: text_of(value, "operation_name"),
        fields: texts(value, "fields"),
    }
}

fn allow(value: &Value) -> L7Allow {
    L7Allow {
        method: text_of(value, "method"),
        path: text_of(value, "path"),
        command: text_of(value, "command"),
        query: map(value, "query", globs),
        operation_type: text_of(value, "operation_type"),
        operation_name: text_of(value, "operation_name"),
        fields: texts(value, "fields"),
        params: params(value),
    }
}

fn deny(value: &Value) -> L7DenyRule {
    let L7Allow { method, path, command, query, operation_type, operation_name, fields, params } =
        allow(value);
    L7DenyRule { method, path, command, query, operation_type, operation_name, fields, params }
}

/// `tool` is short for `params.name`.
fn params(value: &Value) -> HashMap<String, L7QueryMatcher> {
    let mut params = map(value, "params", globs);
    if let Some(tool) = value.get("tool") {
        params.insert("name".to_owned(), globs(tool));
    }
    params
}

fn globs(value: &Value) -> L7QueryMatcher {
    match value {
        Value::Object(_) => {
            L7QueryMatcher { glob: text_of(value, "glob"), any: texts(value, "any") }
        }
        other => L7QueryMatcher { glob: as_text(other), any: Vec::new() },
    }
}

fn middleware(value: &Value) -> NetworkMiddlewareConfig {
    NetworkMiddlewareConfig {
        name: text_of(value, "name"),
        middleware: text_of(value, "middleware"),
        config: value.get("config").map(structure),
        on_error: text_of(value, "on_error"),
        endpoints: value.get("endpoints").map(|endpoints| MiddlewareEndpointSelector {
            include: texts(endpoints, "include"),
            exclude: texts(endpoints, "exclude"),
        }),
        order: value
            .get("order")
            .and_then(Value::as_i64)
            .and_then(|order| i32::try_from(order).ok())
            .unwrap_or_default(),
    }
}

fn structure(value: &Value) -> Struct {
    let fields = value.as_object().into_iter().flatten();
    let fields: BTreeMap<_, _> = fields.map(|(key, field)| (key.clone(), dynamic(field))).collect();
    Struct { fields }
}

fn dynamic(value: &Value) -> Dynamic {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(dynamic).collect() })
        }
        Value::Object(_) => Kind::StructValue(structure(value)),
    };
    Dynamic { kind: Some(kind) }
}

fn tls(word: &str) -> NetworkTlsMode {
    match word {
        "skip" => NetworkTlsMode::Skip,
        "terminate" => NetworkTlsMode::Terminate,
        "passthrough" => NetworkTlsMode::Passthrough,
        _ => NetworkTlsMode::Unspecified,
    }
}

fn enforcement(word: &str) -> NetworkEnforcementMode {
    match word {
        "enforce" => NetworkEnforcementMode::Enforce,
        "audit" => NetworkEnforcementMode::Audit,
        _ => NetworkEnforcementMode::Unspecified,
    }
}

fn access(word: &str) -> NetworkAccessPreset {
    match word {
        "read-only" => NetworkAccessPreset::ReadOnly,
        "read-write" => NetworkAccessPreset::ReadWrite,
        "full" => NetworkAccessPreset::Full,
        _ => NetworkAccessPreset::Unspecified,
    }
}

pub(crate) fn text_of(value: &Value, key: &str) -> String {
    value.get(key).map(as_text).unwrap_or_default()
}

/// Numbers stand for themselves where a string is meant, such as `run_as_user: 1000`.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

pub(crate) fn number(value: &Value, key: &str) -> u32 {
    value.get(key).map(as_number).unwrap_or_default()
}

fn as_number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}

pub(crate) fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key, as_text)
}

pub(crate) fn list<T>(value: &Value, key: &str, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().map(item).collect()
}

pub(crate) fn map<T>(value: &Value, key: &str, item: impl Fn(&Value) -> T) -> HashMap<String, T> {
    let entries = value.get(key).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), item(value))).collect()
}
