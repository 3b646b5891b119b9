//! From a message to text.

use std::collections::HashMap;

use prost_types::{Struct, Value, value::Kind};

use super::yaml::Node;
use crate::sandbox::{
    FilesystemPolicy, GraphqlOperation, L7Allow, L7DenyRule, L7QueryMatcher, McpOptions,
    NetworkAccessPreset, NetworkEndpoint, NetworkEnforcementMode, NetworkMiddlewareConfig,
    NetworkPolicyRule, NetworkTlsMode, SandboxPolicy,
};

/// The policy as text. Keys appear in the order of the schema; maps are sorted.
pub fn to_text(policy: &SandboxPolicy) -> String {
    let mut root = Keys::new();
    root.push("version", Node::bare(policy.version));
    root.some("filesystem_policy", policy.filesystem.as_ref().map(filesystem));
    root.some(
        "landlock",
        policy.landlock.as_ref().map(|landlock| {
            Keys::new().with_text("compatibility", &landlock.compatibility).into_node()
        }),
    );
    root.some(
        "process",
        policy.process.as_ref().map(|process| {
            Keys::new()
                .with_text("run_as_user", &process.run_as_user)
                .with_text("run_as_group", &process.run_as_group)
                .into_node()
        }),
    );
    root.map("network_policies", &policy.network_policies, rule);
    root.map("network_middlewares", &policy.network_middlewares, middleware);
    root.into_node().document()
}

fn filesystem(policy: &FilesystemPolicy) -> Node {
    Keys::new()
        .with_flag("include_workdir", policy.include_workdir)
        .with_texts("read_only", &policy.read_only)
        .with_texts("read_write", &policy.read_write)
        .into_node()
}

fn rule(rule: &NetworkPolicyRule) -> Node {
    let mut keys = Keys::new().with_text("name", &rule.name);
    keys.push("endpoints", Node::List(rule.endpoints.iter().map(endpoint).collect()));
    let binaries = rule.binaries.iter();
    keys.push(
        "binaries",
        Node::List(
            binaries.map(|b| Node::Map(vec![("path".to_owned(), Node::text(&b.path))])).collect(),
        ),
    );
    keys.into_node()
}

pub(crate) fn endpoint(endpoint: &NetworkEndpoint) -> Node {
    let mut keys = Keys::new().with_text("host", &endpoint.host).with_number("port", endpoint.port);
    if !endpoint.ports.is_empty() {
        keys.push("ports", Node::List(endpoint.ports.iter().map(Node::bare).collect()));
    }
    keys = keys
        .with_texts("allowed_ips", &endpoint.allowed_ips)
        .with_text("path", &endpoint.path)
        .with_text("protocol", &endpoint.protocol)
        .with_text("tls", &tls(endpoint.tls))
        .with_text("enforcement", &enforcement(endpoint.enforcement))
        .with_text("access", &access(endpoint.access));
    if !endpoint.rules.is_empty() {
        let allow = |allow: &L7Allow| Node::Map(vec![("allow".to_owned(), matcher(allow.into()))]);
        let empty = L7Allow::default();
        let rules = endpoint.rules.iter().map(|rule| allow(rule.allow.as_ref().unwrap_or(&empty)));
        keys.push("rules", Node::List(rules.collect()));
    }
    if !endpoint.deny_rules.is_empty() {
        let rules = endpoint.deny_rules.iter().map(|rule| matcher(rule.into()));
        keys.push("deny_rules", Node::List(rules.collect()));
    }
    keys = keys
        .with_flag("allow_encoded_slash", endpoint.allow_encoded_slash)
        .with_text("persisted_queries", &endpoint.persisted_queries);
    keys.map("graphql_persisted_queries", &endpoint.graphql_persisted_queries, operation);
    keys = keys.with_number("graphql_max_body_bytes", endpoint.graphql_max_body_bytes);
    body_limits(&mut keys, endpoint);
    credentials(keys, endpoint).into_node()
}

