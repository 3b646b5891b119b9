//! A checked document as the tables that decisions are made from.
//!
//! There is one space of numbers: the clauses of all endpoints, in the order of preference. Every
//! part of a question (host, port, program, path, method, ...) is looked up by itself and gives
//! the sets of clauses that it agrees with; a decision is the smallest number that all parts have
//! in common. So its cost goes with the parts, and neither with the rules nor with the endpoints
//! of a host. Only conditions that are tried one clause at a time (query, headers, params, GraphQL
//! fields) and rules past their `until` cost more where many of them fit all else.
//!
//! Keys of look-ups come from hostile programs, but nothing is ever put into a table after it was
//! compiled, so they cannot make one slow: hashes are fast and have a fixed seed.

mod binary;
mod bound;
pub(crate) mod clause;
mod connect;
mod globs;
mod host;
mod inspection;
mod path;
mod port;
mod request;
mod rule;

use jiff::Timestamp;

use crate::decision::Grant;
use crate::document::model::Enforcement;
use crate::document::{Document, Endpoint, Protocol, Rule};
use crate::sets::{SetId, Sets, SetsBuilder, Span, extend};
use binary::{BinaryIndex, BinaryIndexBuilder};
use clause::{Clause, Decides, Reading, Rest, clauses};
use host::{HostIndex, HostIndexBuilder};
use path::{
    CallIndex, CallIndexBuilder, MethodIndex, MethodIndexBuilder, PathIndex, PathIndexBuilder,
    SelectorIndex, SelectorIndexBuilder, insert_clause,
};
use port::{PortIndex, PortIndexBuilder};

pub(crate) use binary::{Binaries, Bound};
pub(crate) use connect::Transport;
pub(crate) use inspection::Inspected;
pub(crate) use request::Judge;
pub(crate) use rule::{BinaryPath, CompiledEndpoint, CompiledRule, Fit, HostKind};

/// The tables of a policy: all but what its binaries are bound to.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    sets: Sets,
    /// By number, in the order of preference.
    clauses: Box<[Place]>,
    /// In the order of preference, too.
    entries: Box<[Entry]>,
    rests: Box<[Rest]>,
    hosts: HostIndex,
    tcp: PortIndex,
    udp: PortIndex,
    pub binaries: BinaryIndex,
    selectors: SelectorIndex,
    allow: PathIndex,
    deny: PathIndex,
    methods: MethodIndex,
    calls: CallIndex,
    protocols: [SetId; PROTOCOLS.len()],
    /// Clauses of endpoints of each transport.
    over_tcp: SetId,
    over_udp: SetId,
    /// Clauses of endpoints that judge no requests.
    opaque: SetId,
    /// Clauses of endpoints whose denials stop a request.
    enforcing: SetId,
    /// Clauses of endpoints that judge requests and refuse encoded slashes.
    plain_slashes: SetId,
    /// Clauses that name query keys.
    query: SetId,
    /// Clauses of endpoints that have a budget.
    budgeted: SetId,
    /// Clauses of endpoints of mcp that admit only some versions of it.
    versioned: SetId,
    /// Clauses of endpoints that give requests credentials.
    binding: SetId,
}

/// A clause that was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its endpoint in `entries`.
    entry: u32,
    /// Place in the endpoint's rules; the largest number for a preset.
    position: u32,
    /// Place in `rests`; the largest number when nothing is left to be tried.
    rest: u32,
    strict_tools: bool,
}

/// An endpoint of which some clause was found.
#[derive(Clone, Copy, Debug)]
struct Entry {
    grant: Grant,
    /// The number after its last clause, and that of its first.
    end: u32,
    first: u32,
    until: Option<Timestamp>,
    enforcement: Enforcement,
}

/// The protocols that judge requests.
const PROTOCOLS: [Protocol; 6] = [
    Protocol::Rest,
    Protocol::WebSocket,
    Protocol::GraphQl,
    Protocol::JsonRpc,
    Protocol::Mcp,
    Protocol::Grpc,
];

