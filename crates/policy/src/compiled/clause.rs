//! From an endpoint to its clauses: what each asks for, as far as it is looked up, and the rest.

use crate::document::model::{self, Access, Endpoint, OperationChoice, PathCase};
use crate::document::{METHODS, OperationType, Protocol, WEBSOCKET_TEXT, expand};
use crate::pattern::{Case, Glob, Piece, Spelling};

/// One allowing or denying rule of an endpoint, or its preset.
#[derive(Debug)]
pub(crate) struct Clause {
    pub decides: Decides,
    /// Its place among the rules of its kind; `None` for a preset.
    pub position: Option<u32>,
    /// Methods of HTTP; `None`: any.
    pub methods: Option<Vec<String>>,
    /// Globs over the request's path; `None`: any.
    pub paths: Option<Vec<Vec<Piece>>>,
    /// Globs over the method or tool of a call; none: any.
    pub calls: Vec<CallPattern>,
    /// Whether the names of tools must be plain.
    pub strict_tools: bool,
    pub rest: Option<Rest>,
}

/// What a clause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decides {
    /// It allows.
    Allow,
    /// It denies.
    Deny,
    /// It stands for an endpoint without any request rule.
    Nothing,
}

/// A pattern over calls.
#[derive(Debug)]
pub(crate) enum CallPattern {
    Method(Vec<Piece>),
    /// Over the tool of a `tools/call`.
    Tool(Vec<Piece>),
}

/// The conditions that are tried one clause at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest {
    pub query: Box<[Condition]>,
    pub headers: Box<[Condition]>,
    pub params: Box<[Condition]>,
    pub operation: Option<OperationCondition>,
}

/// What the values of one name must be.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    name: Box<str>,
    patterns: Box<[Glob]>,
}

/// What a GraphQL operation must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationCondition {
    /// `None`: any.
    kinds: Option<Box<[OperationType]>>,
    name: Option<Glob>,
    /// Empty: any.
    fields: Box<[Glob]>,
}

/// The methods of MCP that a client may send (revisions up to 2026-07-28).
pub(crate) const MCP_METHODS: [&str; 23] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/list",
];

/// The method of MCP that calls a tool.
pub(crate) const TOOLS_CALL: &str = "tools/call";

/// The clauses of an endpoint, at least one: those that allow first, each kind in its order.
pub(crate) fn clauses(endpoint: &Endpoint) -> Vec<Clause> {
    let mut all = Vec::new();
    if endpoint.protocol.judges_requests() {
        if let Some(access) = endpoint.access {
            all.push(preset(endpoint.protocol, access));
        }
        let kinds = [(Decides::Allow, &endpoint.rules), (Decides::Deny, &endpoint.deny_rules)];
        for (decides, rules) in kinds {
            for (rule, position) in rules.iter().zip(0_u32..) {
                all.push(clause(endpoint.protocol, decides, position, rule));
            }
            if decides == Decides::Allow && endpoint.options.allow_all_known_mcp_methods {
                all.push(known_methods(endpoint));
            }
        }
        let strict = endpoint.protocol == Protocol::Mcp
            && endpoint.options.strict_tool_names.unwrap_or(true);
        for clause in &mut all {
            clause.strict_tools = strict && clause.decides == Decides::Allow;
        }
    }
    if all.is_empty() {
        all.push(Clause { decides: Decides::Nothing, ..Clause::any() });
    }
    all
}

impl Clause {
    /// Allows whatever its endpoint judges.
    const fn any() -> Self {
        Self {
            decides: Decides::Allow,
            position: None,
            methods: None,
            paths: None,
            calls: Vec::new(),
            strict_tools: false,
            rest: None,
        }
    }
}

