//! Which endpoints give a request credentials.

use jiff::Timestamp;
use smallvec::SmallVec;

use super::connect::{Parts, Transport};
use super::inspection::found;
use super::path::Selector;
use super::{Binaries, CompiledRule, Index};
use crate::decision::{BoundEndpoint, Caller, Destination};
use crate::sets::Union;

impl Index {
    /// The endpoints with a `credential_binding` that speak for a program's requests to a path: those
    /// of the most specific ones there whose rule names the program and is in force. `None`: nothing
    /// covers them.
    pub fn bound_endpoints(
        &self,
        (rules, binaries): (&[CompiledRule], &Binaries),
        (to, by): (&Destination<'_>, &Caller),
        path: &str,
        now: Timestamp,
    ) -> Option<Vec<BoundEndpoint>> {
        let parts = self.parts(binaries, (to, Transport::Tcp), by)?;
        let mut wanted = Union::new();
        self.sets.put(self.binding, &mut wanted);
        let kept = if self.selectors.is_empty() {
            None
        } else {
            Some(self.most_specific(&parts, &self.selectors.matching(path), now)?)
        };
        let mut unions: SmallVec<[&Union; 5]> = SmallVec::from_slice(&[&wanted]);
        unions.extend(&kept);
        unions.extend([&parts.host, &parts.program, &parts.port]);
        let mut all = Vec::new();
        let mut common = self.sets.common(&unions, 0);
        while let Some(entry) = common.next().and_then(|id| self.entry(id)) {
            if !entry.is_expired(now)
                && let Some((rule, endpoint)) = found(rules, &entry.grant)
            {
                all.push(BoundEndpoint { rule: rule.key.clone(), path: endpoint.path.clone() });
            }
            common.skip_to(entry.end);
        }
        Some(all)
    }

    /// The endpoints of the greatest specificity that cover a connection; `None`: none does. `matching`
    /// are the texts that match the request's path, the most specific first.
    pub(super) fn most_specific(
        &self,
        parts: &Parts,
        matching: &[Selector],
        now: Timestamp,
    ) -> Option<Union> {
        let Parts { host, port, program } = parts;
        let covers =
            |kept: &Union| self.first_in_force(&[kept, host, program, port], now).is_some();
        for equal in matching.chunk_by(|a, b| a.rank == b.rank) {
            let mut kept = Union::new();
            equal.iter().for_each(|selector| self.sets.put(selector.set, &mut kept));
            if covers(&kept) {
                return Some(kept);
            }
        }
        let mut whole = Union::new();
        self.sets.put(self.selectors.whole, &mut whole);
        covers(&whole).then_some(whole)
    }
}
