//! A compiled policy.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use openshell_types::{Digest, HostName};
use smallvec::SmallVec;

use crate::address::{AddressClass, canonical, classify};
use crate::binary::BinaryTable;
use crate::budget::Budgets;
use crate::check::is_always_writable;
use crate::compiled::{
    Binaries, BinaryPath, Bound, CompiledEndpoint, CompiledRule, HostKind, Index, Inspected, Judge,
    Transport, compile,
};
use crate::decision::{
    AddressRefusal, BoundEndpoint, Caller, Decision, Denial, Destination, Grant, Predicate,
};
use crate::diagnostic::Diagnostic;
use crate::document::{Document, parse};
use crate::request::{Inspection, McpVersions, Refused, Request, RequestDenial, Verdict};
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
    /// The text, read again for the first explanation that proposes an edit.
    document: Arc<OnceLock<Option<Document>>>,
    digest: Digest,
    filesystem: Filesystem,
    process: Process,
    landlock: Landlock,
    judges_requests: bool,
    names_udp: bool,
    unenforced: Option<Arc<Diagnostic>>,
    pub(crate) rules: Arc<[CompiledRule]>,
    index: Arc<Index>,
    binaries: Arc<Binaries>,
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

    pub(crate) fn from_document(text: &str, document: &Document) -> Self {
        let (rules, index) = compile(document);
        Self {
            text: text.into(),
            document: Arc::default(),
            digest: document.digest(),
            filesystem: document.filesystem.clone(),
            process: document.process,
            landlock: document.landlock,
            judges_requests: document.judges_requests(),
            names_udp: document.names_udp(),
            unenforced: document.unenforced().map(Arc::new),
            rules: rules.into(),
            index: Arc::new(index),
            binaries: Arc::default(),
        }
    }

    /// Decides one TCP connection. Its cost does not grow with the rules, and in the ordinary case
    /// it allocates nothing.
    pub fn connect(&self, to: &Destination<'_>, by: &Caller, now: Timestamp) -> Decision {
        self.index.connect(&self.binaries, (to, Transport::Tcp), by, now)
    }

    /// Decides one TCP connection by the rule of this key alone, whatever the others allow.
    pub fn connect_by(
        &self,
        key: &str,
        to: &Destination<'_>,
        by: &Caller,
        now: Timestamp,
    ) -> Decision {
        let found = self.rules.iter().zip(0_u32..).find(|(rule, _)| &*rule.key == key);
        match found {
            Some((_, rule)) => self.index.connect_by(&self.binaries, (to, by), rule, now),
            None => Decision::Deny(Denial { predicate: Predicate::Host, closest: None }),
        }
    }

    /// Decides whether UDP datagrams may be exchanged with a destination.
    pub fn datagram(&self, to: &Destination<'_>, by: &Caller, now: Timestamp) -> Decision {
        self.index.connect(&self.binaries, (to, Transport::Udp), by, now)
    }

    /// Decides one request over an allowed connection, at the same cost. The connection is decided
    /// anew: a rule may have expired since.
    pub fn request(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Verdict {
        let tables = (&*self.index, &*self.rules, &*self.binaries);
        match Judge::new(tables, to, by, request, now) {
            Some(judge) => judge.verdict(),
            None => Verdict::Deny(RequestDenial {
                refused: Refused::Connection,
                endpoint: None,
                clause: None,
            }),
        }
    }

    /// Whether requests over an allowed connection are judged: then nothing passes over it that is
    /// no request.
    pub fn inspects(&self, to: &Destination<'_>, by: &Caller, now: Timestamp) -> bool {
        self.judges_requests
            && self
                .inspected((to, Transport::Tcp), by, None, now)
                .is_some_and(|place| place.judges())
    }

    /// How requests to a path have to be read before [`Policy::request`] is asked. The path is
    /// canonical but for encoded slashes, which are kept.
    pub fn inspection(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        path: &str,
        now: Timestamp,
    ) -> Inspection {
        let place = self.inspected((to, Transport::Tcp), by, Some(path), now);
        // Without a place every request is denied, however it is read.
        place.map_or_else(Inspection::default, |place| place.inspection(&self.rules))
    }

    /// The budgets that cover a TCP connection, or with a path a request over it. The path is that
    /// of [`Policy::inspection`]. Where no endpoint has a budget this costs nothing.
    pub fn budgets(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        path: Option<&str>,
        now: Timestamp,
    ) -> Budgets<'_> {
        self.budgets_of((to, Transport::Tcp), by, path, now)
    }

    /// The budgets that cover the datagrams between a program and a destination.
    pub fn datagram_budgets(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        now: Timestamp,
    ) -> Budgets<'_> {
        self.budgets_of((to, Transport::Udp), by, None, now)
    }

    fn budgets_of(
        &self,
        to: (&Destination<'_>, Transport),
        by: &Caller,
        path: Option<&str>,
        now: Timestamp,
    ) -> Budgets<'_> {
        if !self.index.has_budgets() {
            return Budgets::new();
        }
        let place = self.inspected(to, by, path, now);
        place.map(|place| place.budgets(&self.rules)).unwrap_or_default()
    }

    /// What the endpoints that cover a request say about versions of MCP; each of them holds.
    pub fn mcp_versions(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        path: &str,
        now: Timestamp,
    ) -> SmallVec<[McpVersions<'_>; 2]> {
        if !self.index.has_mcp_versions() {
            return SmallVec::new();
        }
        let place = self.inspected((to, Transport::Tcp), by, Some(path), now);
        place.map(|place| place.mcp_versions(&self.rules)).unwrap_or_default()
    }

    /// The endpoints that give a program's requests to a path credentials, of whichever provider. The
    /// path is that of the request. Where no endpoint has a `credential_binding` this costs nothing.
    pub fn bound_endpoints(
        &self,
        to: &Destination<'_>,
        by: &Caller,
        path: &str,
        now: Timestamp,
    ) -> Vec<BoundEndpoint> {
        if !self.index.has_bindings() {
            return Vec::new();
        }
        let tables = (&*self.rules, &*self.binaries);
        self.index.bound_endpoints(tables, (to, by), path, now).unwrap_or_default()
    }

    fn inspected(
        &self,
        to: (&Destination<'_>, Transport),
        by: &Caller,
        path: Option<&str>,
        now: Timestamp,
    ) -> Option<Inspected<'_>> {
        Inspected::new((&self.index, &self.binaries), to, by, path, now)
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

    /// Whether the endpoint of a grant says itself to which addresses it may lead.
    pub fn lists_addresses(&self, grant: &Grant) -> bool {
        // A grant of another policy: fail closed.
        self.endpoint(grant).is_none_or(|endpoint| !endpoint.allowed_ips.is_empty())
    }

    /// Whether some rule, for any binary and any port, names this host.
    pub fn resolves(&self, name: &HostName) -> bool {
        self.index.names(name)
    }

    /// Whether some rule, for any binary and any port, lets UDP be spoken with this host.
    pub fn resolves_for_udp(&self, name: &HostName) -> bool {
        self.names_udp && self.index.names_for_udp(name)
    }

    /// The name of the rule that a grant comes from; empty for a grant of another policy.
    pub fn rule_name(&self, grant: &Grant) -> &str {
        self.rule(grant).map_or("", |rule| &rule.name)
    }

    /// The literal binary paths, to be resolved beneath the jail's root. Some may come twice.
    pub fn binary_paths(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.binaries).filter_map(|binary| match &binary.path {
            BinaryPath::Literal(path) => Some(&**path),
            BinaryPath::Glob(_) => None,
        })
    }

    /// Whether a path lies where the agent can write, so that it proves nothing about a program.
    pub fn agent_writes(&self, path: &str) -> bool {
        let beneath = |place: &String| {
            path.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        is_always_writable(path) || self.filesystem.read_write.iter().any(beneath)
    }

    /// The same policy with its literal binary paths tied to files. Before that, and for paths that
    /// the table does not tie to a file, no literal path matches anything.
    #[must_use]
    pub fn bind(&self, table: &BinaryTable) -> Self {
        Self { binaries: Arc::new(self.index.binaries.bind(table)), ..self.clone() }
    }

    /// How much of the heap the compiled policy takes, more or less; without its text.
    pub fn compiled_bytes(&self) -> usize {
        let rules: usize = self.rules.iter().map(CompiledRule::bytes).sum();
        rules
            .saturating_add(size_of_val(&*self.rules))
            .saturating_add(self.index.bytes())
            .saturating_add(self.binaries.bytes())
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

    /// Whether it says more than which connections may be opened; see
    /// [`Document::judges_requests`].
    pub fn judges_requests(&self) -> bool {
        self.judges_requests
    }

    /// Whether some endpoint is one of UDP.
    pub fn names_udp(&self) -> bool {
        self.names_udp
    }

    /// Why this build must refuse it, if it must; see [`Document::unenforced`].
    pub fn unenforced(&self) -> Option<&Diagnostic> {
        self.unenforced.as_deref()
    }

    /// Digest of the canonical document: policies of the same meaning have the same.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What came furthest of a TCP connection that is not allowed.
    pub(crate) fn closest(&self, to: &Destination<'_>, by: &Caller) -> Denial {
        self.index.closest(&self.binaries, to, by)
    }

    pub(crate) fn document(&self) -> Option<&Document> {
        self.document.get_or_init(|| parse(&self.text).document).as_ref()
    }

    pub(crate) fn bound(&self) -> Bound<'_> {
        Bound { index: &self.index.binaries, binaries: &self.binaries }
    }

    pub(crate) fn rule(&self, grant: &Grant) -> Option<&CompiledRule> {
        self.rules.get(usize::try_from(grant.rule).ok()?)
    }

    pub(crate) fn endpoint(&self, grant: &Grant) -> Option<&CompiledEndpoint> {
        self.rule(grant)?.endpoints.get(usize::try_from(grant.endpoint).ok()?)
    }
}
