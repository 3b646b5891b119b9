//! The rules that allow one request and as little else as rules can say.

use crate::document::OperationType;
use crate::document::findings::Spanned;
use crate::document::model::{Clause, OperationChoice, Protocol};
use crate::merge::operation::placed;
use crate::request::{Content, GraphqlOperation, Request};

/// What a request needs.
pub(super) struct Wanted {
    /// The protocol of an endpoint that is made for it.
    pub protocol: Protocol,
    pub clauses: Vec<Clause>,
    /// What the rules allow beside the request, a sentence each.
    pub widening: Vec<String>,
}

/// The rules for a request, or why there are none.
pub(super) fn wanted(request: &Request<'_>) -> Result<Wanted, String> {
    match request.content {
        Content::Plain => plain(request),
        Content::Message { operations: [], .. } => message(request, Vec::new()),
        Content::Message { operations, .. } => message(request, graphql(operations)?),
        Content::Graphql([]) => {
            Err("the request holds no operation, so no rule allows it".to_owned())
        }
        Content::Graphql(operations) => Ok(Wanted {
            protocol: Protocol::GraphQl,
            clauses: graphql(operations)?,
            widening: vec!["these operations at every path of the endpoint".to_owned()],
        }),
        Content::Rpc([]) => Err("the request holds no call, so no rule allows it".to_owned()),
        Content::Rpc(calls) => {
            let mut tools = false;
            let mut clauses = Vec::new();
            for call in calls {
                tools |= call.tool.is_some();
                clauses.push(Clause {
                    method: Some(literal(call.method)?),
                    tool: call.tool.map(literal).transpose()?,
                    ..Clause::default()
                });
            }
            let protocol = if tools { Protocol::Mcp } else { Protocol::JsonRpc };
            let widening = vec!["these calls with any parameters".to_owned()];
            Ok(Wanted { protocol, clauses, widening })
        }
    }
}

impl Wanted {
    /// Whether an endpoint of this protocol can judge it.
    pub fn fits(&self, protocol: Protocol) -> bool {
        protocol == self.protocol
            || matches!((self.protocol, protocol), (Protocol::JsonRpc, Protocol::Mcp))
    }
}

fn header<'a>(request: &Request<'a>, wanted: &str) -> Option<&'a str> {
    request.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

fn plain(request: &Request<'_>) -> Result<Wanted, String> {
    if matches!(request.method, "CONNECT" | "TRACE" | "PRI") {
        return Err(format!("`{}` is never relayed, so no rule names it", request.method));
    }
    let kind = header(request, "content-type").unwrap_or_default();
    if kind.starts_with("application/grpc") {
        return grpc(request);
    }
    let upgrade = header(request, "upgrade").unwrap_or_default();
    let socket = request.method == "GET" && upgrade.eq_ignore_ascii_case("websocket");
    let (path, mut widening) = path(request.path);
    if !request.query.is_empty() {
        widening.push("the request with any query".to_owned());
    }
    let method = Some(literal(request.method)?);
    let clauses = vec![Clause { method, path: Some(path), ..Clause::default() }];
    let protocol = if socket { Protocol::WebSocket } else { Protocol::Rest };
    Ok(Wanted { protocol, clauses, widening })
}

fn grpc(request: &Request<'_>) -> Result<Wanted, String> {
    let parts = request.path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let Some((service, method)) = parts.filter(|(_, method)| !method.contains('/')) else {
        return Err(format!("`{}` is not the path of a gRPC call", request.path));
    };
    let (service, method) = (Some(literal(service)?), Some(literal(method)?));
    let clauses = vec![Clause { service, method, ..Clause::default() }];
    Ok(Wanted { protocol: Protocol::Grpc, clauses, widening: Vec::new() })
}

fn message(request: &Request<'_>, operations: Vec<Clause>) -> Result<Wanted, String> {
    let (path, mut widening) = path(request.path);
    let on_path = |clause: Clause| Clause {
        method: Some(placed(request.method.to_owned())),
        path: Some(path.clone()),
        ..clause
    };
    let clauses = if operations.is_empty() {
        widening.push("every message over such a WebSocket".to_owned());
        vec![on_path(Clause::default())]
    } else {
        operations.into_iter().map(on_path).collect()
    };
    Ok(Wanted { protocol: Protocol::WebSocket, clauses, widening })
}

fn graphql(operations: &[GraphqlOperation<'_>]) -> Result<Vec<Clause>, String> {
    operations
        .iter()
        .map(|operation| match operation {
            GraphqlOperation::Hash(_) => Err("the request carries a hash in place of its \
                 operation; register it in `graphql_persisted_queries`"
                .to_owned()),
            GraphqlOperation::Document { operation_type, name, fields } => {
                operation_clause(*operation_type, name, fields)
            }
        })
        .collect()
}

fn operation_clause(kind: OperationType, name: &str, fields: &[&str]) -> Result<Clause, String> {
    Ok(Clause {
        operation_type: Some(OperationChoice::Only(kind)),
        operation_name: Some(literal(name)?),
        fields: fields.iter().map(|field| literal(field)).collect::<Result<_, _>>()?,
        ..Clause::default()
    })
}

/// A text as a pattern that it alone matches.
fn literal(text: &str) -> Result<Spanned<String>, String> {
    if text.contains('*') || text.chars().any(char::is_control) {
        return Err(format!("`{}` cannot be written as a pattern", text.escape_debug()));
    }
    Ok(placed(text.to_owned()))
}

/// A path as a pattern. What has no letter of its own in patterns becomes a star.
pub(crate) fn path(path: &str) -> (Spanned<String>, Vec<String>) {
    let special = |c: char| "*?[]\\#{}".contains(c) || c.is_control();
    if !path.chars().any(special) {
        return (placed(path.to_owned()), Vec::new());
    }
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if !special(character) {
            pattern.push(character);
        } else if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    let widening = vec![format!("every path like {pattern}: patterns cannot say {path} alone")];
    (placed(pattern), widening)
}