/// One number on the wire is two keys in the text, by protocol.
fn body_limits(keys: &mut Keys, endpoint: &NetworkEndpoint) {
    let bytes = endpoint.json_rpc_max_body_bytes;
    let is_mcp = endpoint.protocol == "mcp";
    if bytes > 0 && !is_mcp {
        keys.push("json_rpc", Keys::new().with_number("max_body_bytes", bytes).into_node());
    }
    if endpoint.mcp.is_some() || (is_mcp && bytes > 0) {
        let empty = McpOptions::default();
        let options = endpoint.mcp.as_ref().unwrap_or(&empty);
        let mut mcp = Keys::new();
        if is_mcp {
            mcp = mcp.with_number("max_body_bytes", bytes);
        }
        mcp.some("strict_tool_names", options.strict_tool_names.map(Node::bare));
        mcp.some(
            "allow_all_known_mcp_methods",
            options.allow_all_known_mcp_methods.map(Node::bare),
        );
        keys.push("mcp", mcp.with_texts("versions", &options.versions).into_node());
    }
}

fn credentials(keys: Keys, endpoint: &NetworkEndpoint) -> Keys {
    let mut keys = keys
        .with_flag("websocket_credential_rewrite", endpoint.websocket_credential_rewrite)
        .with_flag("request_body_credential_rewrite", endpoint.request_body_credential_rewrite)
        .with_flag("allow_uninspected_credentials", endpoint.allow_uninspected_credentials)
        .with_text("credential_signing", &endpoint.credential_signing)
        .with_text("signing_service", &endpoint.signing_service)
        .with_text("signing_region", &endpoint.signing_region);
    keys.some(
        "credential_binding",
        endpoint
            .credential_binding
            .as_ref()
            .map(|binding| Keys::new().with_text("provider", &binding.provider).into_node()),
    );
    // Not keys of the schema: a client that sets one is told so.
    keys.with_flag("advisor_proposed", endpoint.advisor_proposed)
        .with_flag("provider_credentialed", endpoint.provider_credentialed)
        .with_text("token_grant_owner", &endpoint.token_grant_owner)
}

fn operation(operation: &GraphqlOperation) -> Node {
    Keys::new()
        .with_text("operation_type", &operation.operation_type)
        .with_text("operation_name", &operation.operation_name)
        .with_texts("fields", &operation.fields)
        .into_node()
}

/// What an allow rule and a deny rule have in common.
struct Matcher<'a> {
    method: &'a str,
    path: &'a str,
    command: &'a str,
    query: &'a HashMap<String, L7QueryMatcher>,
    operation_type: &'a str,
    operation_name: &'a str,
    fields: &'a [String],
    params: &'a HashMap<String, L7QueryMatcher>,
}

macro_rules! matcher_of {
    ($message:ty) => {
        impl<'a> From<&'a $message> for Matcher<'a> {
            fn from(rule: &'a $message) -> Self {
                Self {
                    method: &rule.method,
                    path: &rule.path,
                    command: &rule.command,
                    query: &rule.query,
                    operation_type: &rule.operation_type,
                    operation_name: &rule.operation_name,
                    fields: &rule.fields,
                    params: &rule.params,
                }
            }
        }
    };
}

matcher_of!(L7Allow);
matcher_of!(L7DenyRule);

fn matcher(rule: Matcher<'_>) -> Node {
    let mut keys = Keys::new()
        .with_text("method", rule.method)
        .with_text("path", rule.path)
        .with_text("command", rule.command);
    keys.map("query", rule.query, globs);
    keys = keys
        .with_text("operation_type", rule.operation_type)
        .with_text("operation_name", rule.operation_name)
        .with_texts("fields", rule.fields);
    keys.map("params", rule.params, globs);
    keys.into_node()
}

fn globs(matcher: &L7QueryMatcher) -> Node {
    if matcher.any.is_empty() {
        return Node::text(&matcher.glob);
    }
    Keys::new().with_text("glob", &matcher.glob).with_texts("any", &matcher.any).into_node()
}

