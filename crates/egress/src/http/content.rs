//! What a request carries, where the policy looks beyond its head.
//!
//! | the path's endpoints judge | the request | it is judged as |
//! |---|---|---|
//! | GraphQL | has an operation in its body, or a GET in its query | the operations |
//! | GraphQL | has no body and nothing of an operation in its query | plain |
//! | GraphQL | is anything else | unread |
//! | calls | is a POST of calls | the calls |
//! | MCP | opens or ends a session's stream, or answers its server | `initialize`, which begins the session |
//! | calls | is no POST and has no body | plain |
//! | calls | is anything else | unread |
//!
//! What is unread is refused. It passes only as plain content, where the endpoints know nothing of
//! calls, no denial of GraphQL operations is there, and one of the most specific judges plain
//! content.

use openshell_codec::content::{self, ContentError, MediaType};
use openshell_codec::graphql::{self, GraphqlError, Operation, OperationType};
use openshell_codec::http1::Header;
use openshell_codec::json::Json;
use openshell_codec::rpc::{self, Message};
use openshell_policy::{Call, GraphqlOperation, Inspection};
use smallvec::SmallVec;

use crate::refusal::Refusal;

/// What a request carries, read.
#[derive(Debug)]
pub(super) enum Carried {
    /// Nothing beyond its head.
    Plain,
    /// GraphQL operations.
    Graphql(Vec<Operation>),
    /// Calls.
    Rpc(Vec<rpc::Call>),
    /// Something that could not be read.
    Unread(Unread),
}

/// Why a request could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) refusal: Refusal,
    /// Whether it may still pass as plain content.
    pub(super) may_be_plain: bool,
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub(super) method: &'a str,
    /// Of the query, decoded.
    pub(super) pairs: &'a [(&'a str, &'a str)],
    pub(super) headers: &'a [Header],
    /// Its codings undone; empty when there is none.
    pub(super) body: &'a [u8],
}

/// Whether a body has to be known as a whole.
pub(super) const fn is_read(inspection: &Inspection) -> bool {
    inspection.graphql || inspection.json_rpc || inspection.mcp
}

/// Reads a request as far as the endpoints of its path look. Several protocols on one path are
/// tried in the order of this function; no body is both.
pub(super) fn read(inspection: &Inspection, looked: &Looked<'_>) -> Carried {
    let judges_calls = inspection.json_rpc || inspection.mcp;
    let mut refusal = None;
    if inspection.graphql {
        match operations(looked) {
            Ok(Some(operations)) => return Carried::Graphql(operations),
            Ok(None) => {}
            Err(error) => refusal = Some(Refusal::invalid_graphql(error.to_string())),
        }
    }
    if judges_calls {
        match calls(looked, inspection.mcp) {
            Ok(Some(calls)) => return Carried::Rpc(calls),
            Ok(None) => {}
            Err(detail) => {
                refusal.get_or_insert_with(|| Refusal::invalid_call(detail));
            }
        }
    }
    match refusal {
        None => Carried::Plain,
        Some(refusal) => Carried::Unread(Unread { refusal, may_be_plain: !judges_calls }),
    }
}

