//! Where the values of credentials may be put.

use std::ops::RangeInclusive;

use openshell_policy::{EndpointHost, EndpointView, Fragment};
use openshell_types::{Host, Placement as Told, Port, SigV4, SigV4Part};

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
    pub placement: Told,
}

impl Binding {
    /// One for each port, as a supervisor is given them.
    pub(super) fn by_port(&self) -> impl Iterator<Item = openshell_types::Binding> {
        self.ports.iter().map(|port| openshell_types::Binding {
            host: self.host.clone(),
            port: *port,
            path: self.path.clone(),
            placement: self.placement.clone(),
        })
    }
}

/// A credential goes to each endpoint whose requests are read: where they are not, nobody sees where
/// in a request it would be put.
pub(super) fn bindings(credentials: &[CredentialSpec], fragment: &Fragment) -> Vec<Binding> {
    let mut all = Vec::new();
    for spec in credentials {
        for endpoint in fragment.endpoints().filter(is_read) {
            let Some(EndpointHost::One(host)) = &endpoint.host else { continue };
            all.extend(placements(spec, &endpoint).map(|placement| Binding {
                credential: spec.name.clone(),
                host: host.clone(),
                ports: ports(&endpoint.ports),
                path: endpoint.path.map(str::to_owned),
                placement,
            }));
        }
    }
    all
}

/// Where in requests to an endpoint a credential stands, as a supervisor is told.
fn placements(
    spec: &CredentialSpec,
    endpoint: &EndpointView<'_>,
) -> impl Iterator<Item = Told> + use<> {
    let signed = endpoint.signing.zip(part(spec)).map(|((service, region), part)| {
        let region = region.map(str::to_owned);
        region.map(|region| Told::SigV4(SigV4 { part, service: service.to_owned(), region }))
    });
    let told = || {
        spec.placement.as_ref().map(|placement| match placement {
            Placement::Bearer | Placement::Basic => Told::Authorization,
            Placement::Header { name } if name == "authorization" => Told::Authorization,
            Placement::Header { name } => Told::Header(name.clone()),
            Placement::Query { name } => Told::Query(name.clone()),
            Placement::Path { template } => Told::Path(template.clone()),
        })
    };
    // What signs stands nowhere else.
    let (told, in_body) = match signed {
        Some(signed) => (signed, false),
        None => (told(), spec.in_body),
    };
    told.into_iter().chain(in_body.then_some(Told::Body))
}

/// What of a signature a credential is, by its variables.
pub(super) fn part(spec: &CredentialSpec) -> Option<SigV4Part> {
    spec.env_vars.iter().find_map(|name| SigV4Part::of_variable(name.as_str()))
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
