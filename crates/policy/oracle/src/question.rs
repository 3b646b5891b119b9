//! Questions and answers as plain values, in words of this crate.

use std::net::IpAddr;

use jiff::Timestamp;

/// A question to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// May this TCP connection be opened?
    Connect(Connection),
    /// May this UDP flow be opened?
    Datagram(Connection),
    /// May this request be sent over such a connection?
    Request(Connection, Asked),
}

impl Question {
    /// The connection that it is about.
    pub const fn connection(&self) -> &Connection {
        match self {
            Self::Connect(connection) | Self::Datagram(connection) => connection,
            Self::Request(connection, _) => connection,
        }
    }
}

/// Where to, by whom, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub to: Target,
    pub port: u16,
    pub exe: Program,
    pub ancestors: Vec<Program>,
    pub now: Timestamp,
}

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Name(String),
    Address(IpAddr),
}

/// One executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub inode: u64,
    pub path: Option<String>,
    /// Hexadecimal.
    pub sha256: Option<String>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub content: Carried,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    Plain,
    Message { operations: Vec<Operation>, control: bool },
    Graphql(Vec<Operation>),
    Rpc(Vec<Call>),
}

/// One GraphQL operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Document { kind: Kind, name: String, fields: Vec<String> },
    Hash(String),
}

/// What kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// One JSON-RPC or MCP call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub tool: Option<String>,
    pub params: Vec<(String, String)>,
}

/// An answer, as far as the page says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The rule's name, the endpoint's place in it when that is known, and the place of the
    /// allowing rule.
    Allow { rule: String, endpoint: Option<usize>, clause: Option<usize> },
    /// The word of the predicate, and the denying rule: name of the rule, place in the endpoint.
    Deny { word: &'static str, by: Option<(String, Option<usize>)> },
    /// The same, but let through.
    Audit { word: &'static str, by: Option<(String, Option<usize>)> },
}

impl Answer {
    /// Whether the two agree. An endpoint's place counts when both know it.
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Allow { rule, endpoint, clause },
                Self::Allow { rule: other_rule, endpoint: other_endpoint, clause: other_clause },
            ) => {
                let places = endpoint.zip(*other_endpoint).is_none_or(|(a, b)| a == b);
                rule == other_rule && clause == other_clause && places
            }
            _ => self == other,
        }
    }

    /// The word that the answer is counted under.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow",
            Self::Deny { word, .. } | Self::Audit { word, .. } => word,
        }
    }
}