/// The body that is judged, and that goes upstream in place of the raw one: `None` when they are
/// the same.
pub(super) fn decoded(
    inspection: &Inspection,
    headers: &[Header],
    raw: &[u8],
) -> Result<Option<Vec<u8>>, Refusal> {
    let longest = inspection.max_body_bytes as usize;
    if raw.len() > longest {
        return Err(Refusal::body_too_long(longest));
    }
    if raw.is_empty() {
        return Ok(None);
    }
    let refuse = |detail: String| {
        if inspection.graphql {
            Refusal::invalid_graphql(detail)
        } else {
            Refusal::invalid_call(detail)
        }
    };
    let codings: Option<Vec<&str>> =
        values(headers, "content-encoding").map(|value| std::str::from_utf8(value).ok()).collect();
    let codings = codings.ok_or_else(|| refuse(ContentError::Unknown.to_string()))?;
    if codings.is_empty() {
        return Ok(None);
    }
    // SECURITY: H3, N6; what cannot be decoded within bounds is not judged.
    match content::decode(&codings, raw, longest) {
        Ok(body) => Ok(Some(body)),
        Err(ContentError::TooLong) => Err(Refusal::body_too_long(longest)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn operations(looked: &Looked<'_>) -> Result<Option<Vec<Operation>>, GraphqlError> {
    let media_type = media_type(looked.headers).map_err(|()| GraphqlError::MediaType)?;
    let method = match looked.method {
        // SECURITY: many servers do for HEAD what they do for GET, and leave out the answer.
        "HEAD" => "GET",
        other => other,
    };
    let request = graphql::Request {
        method,
        pairs: looked.pairs,
        media_type: media_type.as_ref(),
        body: looked.body,
    };
    if method == "POST" {
        return graphql::operations(&request).map(Some);
    }
    if !looked.body.is_empty() {
        return Err(if method == "GET" { GraphqlError::Body } else { GraphqlError::Method });
    }
    match graphql::operations(&graphql::Request { method: "GET", ..request }) {
        Err(GraphqlError::NoDocument) => Ok(None),
        read if method == "GET" => read.map(Some),
        _ => Err(GraphqlError::Method),
    }
}

fn calls(looked: &Looked<'_>, is_mcp: bool) -> Result<Option<Vec<rpc::Call>>, String> {
    if looked.method != "POST" {
        return match looked.body {
            [] => Ok((is_mcp && is_of_session(looked)).then(|| vec![of_session()])),
            _ => Err("calls are sent with POST".to_owned()),
        };
    }
    let media_type = media_type(looked.headers);
    // SECURITY: H3; JSON that says to be text is JSON to some servers, and nothing to others.
    if !media_type.is_ok_and(|media_type| media_type.is_some_and(|own| own.is_json())) {
        return Err("the content type of a call is not application/json".to_owned());
    }
    let json = Json::parse(looked.body).map_err(|error| error.to_string())?;
    let messages = rpc::calls(&json).map_err(|error| error.to_string())?;
    let all = messages.len();
    let calls: Vec<rpc::Call> = messages
        .into_iter()
        .filter_map(|message| match message {
            Message::Call(call) => Some(call),
            Message::Response { .. } => None,
        })
        .collect();
    match calls.len() {
        count if count == all => Ok(Some(calls)),
        // SECURITY: H4; MCP's servers ask their clients, too, within a session and nowhere else.
        0 if is_mcp && has_session(looked.headers) => Ok(Some(vec![of_session()])),
        0 => Err("an answer without a question is no call".to_owned()),
        _ => Err("answers and calls do not stand in one batch".to_owned()),
    }
}

/// Whether it listens to, or ends, a session of MCP's Streamable HTTP (revision 2025-11-25, section
/// "Listening for Messages from the Server" and "Session Management").
fn is_of_session(looked: &Looked<'_>) -> bool {
    match looked.method {
        "GET" => values(looked.headers, "accept")
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next())
            .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream")),
        "DELETE" => has_session(looked.headers),
        _ => false,
    }
}

fn has_session(headers: &[Header]) -> bool {
    let mut ids = values(headers, "mcp-session-id");
    matches!((ids.next(), ids.next()), (Some([_, ..]), None))
}

/// The call that stands for what belongs to a session and is no call itself.
fn of_session() -> rpc::Call {
    rpc::Call { id: None, method: "initialize".to_owned(), tool: None, params: Vec::new() }
}

/// The versions of MCP that a request is of: by its header, by what begins a session, and by what
/// each call says.
pub(super) fn mcp_versions<'a>(
    headers: &'a [Header],
    calls: &'a [rpc::Call],
) -> Result<SmallVec<[&'a str; 2]>, &'static str> {
    let begins = |call: &&rpc::Call| {
        call.method == "initialize" && (call.id.is_some() || !call.params.is_empty())
    };
    let mut said = SmallVec::new();
    let mut stated = values(headers, "mcp-protocol-version");
    match (stated.next(), stated.next()) {
        (Some(version), None) => {
            said.push(std::str::from_utf8(version).map_err(|_| "has one that is no text")?);
        }
        // SECURITY: H7; which of two counts depends on the server.
        (Some(_), Some(_)) => return Err("names several in its head"),
        (None, _) if calls.iter().all(|call| begins(&call)) => {}
        (None, _) => said.push(UNSAID),
    }
    for call in calls.iter().filter(begins) {
        let mut named = call.params.iter().filter(|(name, _)| name == "protocolVersion");
        match (named.next(), named.next()) {
            (Some((_, version)), None) => said.push(version.as_str()),
            _ => return Err("does not name the one that it begins with"),
        }
    }
    let params = calls.iter().flat_map(|call| &call.params);
    said.extend(params.filter(|(name, _)| name == STATED).map(|(_, version)| version.as_str()));
    Ok(said)
}

/// For how many requests of a budget so many operations count.
pub(super) fn count(operations: usize) -> u64 {
    u64::try_from(operations).unwrap_or(u64::MAX).max(1)
}

/// The version of a request that says none (revision 2025-11-25, section "Protocol Version
/// Header").
const UNSAID: &str = "2025-03-26";

/// Where a call says its version (revision 2026-07-28, "Per-request protocol fields").
const STATED: &str = r"_meta.io\.modelcontextprotocol/protocolVersion";

fn values<'a>(headers: &'a [Header], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name == name).map(|header| header.value.as_slice())
}