fn owned(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn preset(protocol: Protocol, access: Access) -> Clause {
    let mut clause = Clause::any();
    match (protocol, access) {
        (Protocol::Rest, Access::ReadOnly) => clause.methods = owned(&["GET", "HEAD", "OPTIONS"]),
        (Protocol::Rest, Access::ReadWrite) => {
            clause.methods = owned(&["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"]);
        }
        (Protocol::Rest, Access::Full) => clause.methods = owned(&METHODS),
        (Protocol::WebSocket, Access::ReadOnly) => clause.methods = owned(&["GET"]),
        (Protocol::WebSocket, _) => clause.methods = owned(&["GET", WEBSOCKET_TEXT]),
        (Protocol::GraphQl, access) => {
            let kinds: Option<&[OperationType]> = match access {
                Access::ReadOnly => Some(&[OperationType::Query]),
                Access::ReadWrite => Some(&[OperationType::Query, OperationType::Mutation]),
                Access::Full => None,
            };
            let operation = OperationCondition {
                kinds: kinds.map(Into::into),
                ..OperationCondition::default()
            };
            clause.rest = Some(Rest { operation: Some(operation), ..Rest::default() });
        }
        (Protocol::Grpc, Access::Full) => clause.paths = Some(vec![grpc_path(None, None)]),
        (_, Access::Full) => {}
        // The reader refuses these.
        (_, Access::ReadOnly | Access::ReadWrite) => clause.decides = Decides::Nothing,
    }
    clause
}

fn known_methods(endpoint: &Endpoint) -> Clause {
    // SECURITY: rules for `tools/call` say which tools; the list would allow the others.
    let judged = endpoint.rules.iter().any(|rule| {
        rule.tool.is_some()
            || rule.method.as_ref().is_none_or(|m| Glob::of_text(&m.value).matches(TOOLS_CALL))
    });
    let calls = MCP_METHODS.into_iter().chain((!judged).then_some(TOOLS_CALL));
    let calls = calls.map(|method| CallPattern::Method(Piece::of_text(method))).collect();
    Clause { calls, ..Clause::any() }
}

fn clause(protocol: Protocol, decides: Decides, position: u32, rule: &model::Clause) -> Clause {
    let mut clause = Clause { decides, position: Some(position), ..Clause::any() };
    let method = rule.method.as_ref().map(|method| method.value.as_str());
    match protocol {
        Protocol::Rest | Protocol::WebSocket => {
            clause.methods = method.map(|method| tokens(protocol, decides, method));
            clause.paths = rule.path.as_ref().and_then(|path| paths(&path.value));
        }
        Protocol::Grpc => {
            let service = rule.service.as_ref().map(|service| service.value.as_str());
            clause.paths = Some(vec![grpc_path(service, method)]);
        }
        Protocol::JsonRpc | Protocol::Mcp => {
            let tool = rule.tool.as_ref().map(|tool| Piece::of_text(&tool.value));
            clause.calls.extend(match (tool, method) {
                (Some(tool), _) => Some(CallPattern::Tool(tool)),
                (None, Some(method)) => Some(CallPattern::Method(Piece::of_text(method))),
                (None, None) => None,
            });
        }
        Protocol::GraphQl | Protocol::Opaque | Protocol::Tcp | Protocol::Udp => {}
    }
    clause.rest = rest(protocol, rule);
    clause
}

fn tokens(protocol: Protocol, decides: Decides, method: &str) -> Vec<String> {
    let all = match (method, protocol) {
        ("*", Protocol::WebSocket) => owned(&["GET", WEBSOCKET_TEXT]),
        ("*", _) => owned(&METHODS),
        _ => None,
    };
    all.unwrap_or_else(|| {
        let method = method.to_ascii_uppercase();
        let head = method == "GET" && protocol == Protocol::Rest && decides == Decides::Allow;
        std::iter::once(method).chain(head.then(|| "HEAD".to_owned())).collect()
    })
}

/// The globs of a path with braces; `None` when it matches every path.
pub(crate) fn paths(text: &str) -> Option<Vec<Vec<Piece>>> {
    let paths: Vec<_> = alternatives(text).iter().map(|path| Piece::of_path(path)).collect();
    (!paths.iter().any(|path| **path == [Piece::Across])).then_some(paths)
}

/// The paths that a path with braces stands for.
pub(crate) fn alternatives(text: &str) -> Vec<String> {
    // The reader refuses braces that do not read; such a text names no path but itself.
    expand(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// `/service/method`. Both are without a slash, so a star in them stays in its segment.
fn grpc_path(service: Option<&str>, method: Option<&str>) -> Vec<Piece> {
    let mut path = Vec::new();
    for part in [service, method] {
        path.push(Piece::Byte(b'/'));
        path.extend(Piece::of_path(part.unwrap_or("*")).into_iter().map(|piece| match piece {
            Piece::Across => Piece::Within,
            piece => piece,
        }));
    }
    path
}

fn rest(protocol: Protocol, rule: &model::Clause) -> Option<Rest> {
    let conditions = |map: &std::collections::BTreeMap<String, model::Patterns>| {
        map.iter().map(|(name, patterns)| Condition::of(name, patterns)).collect()
    };
    let asks =
        rule.operation_type.is_some() || rule.operation_name.is_some() || !rule.fields.is_empty();
    // Every operation of a GraphQL endpoint is looked at: one that is not known is not allowed.
    let operation = (asks || protocol == Protocol::GraphQl).then(|| OperationCondition {
        kinds: match rule.operation_type {
            None | Some(OperationChoice::Any) => None,
            Some(OperationChoice::Only(kind)) => Some([kind].into()),
        },
        name: rule.operation_name.as_ref().map(|name| Glob::of_text(&name.value)),
        fields: rule.fields.iter().map(|field| Glob::of_text(&field.value)).collect(),
    });
    let rest = Rest {
        query: conditions(&rule.query),
        headers: conditions(&rule.headers),
        params: conditions(&rule.params),
        operation,
    };
    (!rest.is_empty()).then_some(rest)
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.query.is_empty()
            && self.headers.is_empty()
            && self.params.is_empty()
            && self.operation.is_none()
    }

    pub fn bytes(&self) -> usize {
        let lists = [&self.query, &self.headers, &self.params].into_iter().flatten();
        let patterns = lists.flat_map(|condition| &condition.patterns).map(Glob::bytes);
        let operation = self.operation.iter().flat_map(|operation| &operation.fields);
        size_of::<Self>().saturating_add(patterns.chain(operation.map(Glob::bytes)).sum())
    }
}

impl Condition {
    fn of(name: &str, patterns: &model::Patterns) -> Self {
        Self {
            name: name.into(),
            patterns: patterns.0.iter().map(|pattern| Glob::of_text(&pattern.value)).collect(),
        }
    }

    /// Whether the values of its name are as it asks: to allow all of them, to deny one.
    fn holds(&self, (decides, names): (Decides, Names), values: &[(&str, &str)]) -> bool {
        let is_own = |name: &str| match (decides, names) {
            (Decides::Deny, Names::Query) => may_be_read_as(name, &self.name),
            _ => name == &*self.name,
        };
        let mut own = values.iter().filter(|(name, _)| is_own(name)).map(|(_, value)| *value);
        let fits = |value: &str| self.patterns.iter().any(|pattern| pattern.matches(value));
        match decides {
            Decides::Deny => own.any(fits),
            Decides::Allow | Decides::Nothing => own.next().is_some_and(fits) && own.all(fits),
        }
    }
}

/// Which names conditions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Keys of a query, which servers read in more than one way.
    Query,
    /// Others.
    Plain,
}

/// Whether all conditions hold.
pub(crate) fn hold(
    conditions: &[Condition],
    how: (Decides, Names),
    values: &[(&str, &str)],
) -> bool {
    conditions.iter().all(|condition| condition.holds(how, values))
}

/// Whether some server takes `key` of a query for `name`: without letter case, and with brackets
/// behind it, as in `a[]` and `a[0]`.
pub(crate) fn may_be_read_as(key: &str, name: &str) -> bool {
    let name = name.strip_suffix("[]").unwrap_or(name).as_bytes();
    let Some((head, tail)) = key.as_bytes().split_at_checked(name.len()) else { return false };
    head.eq_ignore_ascii_case(name) && (tail.is_empty() || matches!(tail, [b'[', .., b']']))
}

impl OperationCondition {
    /// Whether an operation is as it asks: to allow all of its fields, to deny one.
    pub fn holds<'a>(
        &self,
        decides: Decides,
        (kind, name): (OperationType, &str),
        mut fields: impl Iterator<Item = &'a str>,
    ) -> bool {
        let fits = |field: &str| self.fields.iter().any(|pattern| pattern.matches(field));
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
            && self.name.as_ref().is_none_or(|pattern| pattern.matches(name))
            && (self.fields.is_empty()
                || match decides {
                    Decides::Deny => fields.any(fits),
                    Decides::Allow | Decides::Nothing => {
                        fields.next().is_some_and(fits) && fields.all(fits)
                    }
                })
    }
}

