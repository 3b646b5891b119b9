//! Rules, endpoints and binaries as they are looked up by a decision and its explanation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_types::{Digest, Port};

use super::binary::Bound;
use crate::HOST_ALIAS;
use crate::budget::{Budget, BudgetId};
use crate::decision::Program;
use crate::document::model::PersistedQuery;
use crate::document::{Binary, Endpoint, Protocol, Rule};
use crate::limits::BODY_BYTES;
use crate::pattern::{Glob, HostPattern, Network, PortRange};

/// A rule as it is matched.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub key: Box<str>,
    pub name: Box<str>,
    pub line: u32,
    pub until: Option<Timestamp>,
    pub endpoints: Box<[CompiledEndpoint]>,
    pub binaries: Box<[CompiledBinary]>,
}

/// An endpoint as it is matched; where it is found is in the index.
#[derive(Clone, Debug)]
pub(crate) struct CompiledEndpoint {
    pub line: u32,
    /// The host as the text has it; empty when it has none.
    pub host: Box<str>,
    pub kind: HostKind,
    pub ports: Box<[PortRange]>,
    pub allowed_ips: Box<[Network]>,
    /// As the text has it.
    pub path: Option<Box<str>>,
    pub protocol: Protocol,
    pub preset: bool,
    /// Lines of its allowing and its denying rules.
    pub rules: Box<[u32]>,
    pub deny_rules: Box<[u32]>,
    /// Registered GraphQL operations by the hash of their documents.
    pub persisted: BTreeMap<String, PersistedQuery>,
    /// Longest body that is judged, in bytes.
    pub max_body_bytes: u32,
    /// The query keys that its rules name.
    pub query_keys: Box<[Box<str>]>,
    /// What may pass, and with what else it is counted.
    pub budget: Option<(BudgetId, Budget)>,
    /// Protocol versions of mcp; empty: any.
    pub mcp_versions: Box<[Box<str>]>,
}

/// How the host was declared, which says what its addresses may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKind {
    /// `host.openshell.internal`.
    Loopback,
    /// A name.
    Exact,
    /// An address.
    Address(std::net::IpAddr),
    /// A name pattern.
    Wildcard,
    /// None: addresses out of `allowed_ips`.
    None,
}

/// A binary as its rule has it.
#[derive(Clone, Debug)]
pub(crate) struct CompiledBinary {
    pub path: BinaryPath,
    pub sha256: Option<Digest>,
    pub descendants: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum BinaryPath {
    /// A literal path; which files it stands for is bound later.
    Literal(Box<str>),
    /// A pattern over paths.
    Glob(Glob),
}

/// How well a program fits a binary or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    None,
    /// The path fits and the content does not.
    Digest,
    Full,
}

impl CompiledRule {
    pub fn of(source: &Rule) -> Self {
        Self {
            key: source.key.value.as_str().into(),
            name: source.name.as_str().into(),
            line: source.key.at.line,
            until: source.until,
            endpoints: source
                .endpoints
                .iter()
                .map(|one| CompiledEndpoint::of(source, one))
                .collect(),
            binaries: source.binaries.iter().map(CompiledBinary::of).collect(),
        }
    }

    pub fn bytes(&self) -> usize {
        let lists = self.endpoints.iter().map(|endpoint| {
            size_of_val(&*endpoint.ports)
                .saturating_add(size_of_val(&*endpoint.allowed_ips))
                .saturating_add(size_of_val(&*endpoint.rules))
                .saturating_add(size_of_val(&*endpoint.deny_rules))
                .saturating_add(endpoint.host.len())
                .saturating_add(endpoint.persisted.len().saturating_mul(200))
        });
        let texts = self.binaries.iter().map(|binary| binary.text().len().saturating_mul(2));
        size_of_val(&*self.endpoints)
            .saturating_add(size_of_val(&*self.binaries))
            .saturating_add(lists.chain(texts).sum())
    }
}

