//! A checked document to the tables that decisions are made from.

use jiff::Timestamp;
use openshell_types::{Digest, FileId, Port};

use crate::HOST_ALIAS;
use crate::binary::{BinaryTable, Binding};
use crate::decision::{Caller, Grant, Program};
use crate::document::{Binary, Document, Endpoint};
use crate::index::HostIndex;
use crate::pattern::{Glob, HostPattern, Network, PortRange};

/// A rule as it is matched.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub name: Box<str>,
    pub line: u32,
    pub until: Option<Timestamp>,
    pub endpoints: Box<[CompiledEndpoint]>,
    pub binaries: Box<[CompiledBinary]>,
}

/// An endpoint as it is matched; its host is in the index.
#[derive(Clone, Debug)]
pub(crate) struct CompiledEndpoint {
    pub line: u32,
    /// The host as the text has it; empty when it has none.
    pub host: Box<str>,
    pub kind: HostKind,
    pub ports: Box<[PortRange]>,
    pub allowed_ips: Box<[Network]>,
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

/// A binary as it is matched.
#[derive(Clone, Debug)]
pub(crate) struct CompiledBinary {
    pub path: BinaryPath,
    pub sha256: Option<Digest>,
    pub descendants: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum BinaryPath {
    /// A literal path and the files that it stands for; none before it is bound.
    Literal { path: Box<str>, files: Box<[FileId]> },
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

/// The rules in the order of their keys, and the index of their hosts.
pub(crate) fn compile(document: &Document) -> (Vec<CompiledRule>, HostIndex) {
    let mut sources: Vec<_> = document.rules.iter().collect();
    // The first match names the decision: as in the published policy, the smallest key.
    sources.sort_by(|a, b| a.key.value.cmp(&b.key.value));
    let mut index = HostIndex::default();
    let mut rules = Vec::with_capacity(sources.len());
    for (number, source) in (0_u32..).zip(sources) {
        for (endpoint, at) in source.endpoints.iter().zip(0_u32..) {
            index.insert(endpoint, Grant { rule: number, endpoint: at });
        }
        rules.push(CompiledRule {
            name: source.name.as_str().into(),
            line: source.key.at.line,
            until: source.until,
            endpoints: source.endpoints.iter().map(compile_endpoint).collect(),
            binaries: source.binaries.iter().map(compile_binary).collect(),
        });
    }
    (rules, index)
}

fn compile_endpoint(source: &Endpoint) -> CompiledEndpoint {
    let kind = match source.host.as_ref().map(|host| &host.value) {
        None => HostKind::None,
        Some(HostPattern::Exact(name)) if name.as_str() == HOST_ALIAS => HostKind::Loopback,
        Some(HostPattern::Exact(_)) => HostKind::Exact,
        Some(HostPattern::Address(address)) => HostKind::Address(*address),
        Some(HostPattern::Wildcard(_)) => HostKind::Wildcard,
    };
    CompiledEndpoint {
        line: source.at.line,
        host: source.host.as_ref().map(|host| host.value.to_string()).unwrap_or_default().into(),
        kind,
        ports: source.ports.as_slice().into(),
        allowed_ips: source.allowed_ips.iter().map(|range| range.value).collect(),
    }
}

fn compile_binary(source: &Binary) -> CompiledBinary {
    let text = source.path.value.as_str();
    let path = if Glob::is_glob(text) {
        BinaryPath::Glob(Glob::new(text))
    } else {
        BinaryPath::Literal { path: text.into(), files: Box::default() }
    };
    CompiledBinary { path, sha256: source.sha256, descendants: source.descendants }
}

impl CompiledEndpoint {
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

impl CompiledRule {
    /// How well the caller fits the rule's binaries.
    pub fn fit(&self, caller: &Caller) -> Fit {
        let mut best = Fit::None;
        for binary in &self.binaries {
            best = best.max(binary.fit(&caller.exe));
            if binary.descendants {
                for ancestor in &caller.ancestors {
                    best = best.max(binary.fit(ancestor));
                }
            }
            if best == Fit::Full {
                break;
            }
        }
        best
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

impl CompiledBinary {
    /// How well one program fits.
    pub fn fit(&self, program: &Program) -> Fit {
        let named = match &self.path {
            // SECURITY: the inode decides, not the path: a copy, a bind mount over the path or a
            // second file of that name is another program (J1).
            BinaryPath::Literal { files, .. } => files.contains(&program.file),
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
            BinaryPath::Literal { path, .. } => path,
            BinaryPath::Glob(glob) => glob.as_str(),
        }
    }

    pub fn bind(&mut self, table: &BinaryTable) {
        if let BinaryPath::Literal { path, files } = &mut self.path {
            *files = match table.get(path) {
                Some(Binding::Files(found)) => found.as_slice().into(),
                // SECURITY: a file that the agent can replace is not an identity.
                Some(Binding::Missing | Binding::Writable) | None => Box::default(),
            };
        }
    }
}
