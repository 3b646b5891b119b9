//! What is asked of a policy for one request, and what it answers.
//!
//! The reader of the protocol (`codec`) makes these values; everything is borrowed, so that a
//! decision allocates nothing. `SEMANTICS.md` says what they mean.

use crate::decision::Grant;
use crate::document::{OperationType, Protocol};

/// One request within an allowed connection.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method as it was sent; `WEBSOCKET_TEXT` for a client's message.
    pub method: &'a str,
    /// The canonical path, from its first `/`, without a query. It is what goes upstream.
    pub path: &'a str,
    /// Query keys and values, decoded, in the order of the request.
    pub query: &'a [(&'a str, &'a str)],
    /// Header names in lower case, and values, in the order of the request.
    pub headers: &'a [(&'a str, &'a str)],
    /// What it carries, as far as the endpoint's protocol looks.
    pub content: Content<'a>,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing that is looked at: the head says it all.
    Plain,
    /// A WebSocket text message and the GraphQL operations in it.
    Message {
        /// Its operations; none when it is no GraphQL.
        operations: &'a [GraphqlOperation<'a>],
        /// A control message of a GraphQL subprotocol, such as a ping.
        control: bool,
    },
    /// GraphQL operations, several in a batch.
    Graphql(&'a [GraphqlOperation<'a>]),
    /// JSON-RPC or MCP calls, several in a batch.
    Rpc(&'a [Call<'a>]),
}

/// One GraphQL operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphqlOperation<'a> {
    /// It came with its document.
    Document {
        /// What kind.
        operation_type: OperationType,
        /// Its name; empty when it has none.
        name: &'a str,
        /// The names of its root fields, not their aliases; fragments are followed.
        fields: &'a [&'a str],
    },
    /// It came as a hash of a document that the server knows.
    Hash(&'a str),
}

/// One JSON-RPC or MCP call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a str,
    /// The tool of a `tools/call`: `params.name`.
    pub tool: Option<&'a str>,
    /// The scalars in its `params`: dotted path, JSON text without quotes. The items of an array
    /// stand one by one under the path of the array.
    pub params: &'a [(&'a str, &'a str)],
}

/// How the requests to one path have to be read, so that every endpoint which covers it can judge
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Some endpoint judges GraphQL operations.
    pub graphql: bool,
    /// Some endpoint judges JSON-RPC calls.
    pub json_rpc: bool,
    /// Some endpoint judges MCP calls.
    pub mcp: bool,
    /// Some endpoint judges WebSocket messages.
    pub websocket: bool,
    /// Some endpoint judges gRPC calls.
    pub grpc: bool,
    /// Longest body or message that is judged, in bytes; a longer one is denied.
    pub max_body_bytes: u32,
    /// `%2F` in the path is data, and kept.
    pub encoded_slash: bool,
    /// Some rule names query keys.
    pub query: bool,
}

/// What one endpoint of mcp says about versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McpVersions<'a> {
    /// Those that it admits; others are denied.
    pub admitted: &'a [Box<str>],
    /// The name of its rule.
    pub rule: &'a str,
    /// The line of the endpoint.
    pub line: u32,
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allow(RequestGrant),
    /// It is denied, and the endpoint only asks for a note of that: it may pass.
    Audit(RequestDenial),
    /// It may not pass.
    Deny(RequestDenial),
}

/// What allowed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestGrant {
    pub(crate) endpoint: Grant,
    /// Position of the allowing rule in the endpoint's `rules`; none with a preset or where
    /// requests are not judged.
    pub(crate) clause: Option<u32>,
}

/// Why a request was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDenial {
    /// What failed.
    pub refused: Refused,
    /// The endpoint that denied, or that came closest to allowing.
    pub(crate) endpoint: Option<Grant>,
    /// Position of the denying rule in the endpoint's `deny_rules`.
    pub(crate) clause: Option<u32>,
}

/// A predicate of the request's decision that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The connection itself is not, or no longer, allowed.
    Connection,
    /// The endpoints there are narrowed to other paths.
    Path,
    /// No endpoint there judges requests of this kind.
    Protocol,
    /// No allowing rule matches.
    Rule,
    /// A denying rule matches.
    DenyRule,
}

impl Refused {
    /// The stable word that stands in denials and audit events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Path => "path",
            Self::Protocol => "protocol",
            Self::Rule => "rule",
            Self::DenyRule => "deny_rule",
        }
    }
}

impl RequestGrant {
    /// The endpoint that allowed.
    pub const fn endpoint(&self) -> &Grant {
        &self.endpoint
    }

    /// Position of the allowing rule in the endpoint's `rules`, counted from 0.
    pub const fn clause(&self) -> Option<u32> {
        self.clause
    }
}

impl RequestDenial {
    /// The endpoint that denied, or that came closest to allowing.
    pub const fn endpoint(&self) -> Option<&Grant> {
        self.endpoint.as_ref()
    }

    /// Position of the denying rule in the endpoint's `deny_rules`, counted from 0.
    pub const fn clause(&self) -> Option<u32> {
        self.clause
    }
}

impl Request<'_> {
    /// Whether an endpoint of this protocol judges such a request.
    pub(crate) fn judged_by(&self, protocol: Protocol) -> bool {
        match self.content {
            // Of a WebSocket's heads there is one: the upgrade.
            Content::Plain if protocol == Protocol::WebSocket => self.method == "GET",
            Content::Plain => matches!(protocol, Protocol::Rest | Protocol::Grpc),
            Content::Message { .. } => matches!(protocol, Protocol::WebSocket),
            Content::Graphql(_) => matches!(protocol, Protocol::GraphQl),
            Content::Rpc(_) => matches!(protocol, Protocol::JsonRpc | Protocol::Mcp),
        }
    }
}