impl CompiledEndpoint {
    fn of(rule: &Rule, source: &Endpoint) -> Self {
        let kind = match source.host.as_ref().map(|host| &host.value) {
            None => HostKind::None,
            Some(HostPattern::Exact(name)) if name.as_str() == HOST_ALIAS => HostKind::Loopback,
            Some(HostPattern::Exact(_)) => HostKind::Exact,
            Some(HostPattern::Address(address)) => HostKind::Address(*address),
            Some(HostPattern::Wildcard(_)) => HostKind::Wildcard,
        };
        let host = source.host.as_ref().map(|host| host.value.to_string()).unwrap_or_default();
        Self {
            line: source.at.line,
            host: host.into(),
            kind,
            ports: source.ports.as_slice().into(),
            allowed_ips: source.allowed_ips.iter().map(|range| range.value).collect(),
            path: source.path.as_ref().map(|path| path.value.as_str().into()),
            protocol: source.protocol,
            preset: source.access.is_some(),
            rules: source.rules.iter().map(|clause| clause.at.line).collect(),
            deny_rules: source.deny_rules.iter().map(|clause| clause.at.line).collect(),
            persisted: source.options.persisted_queries.clone().unwrap_or_default(),
            max_body_bytes: source.options.max_body_bytes.unwrap_or(BODY_BYTES),
            query_keys: query_keys(source),
            budget: source
                .options
                .budget
                .map(|budget| (BudgetId::of(rule, source, budget.per), budget)),
            mcp_versions: source
                .options
                .mcp_versions
                .iter()
                .map(|one| one.as_str().into())
                .collect(),
        }
    }

    pub fn has_port(&self, port: Port) -> bool {
        self.ports.iter().any(|range| range.contains(port))
    }

    /// Lower admits more addresses. Of several endpoints that allow a connection the one that
    /// admits most judges its addresses, so that adding a rule never takes an allow away.
    pub fn narrowness(&self) -> u8 {
        match (self.kind, self.allowed_ips.is_empty()) {
            (HostKind::Loopback, _) => 0,
            (HostKind::Exact | HostKind::Address(_), true) => 1,
            (HostKind::Exact | HostKind::Address(_), false) => 2,
            (HostKind::Wildcard, true) => 3,
            (HostKind::Wildcard, false) => 4,
            (HostKind::None, _) => 5,
        }
    }
}

fn query_keys(source: &Endpoint) -> Box<[Box<str>]> {
    let clauses = source.rules.iter().chain(&source.deny_rules);
    let mut keys: Vec<Box<str>> =
        clauses.flat_map(|clause| clause.query.keys()).map(|key| key.as_str().into()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into()
}

impl CompiledBinary {
    fn of(source: &Binary) -> Self {
        let text = source.path.value.as_str();
        let path = if Glob::is_glob(text) {
            BinaryPath::Glob(Glob::new(text))
        } else {
            BinaryPath::Literal(text.into())
        };
        Self { path, sha256: source.sha256, descendants: source.descendants }
    }

    /// How well one program fits; for explanations. Decisions look programs up.
    pub fn fit(&self, program: &Program, bound: &Bound<'_>) -> Fit {
        let named = match &self.path {
            BinaryPath::Literal(path) => bound.is(path, program.file),
            BinaryPath::Glob(glob) => {
                program.path.as_deref().is_some_and(|path| glob.matches(path))
            }
        };
        match (named, self.sha256) {
            (false, _) => Fit::None,
            (true, None) => Fit::Full,
            (true, Some(wanted)) if program.sha256 == Some(wanted) => Fit::Full,
            (true, Some(_)) => Fit::Digest,
        }
    }

    /// The path or glob as the text has it.
    pub fn text(&self) -> &str {
        match &self.path {
            BinaryPath::Literal(path) => path,
            BinaryPath::Glob(glob) => glob.as_str(),
        }
    }
}