/// The rules in the order of their keys, and their tables.
pub(crate) fn compile(document: &Document) -> (Vec<CompiledRule>, Index) {
    let mut sources: Vec<&Rule> = document.rules.iter().collect();
    sources.sort_by(|a, b| a.key.value.cmp(&b.key.value));
    let rules: Vec<CompiledRule> = sources.iter().map(|rule| CompiledRule::of(rule)).collect();
    let mut order: Vec<(u8, Grant, &Endpoint)> = Vec::new();
    for ((rule, source), number) in rules.iter().zip(&sources).zip(0_u32..) {
        for ((compiled, source), at) in rule.endpoints.iter().zip(&source.endpoints).zip(0_u32..) {
            let grant = Grant { rule: number, endpoint: at };
            order.push((compiled.narrowness(), grant, source));
        }
    }
    order.sort_unstable_by_key(|(narrowness, grant, _)| (*narrowness, grant.rule, grant.endpoint));
    let mut builder = Builder::new(rules.len());
    for (_, grant, endpoint) in order {
        let until = sources.get(grant.rule as usize).and_then(|rule| rule.until);
        builder.insert(grant, endpoint, until);
    }
    let index = builder.finish(&rules);
    (rules, index)
}

struct Builder {
    clauses: Vec<Place>,
    entries: Vec<Entry>,
    rests: Vec<Rest>,
    /// Clauses of each rule.
    rules: Vec<Vec<Span>>,
    hosts: HostIndexBuilder,
    tcp: PortIndexBuilder,
    udp: PortIndexBuilder,
    selectors: SelectorIndexBuilder,
    allow: PathIndexBuilder,
    deny: PathIndexBuilder,
    methods: MethodIndexBuilder,
    calls: CallIndexBuilder,
    protocols: [Vec<Span>; PROTOCOLS.len()],
    over_tcp: Vec<Span>,
    over_udp: Vec<Span>,
    opaque: Vec<Span>,
    enforcing: Vec<Span>,
    plain_slashes: Vec<Span>,
    query: Vec<Span>,
    budgeted: Vec<Span>,
    versioned: Vec<Span>,
    binding: Vec<Span>,
}

