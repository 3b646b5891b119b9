//! One allowing or denying rule of an endpoint.

use super::findings::{Findings, Position, Spanned};
use super::model::{Clause, OperationChoice, OperationType, Protocol};
use super::node::Node;
use super::patterns::{Empty, Names, is_token, matcher, path, pattern, patterns};
use super::reader::{Fields, choice, did_you_mean, listed, shown, text};

/// Which way a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Allow,
    Deny,
}

/// Every field that some protocol has; `command` was the one of SQL.
const FIELDS: [&str; 11] = [
    "method",
    "path",
    "query",
    "headers",
    "operation_type",
    "operation_name",
    "fields",
    "tool",
    "params",
    "service",
    "command",
];

/// The fields of a protocol's rules; `None` when the protocol could not be read, and its fields are
/// any.
pub(super) fn fields_of(protocol: Option<Protocol>) -> &'static [&'static str] {
    match protocol {
        None => &FIELDS,
        Some(Protocol::Opaque | Protocol::Tcp | Protocol::Udp) => &[],
        Some(Protocol::Rest) => &["method", "path", "query", "headers"],
        Some(Protocol::WebSocket) => {
            &["method", "path", "query", "headers", "operation_type", "operation_name", "fields"]
        }
        Some(Protocol::GraphQl) => &["operation_type", "operation_name", "fields"],
        Some(Protocol::JsonRpc) => &["method", "params"],
        Some(Protocol::Mcp) => &["method", "tool", "params"],
        Some(Protocol::Grpc) => &["service", "method"],
    }
}

