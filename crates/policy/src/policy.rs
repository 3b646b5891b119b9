//! A compiled policy.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use openshell_types::{Digest, HostName};

use crate::address::{AddressClass, canonical, classify};
use crate::binary::BinaryTable;
use crate::compile::{BinaryPath, CompiledEndpoint, CompiledRule, Fit, HostKind, compile};
use crate::decision::{AddressRefusal, Caller, Decision, Denial, Destination, Grant, Predicate};
use crate::diagnostic::Diagnostic;
use crate::document::{Document, parse};
use crate::index::HostIndex;
use crate::settings::{Filesystem, Landlock, Process};

/// The policy of a sandbox that was given none: the default view, and no network.
pub const DEFAULT_TEXT: &str = "\
version: 1
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /bin, /sbin, /lib, /lib32, /lib64, /libx32, /opt, /nix/store, /etc, /proc]
  read_write: [/sandbox, /tmp, /dev]
landlock:
  compatibility: best_effort
process:
  run_as_user: sandbox
  run_as_group: sandbox
";

/// A policy as it is in force: checked, compiled and immutable.
#[derive(Clone, Debug)]
pub struct Policy {
    text: Arc<str>,
    digest: Digest,
    filesystem: Filesystem,
    process: Process,
    landlock: Landlock,
    pub(crate) rules: Arc<[CompiledRule]>,
    pub(crate) index: Arc<HostIndex>,
}

impl Policy {
    /// Reads, checks and compiles a policy text. With the policy come the warnings and notes;
    /// without it all errors, warnings and notes.
    pub fn compile(text: &str) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let parsed = parse(text);
        match parsed.document {
            Some(document) => Ok((Self::from_document(text, &document), parsed.diagnostics)),
            None => Err(parsed.diagnostics),
        }
    }

    /// The policy of [`DEFAULT_TEXT`].
    pub fn deny_all() -> Self {
        // A test holds that the text compiles; were it not so, an empty policy denies as well.
        match Self::compile(DEFAULT_TEXT) {
            Ok((policy, _)) => policy,
            Err(_) => Self::from_document(DEFAULT_TEXT, &Document::empty()),
        }
    }

    fn from_document(text: &str, document: &Document) -> Self {
        let (rules, index) = compile(document);
        Self {
            text: text.into(),
            digest: document.digest(),
            filesystem: document.filesystem.clone(),
            process: document.process,
            landlock: document.landlock,
            rules: rules.into(),
            index: Arc::new(index),
        }
    }

    /// Decides one connection. It allocates nothing, and its cost grows with the endpoints that
    /// name this very host, not with the policy.
    pub fn connect(&self, to: &Destination<'_>, by: &Caller, now: Timestamp) -> Decision {
        let mut judge = Judge { policy: self, to, by, now, allowed: None, closest: None };
        match to {
            Destination::Name(name, _) => {
                self.index.visit_name(name, &mut |grant| judge.consider(grant));
            }
            Destination::Address(address, _) => {
                // SECURITY: before any rule, and in every embedding (B3, B6).
                if matches!(classify(*address), AddressClass::Never(_)) {
                    let predicate = Predicate::NeverReachable;
                    return Decision::Deny(Denial { predicate, closest: None });
                }
                self.index.visit_address(*address, &mut |grant| judge.consider(grant));
            }
        }
        judge.verdict()
    }

    /// Whether a resolved address may be dialled under a grant. Every answer of a look-up must
    /// pass. A grant for the host's own loopback admits none: see [`Policy::host_loopback`].
    pub fn admits(&self, grant: &Grant, address: IpAddr) -> Result<(), AddressRefusal> {
        let class = classify(address);
        if matches!(class, AddressClass::Never(_)) {
            return Err(AddressRefusal::NeverReachable(address));
        }
        // A grant of another policy: fail closed.
        let Some(endpoint) = self.endpoint(grant) else {
            return Err(AddressRefusal::NotListed(address));
        };
        let listed = || endpoint.allowed_ips.iter().any(|range| range.contains(address));
        if !endpoint.allowed_ips.is_empty() && !listed() {
            return Err(AddressRefusal::NotListed(address));
        }
        match endpoint.kind {
            HostKind::Exact => Ok(()),
            HostKind::Address(own) if own == canonical(address) => Ok(()),
            HostKind::Loopback | HostKind::Address(_) => Err(AddressRefusal::NotListed(address)),
            HostKind::Wildcard | HostKind::None if !endpoint.allowed_ips.is_empty() => Ok(()),
            HostKind::Wildcard | HostKind::None if class == AddressClass::Public => Ok(()),
            HostKind::Wildcard | HostKind::None => Err(AddressRefusal::NotPublic(address)),
        }
    }

    /// Whether the grant is for the host's own loopback: dial 127.0.0.1 and the port asked for,
    /// without a look-up and without [`Policy::admits`].
    pub fn host_loopback(&self, grant: &Grant) -> bool {
        self.endpoint(grant).is_some_and(|endpoint| endpoint.kind == HostKind::Loopback)
    }

    /// Whether some rule, for any binary and any port, names this host.
    pub fn resolves(&self, name: &HostName) -> bool {
        let mut found = false;
        self.index.visit_name(name, &mut |_| found = true);
        found
    }

    /// The name of the rule that a grant comes from; empty for a grant of another policy.
    pub fn rule_name(&self, grant: &Grant) -> &str {
        self.rule(grant).map_or("", |rule| &rule.name)
    }

    /// The literal binary paths, to be resolved beneath the jail's root. Some may come twice.
    pub fn binary_paths(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.binaries).filter_map(|binary| match &binary.path {
            BinaryPath::Literal { path, .. } => Some(&**path),
            BinaryPath::Glob(_) => None,
        })
    }

    /// The same policy with its literal binary paths tied to files. Before that, and for paths that
    /// the table does not tie to a file, no literal path matches anything.
    #[must_use]
    pub fn bind(&self, table: &BinaryTable) -> Self {
        let mut rules: Vec<CompiledRule> = self.rules.to_vec();
        for binary in rules.iter_mut().flat_map(|rule| &mut rule.binaries) {
            binary.bind(table);
        }
        Self { rules: rules.into(), ..self.clone() }
    }

    /// What the agent may see and write.
    pub fn filesystem(&self) -> &Filesystem {
        &self.filesystem
    }

    /// As whom the agent runs.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What an absent path means.
    pub fn landlock(&self) -> Landlock {
        self.landlock
    }

    /// Digest of the canonical document: policies of the same meaning have the same.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn rule(&self, grant: &Grant) -> Option<&CompiledRule> {
        self.rules.get(usize::try_from(grant.rule).ok()?)
    }

    pub(crate) fn endpoint(&self, grant: &Grant) -> Option<&CompiledEndpoint> {
        self.rule(grant)?.endpoints.get(usize::try_from(grant.endpoint).ok()?)
    }
}