/// A place in a list, which a text of 2 MiB cannot make longer than this holds.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Builder {
    fn new(rules: usize) -> Self {
        Self {
            clauses: Vec::new(),
            entries: Vec::new(),
            rests: Vec::new(),
            rules: vec![Vec::new(); rules],
            hosts: HostIndexBuilder::new(),
            tcp: PortIndexBuilder::default(),
            udp: PortIndexBuilder::default(),
            selectors: SelectorIndexBuilder::default(),
            allow: PathIndexBuilder::new(),
            deny: PathIndexBuilder::new(),
            methods: MethodIndexBuilder::default(),
            calls: CallIndexBuilder::new(),
            protocols: Default::default(),
            over_tcp: Vec::new(),
            over_udp: Vec::new(),
            opaque: Vec::new(),
            enforcing: Vec::new(),
            plain_slashes: Vec::new(),
            query: Vec::new(),
            budgeted: Vec::new(),
            versioned: Vec::new(),
            binding: Vec::new(),
        }
    }

    fn insert(&mut self, grant: Grant, endpoint: &Endpoint, until: Option<Timestamp>) {
        let first = number(self.clauses.len());
        for clause in clauses(endpoint) {
            self.insert_clause(endpoint, clause);
        }
        let span = first..number(self.clauses.len());
        let enforcement = endpoint.enforcement;
        self.entries.push(Entry { grant, end: span.end, first, until, enforcement });
        if let Some(rule) = self.rules.get_mut(grant.rule as usize) {
            extend(rule, &span);
        }
        self.hosts.insert(endpoint, &span);
        let (ports, carried) = match endpoint.protocol {
            Protocol::Udp => (&mut self.udp, &mut self.over_udp),
            _ => (&mut self.tcp, &mut self.over_tcp),
        };
        extend(carried, &span);
        ports.insert(&endpoint.ports, &span);
        let path = endpoint.path.as_ref().map(|path| path.value.as_str());
        let reading = Reading::of(endpoint.path_case, Protocol::Rest, Decides::Allow);
        self.selectors.insert(path, reading.case, &span);
        if let Some(place) = PROTOCOLS.iter().position(|known| *known == endpoint.protocol)
            && let Some(spans) = self.protocols.get_mut(place)
        {
            extend(spans, &span);
        }
        if !endpoint.protocol.judges_requests() {
            extend(&mut self.opaque, &span);
        } else if !endpoint.options.allow_encoded_slash {
            extend(&mut self.plain_slashes, &span);
        }
        if endpoint.enforcement == Enforcement::Enforce {
            extend(&mut self.enforcing, &span);
        }
        if endpoint.options.budget.is_some() {
            extend(&mut self.budgeted, &span);
        }
        if !endpoint.options.mcp_versions.is_empty() {
            extend(&mut self.versioned, &span);
        }
        if endpoint.options.credential_provider.is_some() {
            extend(&mut self.binding, &span);
        }
    }

    fn insert_clause(&mut self, endpoint: &Endpoint, clause: Clause) {
        let id = number(self.clauses.len());
        let span = id..id.saturating_add(1);
        let reading = Reading::of(endpoint.path_case, endpoint.protocol, clause.decides);
        insert_clause((&mut self.allow, &mut self.deny), &clause, reading, &span);
        self.methods.insert(clause.methods.as_deref(), &span);
        self.calls.insert(&clause.calls, &span);
        if clause.rest.as_ref().is_some_and(|rest| !rest.query.is_empty()) {
            extend(&mut self.query, &span);
        }
        self.clauses.push(Place {
            entry: number(self.entries.len()),
            position: clause.position.unwrap_or(u32::MAX),
            rest: clause.rest.as_ref().map_or(u32::MAX, |_| number(self.rests.len())),
            strict_tools: clause.strict_tools,
        });
        self.rests.extend(clause.rest);
    }

    fn finish(self, rules: &[CompiledRule]) -> Index {
        let mut sets = SetsBuilder::new();
        let mut binaries = BinaryIndexBuilder::new();
        for (rule, at) in rules.iter().zip(0_u32..) {
            for binary in &rule.binaries {
                binaries.insert(at, binary);
            }
        }
        let of_rules: Vec<SetId> = self.rules.into_iter().map(|spans| sets.of(spans)).collect();
        let binaries = binaries.finish(&of_rules, &mut sets);
        Index {
            hosts: self.hosts.finish(&mut sets),
            tcp: self.tcp.finish(&mut sets),
            udp: self.udp.finish(&mut sets),
            binaries,
            selectors: self.selectors.finish(&mut sets),
            allow: self.allow.finish(&mut sets),
            deny: self.deny.finish(&mut sets),
            methods: self.methods.finish(&mut sets),
            calls: self.calls.finish(&mut sets),
            protocols: self.protocols.map(|spans| sets.of(spans)),
            over_tcp: sets.of(self.over_tcp),
            over_udp: sets.of(self.over_udp),
            opaque: sets.of(self.opaque),
            enforcing: sets.of(self.enforcing),
            plain_slashes: sets.of(self.plain_slashes),
            query: sets.of(self.query),
            budgeted: sets.of(self.budgeted),
            versioned: sets.of(self.versioned),
            binding: sets.of(self.binding),
            clauses: self.clauses.into(),
            entries: self.entries.into(),
            rests: self.rests.into(),
            sets: sets.finish(),
        }
    }
}

impl Index {
    fn place(&self, id: u32) -> Option<&Place> {
        self.clauses.get(id as usize)
    }

    fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(self.place(id)?.entry as usize)
    }

    /// Whether some endpoint has a budget.
    pub fn has_budgets(&self) -> bool {
        self.budgeted != SetId::EMPTY
    }

    /// Whether some endpoint admits only some versions of MCP.
    pub fn has_mcp_versions(&self) -> bool {
        self.versioned != SetId::EMPTY
    }

    /// Whether some endpoint gives requests credentials.
    pub fn has_bindings(&self) -> bool {
        self.binding != SetId::EMPTY
    }

    /// How much of the heap it takes, more or less.
    pub fn bytes(&self) -> usize {
        [
            self.sets.bytes(),
            size_of_val(&*self.clauses),
            size_of_val(&*self.entries),
            self.rests.iter().map(Rest::bytes).sum(),
            self.hosts.bytes(),
            self.tcp.bytes(),
            self.udp.bytes(),
            self.binaries.bytes(),
            self.selectors.bytes(),
            self.allow.bytes(),
            self.deny.bytes(),
            self.calls.bytes(),
        ]
        .into_iter()
        .sum()
    }
}

impl Entry {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}