/// An item of `rules`: `allow:` and the rule.
pub(super) fn read_allow(
    node: Node,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Clause> {
    let mut fields = Fields::of(node, "an item of `rules`", findings)?;
    let at = fields.at;
    let Some(entry) = fields.take_entry("allow") else {
        findings.error_with_help(
            "P0103",
            at,
            "an item of `rules` needs an `allow`".to_owned(),
            "write `- allow: { … }`; what is denied stands in `deny_rules`".to_owned(),
        );
        // Keys that were to stand below `allow` are no second finding.
        for key in FIELDS.into_iter().chain(["deny"]) {
            fields.take_foreign(key);
        }
        fields.refuse_rest(findings);
        return None;
    };
    fields.refuse_rest(findings);
    if entry.value.is_null() {
        refuse_empty(at, protocol, findings);
        return None;
    }
    read(entry.value, at, (Side::Allow, protocol), findings)
}

/// An item of `deny_rules`.
pub(super) fn read_deny(
    node: Node,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Clause> {
    let at = node.at;
    read(node, at, (Side::Deny, protocol), findings)
}

fn read(
    node: Node,
    at: Position,
    (side, protocol): (Side, Option<Protocol>),
    findings: &mut Findings,
) -> Option<Clause> {
    let what = if side == Side::Allow { "`allow`" } else { "an item of `deny_rules`" };
    let mut fields = Fields::of(node, what, findings)?;
    let own = fields_of(protocol);
    let mut clause = Clause { at, ..Clause::default() };
    let mut given = 0_usize;
    for key in FIELDS {
        if own.contains(&key) {
            if let Some(node) = fields.take(key) {
                given = given.saturating_add(1);
                fill(&mut clause, key, node, (protocol, findings));
            }
        } else if let Some(entry) = fields.take_foreign(key) {
            given = given.saturating_add(1);
            refuse_foreign(key, entry.at, protocol, findings);
        }
    }
    let slips = fields.has_rest();
    fields.refuse_rest(findings);
    if given == 0 && !slips {
        refuse_empty(at, protocol, findings);
        return None;
    }
    if protocol == Some(Protocol::Mcp) {
        check_tool(&mut clause, findings);
    }
    Some(clause)
}

fn refuse_empty(at: Position, protocol: Option<Protocol>, findings: &mut Findings) {
    let all = match protocol {
        Some(Protocol::GraphQl) => "operation_type: \"*\"",
        Some(Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc) => "method: \"*\"",
        _ => "path: /**",
    };
    findings.error_with_help(
        "P0410",
        at,
        "a rule names at least one field".to_owned(),
        format!("for everything write `{all}`"),
    );
}

fn refuse_foreign(key: &str, at: Position, protocol: Option<Protocol>, findings: &mut Findings) {
    if key == "command" {
        findings.error_with_help(
            "P0401",
            at,
            "this build does not judge SQL, and the rule asks for `command`".to_owned(),
            "remove the rule; what a database user may do is the database's to say".to_owned(),
        );
        return;
    }
    let name = protocol.and_then(Protocol::as_str);
    let message = match name {
        Some(name) => format!("a rule of protocol `{name}` has no `{key}`"),
        // Reported once, at `rules`.
        None => return,
    };
    let help = format!("its fields are {}", listed(fields_of(protocol)));
    findings.error_with_help("P0409", at, message, help);
}

fn fill(
    clause: &mut Clause,
    key: &str,
    node: Node,
    (protocol, findings): (Option<Protocol>, &mut Findings),
) {
    match key {
        "method" => clause.method = method(node, protocol, findings),
        "path" => clause.path = path(node, findings),
        "query" => clause.query = matcher(node, Names::Query, findings),
        "headers" => clause.headers = matcher(node, Names::Headers, findings),
        "params" => clause.params = matcher(node, Names::Params, findings),
        "operation_type" => clause.operation_type = operation_type(node, findings),
        "operation_name" => clause.operation_name = pattern(node, key, Empty::Taken, findings),
        "fields" => {
            clause.fields = patterns(node, key, Empty::Refused, findings).unwrap_or_default();
        }
        "tool" => clause.tool = pattern(node, key, Empty::Refused, findings),
        "service" => clause.service = pattern(node, key, Empty::Refused, findings),
        _ => {}
    }
}

fn operation_type(node: Node, findings: &mut Findings) -> Option<OperationChoice> {
    let word = text(node, "operation_type", findings)?;
    let only = OperationChoice::Only;
    let choices = [
        ("query", only(OperationType::Query)),
        ("mutation", only(OperationType::Mutation)),
        ("subscription", only(OperationType::Subscription)),
        ("*", OperationChoice::Any),
    ];
    choice(&word, "operation_type", &choices, findings)
}

/// The methods that `*` stands for in a rule of rest.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The pseudo-method of a client's WebSocket message.
pub(crate) const WEBSOCKET_TEXT: &str = "WEBSOCKET_TEXT";

fn method(
    node: Node,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let mut method = match protocol {
        Some(Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc) => {
            return pattern(node, "method", Empty::Refused, findings);
        }
        _ => text(node, "method", findings)?,
    };
    method.value.make_ascii_uppercase();
    let word = method.value.as_str();
    let known: &[&str] = match protocol {
        Some(Protocol::WebSocket) => &["GET", WEBSOCKET_TEXT],
        _ => &METHODS,
    };
    let why = match word {
        "*" => return Some(method),
        _ if !is_token(word) || word.contains('*') => "it is one word, or `*`",
        "CONNECT" | "TRACE" | "PRI" => "no proxy forwards it as a request",
        WEBSOCKET_TEXT if protocol == Some(Protocol::Rest) => "messages need protocol `websocket`",
        _ if protocol == Some(Protocol::WebSocket) && !known.contains(&word) => {
            "a WebSocket begins with GET, and a message is WEBSOCKET_TEXT"
        }
        _ => return Some(method),
    };
    let message = format!("`method` cannot be `{}`: {why}", shown(word));
    let help = match did_you_mean(word, known.iter().copied()) {
        Some(near) if near != word => format!("did you mean `{near}`?"),
        _ => format!("it is `*`, {}", listed(known)),
    };
    findings.error_with_help("P0411", method.at, message, help);
    None
}

/// `params: {name: X}` is the published way to say `tool: X`.
fn check_tool(clause: &mut Clause, findings: &mut Findings) {
    let calls = clause.method.as_ref().is_some_and(|method| method.value == "tools/call");
    if let Some(tool) = &clause.tool {
        if clause.params.contains_key("name") {
            let message = "`tool` and `params.name` say the same, side by side".to_owned();
            findings.error_with_help("P0414", tool.at, message, "remove one".to_owned());
        }
        if !calls {
            let message = "`tool` needs `method: tools/call`: no other call has a tool".to_owned();
            let help = match &clause.method {
                None => "add `method: tools/call`".to_owned(),
                Some(method) => {
                    format!("write `method: tools/call` in place of `{}`", shown(&method.value))
                }
            };
            findings.error_with_help("P0414", tool.at, message, help);
        }
        return;
    }
    let single = clause.params.get("name").is_some_and(|patterns| patterns.0.len() == 1);
    if calls && single {
        clause.tool =
            clause.params.remove("name").and_then(|patterns| patterns.0.into_iter().next());
    }
}
