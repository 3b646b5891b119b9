//! What a document holds: every value with the place that it was read from, nothing interpreted
//! yet. `SEMANTICS.md` says what it means.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_types::Digest;

use super::findings::{Position, Spanned};
pub(crate) use crate::budget::Budget;
use crate::pattern::{HostPattern, Network, PortRange};

/// One entry of `network_policies`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub key: Spanned<String>,
    pub name: String,
    pub until: Option<Timestamp>,
    pub endpoints: Vec<Endpoint>,
    pub binaries: Vec<Binary>,
}

/// Who.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub path: Spanned<String>,
    pub sha256: Option<Digest>,
    pub descendants: bool,
}

/// Where to, and what may be asked there.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub at: Position,
    pub host: Option<Spanned<HostPattern>>,
    pub ports: Vec<PortRange>,
    pub allowed_ips: Vec<Spanned<Network>>,
    /// `tls: skip`: relayed as it is, whatever it carries.
    pub raw: bool,
    /// Narrows the endpoint to a part of its host.
    pub path: Option<Spanned<String>>,
    pub path_case: PathCase,
    pub protocol: Protocol,
    pub enforcement: Enforcement,
    pub access: Option<Access>,
    /// Allowing.
    pub rules: Vec<Clause>,
    /// Denying.
    pub deny_rules: Vec<Clause>,
    pub options: Options,
}

/// What is judged beyond the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Nothing; TCP.
    #[default]
    Opaque,
    /// Nothing; TCP, said so.
    Tcp,
    /// Nothing; UDP.
    Udp,
    /// HTTP requests.
    Rest,
    /// WebSocket upgrades and messages.
    WebSocket,
    /// GraphQL operations over HTTP.
    GraphQl,
    /// JSON-RPC calls over HTTP.
    JsonRpc,
    /// MCP calls over Streamable HTTP.
    Mcp,
    /// gRPC calls.
    Grpc,
}

impl Protocol {
    /// The word in the text; `None` when none is written.
    pub(crate) const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Opaque => None,
            Self::Tcp => Some("tcp"),
            Self::Udp => Some("udp"),
            Self::Rest => Some("rest"),
            Self::WebSocket => Some("websocket"),
            Self::GraphQl => Some("graphql"),
            Self::JsonRpc => Some("json-rpc"),
            Self::Mcp => Some("mcp"),
            Self::Grpc => Some("grpc"),
        }
    }

    /// Whether requests are judged one by one.
    pub const fn judges_requests(self) -> bool {
        !matches!(self, Self::Opaque | Self::Tcp | Self::Udp)
    }
}

/// Whether a denial stops a request or is only noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Enforcement {
    #[default]
    Enforce,
    Audit,
}

/// How paths compare; see `SEMANTICS.md`, section 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PathCase {
    /// Allowing exact, denying without regard to case.
    #[default]
    Careful,
    Sensitive,
    Insensitive,
}

/// A preset in place of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
    Full,
}

/// One allowing or denying rule. Fields that are absent match anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clause {
    pub at: Position,
    pub method: Option<Spanned<String>>,
    pub path: Option<Spanned<String>>,
    pub query: BTreeMap<String, Patterns>,
    /// Names in lower case.
    pub headers: BTreeMap<String, Patterns>,
    pub params: BTreeMap<String, Patterns>,
    pub operation_type: Option<OperationChoice>,
    pub operation_name: Option<Spanned<String>>,
    /// Empty: absent.
    pub fields: Vec<Spanned<String>>,
    pub tool: Option<Spanned<String>>,
    pub service: Option<Spanned<String>>,
}

/// The patterns of which one must match a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(pub Vec<Spanned<String>>);

/// What kind of GraphQL operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationType {
    /// Reads.
    Query,
    /// Writes.
    Mutation,
    /// Listens.
    Subscription,
}

/// Which kinds of GraphQL operations a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum OperationChoice {
    /// `*`.
    Any,
    /// One kind.
    Only(OperationType),
}

/// What else an endpoint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub allow_encoded_slash: bool,
    pub websocket_credential_rewrite: bool,
    pub request_body_credential_rewrite: bool,
    pub allow_uninspected_credentials: bool,
    /// `persisted_queries: allow_registered` with the operations by hash; `None`: deny.
    pub persisted_queries: Option<BTreeMap<String, PersistedQuery>>,
    /// Longest body that is parsed, in bytes; `None`: the default.
    pub max_body_bytes: Option<u32>,
    /// `strict_tool_names` of mcp, when it is said.
    pub strict_tool_names: Option<bool>,
    pub allow_all_known_mcp_methods: bool,
    /// Protocol versions of mcp; empty: any.
    pub mcp_versions: Vec<String>,
    pub signing: Option<Signing>,
    /// `credential_binding.provider`.
    pub credential_provider: Option<String>,
    pub budget: Option<Budget>,
}

/// A registered GraphQL operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersistedQuery {
    pub operation_type: OperationType,
    pub operation_name: String,
    pub fields: Vec<String>,
}

/// `credential_signing` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signing {
    pub mode: SigningMode,
    pub service: String,
    /// `None`: taken from the host.
    pub region: Option<String>,
}

/// How AWS Signature Version 4 treats the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SigningMode {
    /// `sigv4`.
    Auto,
    /// `sigv4:body`.
    Body,
    /// `sigv4:no_body`.
    NoBody,
}
