//! The backends of one sandbox.

use std::sync::Arc;

use openshell_credential::Echoes;
use openshell_types::{Authority, HostName, ModelProtocol, Redacted, Route};

use crate::door::Door;

/// The backends of one sandbox, at most one for each protocol.
#[derive(Debug, Default)]
pub struct Routes(Vec<Backend>);

#[derive(Debug)]
struct Backend {
    route: Arc<Route>,
    /// What it could tell of what authenticates its calls.
    echoes: Option<Arc<Echoes>>,
}

impl Routes {
    /// Takes what the gateway sent; of two for one protocol the first counts.
    pub fn new(mut all: Vec<Route>) -> Self {
        let mut seen = Vec::new();
        all.retain(|route| {
            let is_first = !seen.contains(&route.protocol);
            seen.push(route.protocol);
            is_first
        });
        Self(all.into_iter().map(Backend::new).collect())
    }

    /// The backend of a protocol.
    pub fn get(&self, protocol: ModelProtocol) -> Option<&Arc<Route>> {
        self.backend(protocol).map(|backend| &backend.route)
    }

    /// What is looked for in the answers of a protocol's backend; `None` where nothing is.
    pub fn echoes(&self, protocol: ModelProtocol) -> Option<&Arc<Echoes>> {
        self.backend(protocol)?.echoes.as_ref()
    }

    fn backend(&self, protocol: ModelProtocol) -> Option<&Backend> {
        self.0.iter().find(|backend| backend.route.protocol == protocol)
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

impl Backend {
    fn new(route: Route) -> Self {
        // A scheme, such as `Bearer`, stands before the secret (RFC 9110, section 11.4).
        let bare = |secret: &Redacted<String>| {
            let whole = secret.expose();
            let bare = whole.split_once(' ').map_or(whole.as_str(), |(_, bare)| bare.trim());
            Redacted::new(bare.to_owned())
        };
        let secret = route.auth.as_ref().map(|(_, secret)| bare(secret));
        let echoes = secret.and_then(|secret| Echoes::of_one(&route.provider, &secret));
        Self { route: Arc::new(route), echoes: echoes.map(Arc::new) }
    }
}