/// How the rules of an endpoint read paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub case: Case,
    pub spelling: Spelling,
}

impl Reading {
    /// Each byte is itself.
    pub const AS_IS: Self = Self { case: Case::Exact, spelling: Spelling::AsIs };

    pub const fn of(case: PathCase, protocol: Protocol, decides: Decides) -> Self {
        let folded = folds(case, protocol, decides);
        // SECURITY: `%3A` and `:` are one to most servers, so a denial of the one is one of the
        // other. The path of a gRPC call is never decoded.
        let decoded = matches!(decides, Decides::Deny) && !matches!(protocol, Protocol::Grpc);
        Self {
            case: if folded { Case::Folded } else { Case::Exact },
            spelling: if decoded { Spelling::Decoded } else { Spelling::AsIs },
        }
    }
}

/// Whether rules of this kind compare paths without case. An endpoint's own path compares as its
/// allowing rules do.
const fn folds(case: PathCase, protocol: Protocol, decides: Decides) -> bool {
    match (case, decides) {
        // Services and methods of gRPC have letter case.
        _ if matches!(protocol, Protocol::Grpc) => false,
        (PathCase::Insensitive, _) | (PathCase::Careful, Decides::Deny) => true,
        (PathCase::Careful | PathCase::Sensitive, _) => false,
    }
}