/// The one media type, if there is one.
fn media_type(headers: &[Header]) -> Result<Option<MediaType>, ()> {
    let mut found = values(headers, "content-type");
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => MediaType::parse(value).map(Some).map_err(|_| ()),
        // SECURITY: H3; which of two counts depends on the server.
        (Some(_), Some(_)) => Err(()),
    }
}

/// Shows operations as the policy takes them.
pub(super) fn with_operations<T>(
    operations: &[Operation],
    show: impl FnOnce(&[GraphqlOperation<'_>]) -> T,
) -> T {
    let fields: Vec<Vec<&str>> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Document { fields, .. } => fields.iter().map(String::as_str).collect(),
            Operation::Hash(_) => Vec::new(),
        })
        .collect();
    let shown: Vec<GraphqlOperation<'_>> = operations
        .iter()
        .zip(&fields)
        .map(|(operation, fields)| match operation {
            Operation::Document { operation_type, name, .. } => GraphqlOperation::Document {
                operation_type: match operation_type {
                    OperationType::Query => openshell_policy::OperationType::Query,
                    OperationType::Mutation => openshell_policy::OperationType::Mutation,
                    OperationType::Subscription => openshell_policy::OperationType::Subscription,
                },
                name,
                fields,
            },
            Operation::Hash(hash) => GraphqlOperation::Hash(hash),
        })
        .collect();
    show(&shown)
}

/// Shows calls as the policy takes them.
pub(super) fn with_calls<T>(calls: &[rpc::Call], show: impl FnOnce(&[Call<'_>]) -> T) -> T {
    let params: Vec<Vec<(&str, &str)>> = calls
        .iter()
        .map(|call| call.params.iter().map(|(name, value)| (&**name, &**value)).collect())
        .collect();
    let shown: Vec<Call<'_>> = calls
        .iter()
        .zip(&params)
        .map(|(call, params)| Call { method: &call.method, tool: call.tool.as_deref(), params })
        .collect();
    show(&shown)
}

/// Operations in words for the audit, as many as a record has.
pub(super) fn words(operations: &[Operation]) -> Vec<String> {
    operations
        .iter()
        .take(openshell_audit::limits::OPERATIONS)
        .map(|operation| match operation {
            Operation::Document { operation_type, fields, .. } => {
                let kind = match operation_type {
                    OperationType::Query => "query",
                    OperationType::Mutation => "mutation",
                    OperationType::Subscription => "subscription",
                };
                let fields: Vec<&str> = fields.iter().take(WORDS).map(String::as_str).collect();
                format!("{kind} {}", fields.join(","))
            }
            Operation::Hash(hash) => format!("hash {hash}"),
        })
        .collect()
}

impl Carried {
    /// For how many requests of a budget it counts.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Plain | Self::Unread(_) => 1,
            Self::Graphql(operations) => count(operations.len()),
            Self::Rpc(calls) => count(calls.len()),
        }
    }

    /// What is asked for, in words for the audit.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Plain | Self::Unread(_) => Vec::new(),
            Self::Graphql(operations) => words(operations),
            Self::Rpc(calls) => calls
                .iter()
                .take(openshell_audit::limits::OPERATIONS)
                .map(|call| match &call.tool {
                    Some(tool) => format!("{} {tool}", call.method),
                    None => call.method.clone(),
                })
                .collect(),
        }
    }
}

/// Most root fields that are named of one operation.
const WORDS: usize = 16;
