//! JSON-RPC 2.0 messages of a client, MCP's among them.
//!
//! A call's `params` become the pairs that rules look at: the dotted path of each scalar, and its
//! JSON text without quotes. The items of an array, and of arrays in it, stand one by one under the
//! path of the array; objects and null are no values. In a name that has a `.` or a `\` itself these
//! are written `\.` and `\\`: the member `a.b` is `a\.b`, never the member `b` of `a`.
//!
//! Two names in one object that differ only in letter case are refused: some servers bind members
//! without regard to it, and would use the one that no rule looked at.

mod params;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::json::{Json, Object};

/// Most messages of one batch: each of them is judged.
pub const BATCH: usize = 256;
/// Longest method, in bytes.
pub const METHOD_BYTES: usize = 1024;
/// Longest path of a scalar in `params`, in bytes.
pub const PATH_BYTES: usize = 4096;
/// Most bytes that the paths of a batch take in all: a long name is repeated before each scalar in it.
pub const PATHS_BYTES: usize = 8 * 1024 * 1024;

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request or a notification.
    Call(Call),
    /// An answer, which is only in order when the server asked for it.
    Response {
        /// The question.
        id: Id,
    },
}

/// A request, or a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id; a notification has none.
    pub id: Option<Id>,
    /// Its method.
    pub method: String,
    /// The tool of a `tools/call`: `params.name`.
    pub tool: Option<String>,
    /// The scalars in its `params`: dotted path, JSON text without quotes.
    pub params: Vec<(String, String)>,
}

/// What ties an answer to its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// `null`: the question could not be read.
    Null,
    /// A number, as it was written.
    Number(String),
    /// A string.
    String(String),
}

/// Why messages were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    /// Neither an object nor an array.
    #[error("the JSON-RPC body is neither a message nor a batch")]
    Shape,
    /// A batch without messages.
    #[error("the JSON-RPC batch is empty")]
    EmptyBatch,
    /// More than [`BATCH`] messages.
    #[error("the JSON-RPC batch has more than {BATCH} messages")]
    LongBatch,
    /// Not `"jsonrpc": "2.0"`.
    #[error("the message does not say that it is JSON-RPC 2.0")]
    Version,
    /// A member that JSON-RPC does not have.
    #[error("the message has a member that JSON-RPC does not know")]
    Member,
    /// Neither a call nor an answer, or both.
    #[error("the message is not plainly a call or an answer")]
    Kind,
    /// An `id` that is no string, number or null, or an answer without one.
    #[error("the id of the message is missing or of a wrong type")]
    Id,
    /// A `method` that is no string, is empty, longer than [`METHOD_BYTES`] or has control characters.
    #[error("the method of the call is malformed")]
    Method,
    /// `params` that are neither an object nor an array.
    #[error("the params of the call are neither an object nor an array")]
    Params,
    /// A tool that is no string, or has control characters.
    #[error("the name of the tool is malformed")]
    Tool,
    /// A name in `params` that has control characters, or is another but for its letter case.
    #[error("a name in the params of the call can be read in two ways")]
    Name,
    /// Longer than [`PATH_BYTES`], or all longer than [`PATHS_BYTES`].
    #[error("the names in the params of the call are too long")]
    LongPath,
}

/// The messages in a body: one, or those of a batch.
pub fn calls(body: &Json) -> Result<Vec<Message>, RpcError> {
    let mut room = PATHS_BYTES;
    match body {
        Json::Object(object) => Ok(vec![message(object, &mut room)?]),
        Json::Array(items) if items.is_empty() => Err(RpcError::EmptyBatch),
        Json::Array(items) if items.len() > BATCH => Err(RpcError::LongBatch),
        Json::Array(items) => items
            .iter()
            .map(|item| message(item.as_object().ok_or(RpcError::Shape)?, &mut room))
            .collect(),
        _ => Err(RpcError::Shape),
    }
}

/// `room` is how many bytes of paths may still come.
fn message(object: &Object, room: &mut usize) -> Result<Message, RpcError> {
    let mut members = Members::of(object)?;
    if members.version.and_then(Json::as_str) != Some("2.0") {
        return Err(RpcError::Version);
    }
    let id = members.id.take().map(id).transpose()?;
    match (members.method, members.params, members.result, members.error) {
        (Some(method), params, None, None) => Ok(Message::Call(call(id, method, params, room)?)),
        (None, None, Some(_), None) | (None, None, None, Some(_)) => {
            Ok(Message::Response { id: id.ok_or(RpcError::Id)? })
        }
        // SECURITY: H4; a server that looks for `method` first and a proxy that looks for `result`
        // first would take one message for two.
        _ => Err(RpcError::Kind),
    }
}

/// What a message can have.
#[derive(Default)]
struct Members<'a> {
    version: Option<&'a Json>,
    id: Option<&'a Json>,
    method: Option<&'a Json>,
    params: Option<&'a Json>,
    result: Option<&'a Json>,
    error: Option<&'a Json>,
}

impl<'a> Members<'a> {
    fn of(object: &'a Object) -> Result<Self, RpcError> {
        let mut members = Self::default();
        for (name, value) in object.iter() {
            let member = match name {
                "jsonrpc" => &mut members.version,
                "id" => &mut members.id,
                "method" => &mut members.method,
                "params" => &mut members.params,
                "result" => &mut members.result,
                "error" => &mut members.error,
                // SECURITY: `Method` is the method to a server that ignores letter case.
                _ => return Err(RpcError::Member),
            };
            *member = Some(value);
        }
        Ok(members)
    }
}

fn id(value: &Json) -> Result<Id, RpcError> {
    match value {
        Json::Null => Ok(Id::Null),
        Json::Number(number) => Ok(Id::Number(number.as_str().to_owned())),
        Json::String(text) => Ok(Id::String(text.clone())),
        _ => Err(RpcError::Id),
    }
}

fn call(
    id: Option<Id>,
    method: &Json,
    params: Option<&Json>,
    room: &mut usize,
) -> Result<Call, RpcError> {
    let method = method.as_str().ok_or(RpcError::Method)?;
    if method.is_empty() || method.len() > METHOD_BYTES || method.contains(char::is_control) {
        return Err(RpcError::Method);
    }
    let tool = match (method, params) {
        (TOOL_CALL, Some(Json::Object(params))) => tool(params)?,
        _ => None,
    };
    let params = match params {
        // Null is what some clients write for none, and no server has another reading.
        None | Some(Json::Null) => Vec::new(),
        Some(params @ (Json::Object(_) | Json::Array(_))) => params::scalars(params, room)?,
        Some(_) => return Err(RpcError::Params),
    };
    Ok(Call { id, method: method.to_owned(), tool, params })
}

fn tool(params: &Object) -> Result<Option<String>, RpcError> {
    match params.get("name") {
        None => Ok(None),
        // SECURITY: H6; a NUL ends the name for whoever keeps it as a C string.
        Some(Json::String(name)) if !name.contains(char::is_control) => Ok(Some(name.clone())),
        Some(_) => Err(RpcError::Tool),
    }
}

/// MCP's method that calls a tool.
const TOOL_CALL: &str = "tools/call";
