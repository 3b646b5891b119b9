//! Where the values of credentials may be put.

use std::ops::RangeInclusive;

use openshell_policy::{EndpointHost, EndpointView, Fragment};
use openshell_types::{Host, Port};

use super::credential::{CredentialSpec, Placement};
use crate::limits::BOUND_PORTS;

/// Where the value of one credential may be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The credential's name within the profile.
    pub credential: String,
    /// The host: one, never a wildcard.
    pub host: Host,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Paths, as a policy's `path` has them; absent: all.
    pub path: Option<String>,
    /// Where in a request.
    pub placement: Placement,
}

impl Binding {
    /// One for each port, as a supervisor is given them.
    pub(super) fn by_port(&self) -> impl Iterator<Item = openshell_types::Binding> {
        self.ports.iter().map(|port| openshell_types::Binding {
            host: self.host.clone(),
            port: *port,
            path: self.path.clone(),
            placement: match &self.placement {
                Placement::Bearer | Placement::Basic => openshell_types::Placement::Authorization,
                Placement::Header { name } if name == "authorization" => {
                    openshell_types::Placement::Authorization
                }
                Placement::Header { name } => openshell_types::Placement::Header(name.clone()),
                Placement::Query { name } => openshell_types::Placement::Query(name.clone()),
                Placement::Path { template } => openshell_types::Placement::Path(template.clone()),
            },
        })
    }
}

/// A credential goes to each endpoint whose requests are read: where they are not, nobody sees where
/// in a request it would be put.
pub(super) fn bindings(credentials: &[CredentialSpec], fragment: &Fragment) -> Vec<Binding> {
    let mut all = Vec::new();
    for spec in credentials {
        let Some(placement) = &spec.placement else { continue };
        for endpoint in fragment.endpoints().filter(is_read) {
            let Some(EndpointHost::One(host)) = &endpoint.host else { continue };
            all.push(Binding {
                credential: spec.name.clone(),
                host: host.clone(),
                ports: ports(&endpoint.ports),
                path: endpoint.path.map(str::to_owned),
                placement: placement.clone(),
            });
        }
    }
    all
}

/// Whether requests to an endpoint are read.
pub(super) fn is_read(endpoint: &EndpointView<'_>) -> bool {
    endpoint.protocol.judges_requests() && !endpoint.is_raw
}

/// Each port, but no more than one too many.
pub(super) fn ports(ranges: &[RangeInclusive<Port>]) -> Vec<Port> {
    let numbers = ranges.iter().flat_map(|range| range.start().number()..=range.end().number());
    numbers.filter_map(Port::new).take(BOUND_PORTS.saturating_add(1)).collect()
}
