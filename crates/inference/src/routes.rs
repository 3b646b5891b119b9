//! The backends of one sandbox.

use std::sync::Arc;

use openshell_types::{Authority, HostName, ModelProtocol, Route};

use crate::door::Door;

/// The backends of one sandbox, at most one for each protocol.
#[derive(Debug, Default)]
pub struct Routes(Vec<Arc<Route>>);

impl Routes {
    /// Takes what the gateway sent; of two for one protocol the first counts.
    pub fn new(mut all: Vec<Route>) -> Self {
        let mut seen = Vec::new();
        all.retain(|route| {
            let is_first = !seen.contains(&route.protocol);
            seen.push(route.protocol);
            is_first
        });
        Self(all.into_iter().map(Arc::new).collect())
    }

    /// The backend of a protocol.
    pub fn get(&self, protocol: ModelProtocol) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| route.protocol == protocol)
    }

    /// The door at which a connection that no rule allows is taken for calls all the same: that of
    /// a vendor in whose protocol there is a backend.
    pub fn intercepts(&self, to: &Authority) -> Option<Door> {
        // Most sandboxes have no backend, and most connections are none of these.
        if self.0.is_empty() {
            return None;
        }
        Door::vendor(to).filter(|door| self.speaks(door))
    }

    /// Whether a name leads to a door: it has an address then, also without a rule that names it.
    pub fn resolves(&self, name: &HostName) -> bool {
        Door::own(name).is_some()
            || (!self.0.is_empty()
                && Door::vendor_named(name).is_some_and(|door| self.speaks(&door)))
    }

    fn speaks(&self, door: &Door) -> bool {
        door.protocol().is_some_and(|protocol| self.get(protocol).is_some())
    }
}