/// Collects the best verdict over the endpoints whose host matches.
struct Judge<'a> {
    policy: &'a Policy,
    to: &'a Destination<'a>,
    by: &'a Caller,
    now: Timestamp,
    /// The widest endpoint that allows; among equals that of the first rule.
    allowed: Option<(u8, Grant)>,
    /// The endpoint that came closest, by the predicate that failed.
    closest: Option<(Predicate, Grant)>,
}

impl Judge<'_> {
    fn consider(&mut self, grant: Grant) {
        let (Some(rule), Some(endpoint)) = (self.policy.rule(&grant), self.policy.endpoint(&grant))
        else {
            return;
        };
        let failed = if !endpoint.has_port(self.to.port()) {
            Predicate::Port
        } else {
            match rule.fit(self.by) {
                Fit::None => Predicate::Binary,
                Fit::Digest => Predicate::BinaryDigest,
                Fit::Full if rule.is_expired(self.now) => Predicate::Expired,
                Fit::Full => {
                    let candidate = (endpoint.narrowness(), grant);
                    let better = |(narrow, best): (u8, Grant)| {
                        (candidate.0, grant.rule, grant.endpoint)
                            < (narrow, best.rule, best.endpoint)
                    };
                    if self.allowed.is_none_or(better) {
                        self.allowed = Some(candidate);
                    }
                    return;
                }
            }
        };
        let better = |(predicate, best): (Predicate, Grant)| {
            let (old, new) = (closeness(predicate), closeness(failed));
            old < new || (old == new && (grant.rule, grant.endpoint) < (best.rule, best.endpoint))
        };
        if self.closest.is_none_or(better) {
            self.closest = Some((failed, grant));
        }
    }

    fn verdict(self) -> Decision {
        match (self.allowed, self.closest) {
            (Some((_, grant)), _) => Decision::Allow(grant),
            (None, Some((predicate, grant))) => {
                Decision::Deny(Denial { predicate, closest: Some(grant) })
            }
            (None, None) => Decision::Deny(Denial { predicate: Predicate::Host, closest: None }),
        }
    }
}

/// How far a connection came: predicates are tried in this order.
const fn closeness(predicate: Predicate) -> u8 {
    match predicate {
        Predicate::NeverReachable => 0,
        Predicate::Host => 1,
        Predicate::Port => 2,
        Predicate::Binary => 3,
        Predicate::BinaryDigest => 4,
        Predicate::Expired => 5,
    }
}
