//! The text of a policy as this crate reads it: the published keys, as they stand there.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::question::Kind;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    pub network_policies: BTreeMap<String, Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: Option<String>,
    pub until: Option<String>,
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    #[serde(default)]
    pub binaries: Vec<Binary>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    pub path: String,
    pub sha256: Option<String>,
    #[serde(default)]
    pub descendants: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub host: Option<String>,
    pub port: Option<Ports>,
    #[serde(default)]
    pub ports: Vec<Ports>,
    #[serde(default)]
    pub allowed_ips: Vec<String>,
    /// How bytes are relayed, which no decision looks at.
    #[serde(rename = "tls")]
    _tls: Option<String>,
    pub path: Option<String>,
    #[serde(default)]
    pub path_case: PathCase,
    #[serde(default)]
    pub protocol: Protocol,
    #[serde(default)]
    pub enforcement: Enforcement,
    pub access: Option<Access>,
    #[serde(default)]
    pub rules: Vec<Allowing>,
    #[serde(default)]
    pub deny_rules: Vec<Clause>,
    #[serde(default)]
    pub persisted_queries: Persisted,
    #[serde(default)]
    pub graphql_persisted_queries: BTreeMap<String, Registered>,
    #[serde(default)]
    pub mcp: Mcp,
}

/// A port, or a range of them in a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Ports {
    One(u16),
    Range(String),
}

impl Ports {
    /// First and last.
    pub fn bounds(&self) -> Option<(u16, u16)> {
        match self {
            Self::One(port) => Some((*port, *port)),
            Self::Range(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum PathCase {
    #[default]
    Careful,
    #[serde(rename = "sensitive")]
    Sensitive,
    #[serde(rename = "insensitive")]
    Insensitive,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    #[default]
    #[serde(skip)]
    Absent,
    Tcp,
    Udp,
    Rest,
    #[serde(rename = "websocket")]
    WebSocket,
    #[serde(rename = "graphql")]
    GraphQl,
    JsonRpc,
    Mcp,
    Grpc,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    #[default]
    Enforce,
    Audit,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    ReadOnly,
    ReadWrite,
    Full,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowing {
    pub allow: Clause,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    pub method: Option<String>,
    pub path: Option<String>,
    #[serde(default)]
    pub query: BTreeMap<String, Patterns>,
    #[serde(default)]
    pub headers: BTreeMap<String, Patterns>,
    #[serde(default)]
    pub params: BTreeMap<String, Patterns>,
    pub operation_type: Option<String>,
    pub operation_name: Option<String>,
    #[serde(default)]
    pub fields: Vec<String>,
    pub tool: Option<String>,
    pub service: Option<String>,
}

impl Clause {
    /// Whether it speaks of GraphQL operations.
    pub fn names_operations(&self) -> bool {
        self.operation_type.is_some() || self.operation_name.is_some() || !self.fields.is_empty()
    }
}

/// A pattern, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Patterns {
    One(String),
    Several { any: Vec<String> },
}

impl Patterns {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Several { any } => any,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Persisted {
    #[default]
    Deny,
    AllowRegistered,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    pub operation_type: Kind,
    #[serde(default)]
    pub operation_name: String,
    #[serde(default)]
    pub fields: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcp {
    pub strict_tool_names: Option<bool>,
    #[serde(default)]
    pub allow_all_known_mcp_methods: bool,
}