fn middleware(config: &NetworkMiddlewareConfig) -> Node {
    let mut keys =
        Keys::new().with_text("name", &config.name).with_text("middleware", &config.middleware);
    if config.order != 0 {
        keys.push("order", Node::bare(config.order));
    }
    keys.some("config", config.config.as_ref().map(structure));
    keys = keys.with_text("on_error", &config.on_error);
    keys.some(
        "endpoints",
        config.endpoints.as_ref().map(|endpoints| {
            Keys::new()
                .with_texts("include", &endpoints.include)
                .with_texts("exclude", &endpoints.exclude)
                .into_node()
        }),
    );
    keys.into_node()
}

fn structure(fields: &Struct) -> Node {
    Node::Map(fields.fields.iter().map(|(key, field)| (key.clone(), value(field))).collect())
}

fn value(value: &Value) -> Node {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Node::bare("null"),
        Some(Kind::NumberValue(number)) => number_node(*number),
        Some(Kind::StringValue(text)) => Node::text(text),
        Some(Kind::BoolValue(flag)) => Node::bare(flag),
        Some(Kind::StructValue(fields)) => structure(fields),
        Some(Kind::ListValue(list)) => Node::List(list.values.iter().map(self::value).collect()),
    }
}

fn number_node(number: f64) -> Node {
    if number.is_finite() { Node::bare(number) } else { Node::text(&number.to_string()) }
}

fn tls(mode: i32) -> String {
    match NetworkTlsMode::try_from(mode) {
        Ok(NetworkTlsMode::Unspecified) => String::new(),
        Ok(NetworkTlsMode::Skip) => "skip".to_owned(),
        Ok(NetworkTlsMode::Terminate) => "terminate".to_owned(),
        Ok(NetworkTlsMode::Passthrough) => "passthrough".to_owned(),
        Err(_) => mode.to_string(),
    }
}

fn enforcement(mode: i32) -> String {
    match NetworkEnforcementMode::try_from(mode) {
        Ok(NetworkEnforcementMode::Unspecified) => String::new(),
        Ok(NetworkEnforcementMode::Enforce) => "enforce".to_owned(),
        Ok(NetworkEnforcementMode::Audit) => "audit".to_owned(),
        Err(_) => mode.to_string(),
    }
}

fn access(preset: i32) -> String {
    match NetworkAccessPreset::try_from(preset) {
        Ok(NetworkAccessPreset::Unspecified) => String::new(),
        Ok(NetworkAccessPreset::ReadOnly) => "read-only".to_owned(),
        Ok(NetworkAccessPreset::ReadWrite) => "read-write".to_owned(),
        Ok(NetworkAccessPreset::Full) => "full".to_owned(),
        Err(_) => preset.to_string(),
    }
}

/// The keys of a map in the making. Values that mean "not set" on the wire are left out.
pub(crate) struct Keys(Vec<(String, Node)>);

impl Keys {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, key: &str, node: Node) {
        self.0.push((key.to_owned(), node));
    }

    pub(crate) fn some(&mut self, key: &str, node: Option<Node>) {
        if let Some(node) = node {
            self.push(key, node);
        }
    }

    pub(crate) fn map<T>(
        &mut self,
        key: &str,
        map: &HashMap<String, T>,
        node: impl Fn(&T) -> Node,
    ) {
        if !map.is_empty() {
            let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), node(v))).collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            self.push(key, Node::Map(entries));
        }
    }

    pub(crate) fn items<T>(&mut self, key: &str, items: &[T], node: impl Fn(&T) -> Node) {
        if !items.is_empty() {
            self.push(key, Node::List(items.iter().map(node).collect()));
        }
    }

    pub(crate) fn with_text(mut self, key: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.push(key, Node::text(text));
        }
        self
    }

    pub(crate) fn with_texts(mut self, key: &str, texts: &[String]) -> Self {
        if !texts.is_empty() {
            self.push(key, Node::texts(texts));
        }
        self
    }

    pub(crate) fn with_flag(mut self, key: &str, flag: bool) -> Self {
        if flag {
            self.push(key, Node::bare(true));
        }
        self
    }

    pub(crate) fn with_number(mut self, key: &str, number: u32) -> Self {
        if number != 0 {
            self.push(key, Node::bare(number));
        }
        self
    }

    pub(crate) fn into_node(self) -> Node {
        Node::Map(self.0)
    }
}
