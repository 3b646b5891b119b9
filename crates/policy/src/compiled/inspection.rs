//! How the requests of a connection have to be read before they can be judged.

use jiff::Timestamp;

use super::connect::{Parts, Transport};
use super::{Binaries, CompiledRule, Index, PROTOCOLS};
use crate::decision::{Caller, Destination};
use crate::document::Protocol;
use crate::limits::BODY_BYTES;
use crate::request::Inspection;
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
        to: &Destination<'_>,
        by: &Caller,
        path: Option<&str>,
        now: Timestamp,
    ) -> Option<Self> {
        let parts = index.parts(binaries, (to, Transport::Tcp), by)?;
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
            .filter_map(|id| {
                let grant = self.index.entry(id)?.grant;
                rules.get(grant.rule as usize)?.endpoints.get(grant.endpoint as usize)
            })
            .map(|endpoint| endpoint.max_body_bytes)
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
