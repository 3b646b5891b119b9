//! How the requests of a connection have to be read before they can be judged.

use jiff::Timestamp;
use smallvec::{SmallVec, smallvec};

use super::connect::{Parts, Transport};
use super::{Binaries, CompiledEndpoint, CompiledRule, Index, PROTOCOLS};
use crate::budget::{self, Budgets, CoveringBudget};
use crate::decision::{Caller, Destination, Grant};
use crate::document::Protocol;
use crate::limits::BODY_BYTES;
use crate::request::{Inspection, McpVersions};
use crate::sets::{SetId, Union};

/// A connection, or a path of it, whose endpoints are asked what they look at.
pub(crate) struct Inspected<'a> {
    index: &'a Index,
    parts: Parts,
    /// The endpoints whose path matches; all of them without one.
    narrowed: Option<Union>,
    now: Timestamp,
}

impl<'a> Inspected<'a> {
    /// `None` when the destination is never reachable.
    pub fn new(
        (index, binaries): (&'a Index, &'a Binaries),
        to: (&Destination<'_>, Transport),
        by: &Caller,
        path: Option<&str>,
        now: Timestamp,
    ) -> Option<Self> {
        let parts = index.parts(binaries, to, by)?;
        let narrowed = path.filter(|_| !index.selectors.is_empty()).map(|path| {
            let mut narrowed = Union::new();
            index.sets.put(index.selectors.whole, &mut narrowed);
            for selector in index.selectors.matching(path) {
                index.sets.put(selector.set, &mut narrowed);
            }
            narrowed
        });
        Some(Self { index, parts, narrowed, now })
    }

    /// Whether some endpoint judges requests.
    pub fn judges(&self) -> bool {
        self.index.protocols.iter().any(|set| self.first(*set).is_some())
    }

    /// What the endpoints look at.
    pub fn inspection(&self, rules: &[CompiledRule]) -> Inspection {
        let has = |wanted| self.of(wanted).is_some();
        let bodies = [Protocol::GraphQl, Protocol::JsonRpc, Protocol::Mcp];
        // Messages are bounded as bodies are.
        let bodies = bodies.into_iter().chain([Protocol::WebSocket]);
        let longest = bodies
            .filter_map(|protocol| self.of(protocol))
            .filter_map(|id| found(rules, &self.index.entry(id)?.grant))
            .map(|(_, endpoint)| endpoint.max_body_bytes)
            .min();
        Inspection {
            graphql: has(Protocol::GraphQl),
            json_rpc: has(Protocol::JsonRpc),
            mcp: has(Protocol::Mcp),
            websocket: has(Protocol::WebSocket),
            grpc: has(Protocol::Grpc),
            max_body_bytes: longest.unwrap_or(BODY_BYTES),
            encoded_slash: self.first(self.index.plain_slashes).is_none(),
            query: self.first(self.index.query).is_some(),
        }
    }

    /// The budgets that cover it.
    pub fn budgets<'r>(&self, rules: &'r [CompiledRule]) -> Budgets<'r> {
        let mut budgets = Budgets::new();
        self.each(self.index.budgeted, rules, |rule, endpoint| {
            if let Some((id, budget)) = endpoint.budget {
                let one = CoveringBudget { id, budget, rule: &rule.name, line: endpoint.line };
                budget::add(&mut budgets, one);
            }
        });
        budgets
    }

    /// What its endpoints say about versions of MCP.
    pub fn mcp_versions<'r>(&self, rules: &'r [CompiledRule]) -> SmallVec<[McpVersions<'r>; 2]> {
        let mut all = SmallVec::new();
        self.each(self.index.versioned, rules, |rule, endpoint| {
            let admitted = &*endpoint.mcp_versions;
            all.push(McpVersions { admitted, rule: &rule.name, line: endpoint.line });
        });
        all
    }

    /// Visits the endpoints in force that have clauses in a set.
    fn each<'r>(
        &self,
        set: SetId,
        rules: &'r [CompiledRule],
        mut visit: impl FnMut(&'r CompiledRule, &'r CompiledEndpoint),
    ) {
        let mut wanted = Union::new();
        self.index.sets.put(set, &mut wanted);
        let mut unions: SmallVec<[&Union; 5]> = smallvec![&wanted];
        unions.extend(&self.narrowed);
        unions.extend([&self.parts.host, &self.parts.program, &self.parts.port]);
        let mut all = self.index.sets.common(&unions, 0);
        while let Some(entry) = all.next().and_then(|id| self.index.entry(id)) {
            if !entry.is_expired(self.now)
                && let Some((rule, endpoint)) = found(rules, &entry.grant)
            {
                visit(rule, endpoint);
            }
            all.skip_to(entry.end);
        }
    }

    /// The first clause of a protocol's endpoints.
    fn of(&self, wanted: Protocol) -> Option<u32> {
        let place = PROTOCOLS.iter().position(|protocol| *protocol == wanted)?;
        self.first(*self.index.protocols.get(place)?)
    }

    fn first(&self, set: SetId) -> Option<u32> {
        let mut wanted = Union::new();
        self.index.sets.put(set, &mut wanted);
        let Parts { host, port, program } = &self.parts;
        match &self.narrowed {
            Some(narrowed) => {
                self.index.first_in_force(&[&wanted, narrowed, host, program, port], self.now)
            }
            None => self.index.first_in_force(&[&wanted, host, program, port], self.now),
        }
    }
}

pub(super) fn found<'r>(
    rules: &'r [CompiledRule],
    grant: &Grant,
) -> Option<(&'r CompiledRule, &'r CompiledEndpoint)> {
    let rule = rules.get(grant.rule as usize)?;
    Some((rule, rule.endpoints.get(grant.endpoint as usize)?))
}
