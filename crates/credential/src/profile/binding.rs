//! Where the values of credentials may be put.

use std::ops::RangeInclusive;

use openshell_policy::{EndpointHost, EndpointView, Fragment, SigningView};
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
            rule: None,
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
    let signed = endpoint.signing.zip(part(spec)).map(|(signing, part)| signed(&signing, part));
    // What signs stands nowhere else.
    let (told, in_body) = match signed {
        Some(signed) => (signed, false),
        None => (told(spec), spec.in_body),
    };
    let within = if in_body { &[Told::Body, Told::Message][..] } else { &[] };
    told.into_iter().chain(within.iter().cloned())
}

/// A part of what signs requests to an endpoint; `None` where it is not known for which region.
fn signed(signing: &SigningView<'_>, part: SigV4Part) -> Option<Told> {
    let SigningView { service, region, payload } = signing;
    let (service, region) = ((*service).to_owned(), (*region)?.to_owned());
    Some(Told::SigV4(SigV4 { part, service, region, payload: *payload }))
}

/// Where an endpoint of a person's policy binds the value of a variable, one port each. `rule` is the
/// key of its rule. A credential that its profile places stands there alone, and any other where a
/// program puts it: but never within a body or message, unless the endpoint says so.
pub(super) fn by_policy(
    specs: &[&CredentialSpec],
    (variable, rule): (&str, &str),
    endpoint: &EndpointView<'_>,
) -> Vec<openshell_types::Binding> {
    // SECURITY: I2, I9; the policy's own checks refuse any other endpoint.
    let Some(EndpointHost::One(host)) = endpoint.host.as_ref().filter(|_| is_read(endpoint)) else {
        return Vec::new();
    };
    let ports = endpoint.numbered_ports(BOUND_PORTS).unwrap_or_default();
    let placements = placements_by_policy(specs, variable, endpoint);
    let bind = |port: &Port, placement: &Told| openshell_types::Binding {
        host: host.clone(),
        port: *port,
        path: endpoint.path.map(str::to_owned),
        placement: placement.clone(),
        rule: Some(rule.to_owned()),
    };
    ports.iter().flat_map(|port| placements.iter().map(move |own| bind(port, own))).collect()
}

fn placements_by_policy(
    specs: &[&CredentialSpec],
    variable: &str,
    endpoint: &EndpointView<'_>,
) -> Vec<Told> {
    // What signs stands nowhere else.
    if let Some((signing, part)) = endpoint.signing.as_ref().zip(SigV4Part::of_variable(variable)) {
        return signed(signing, part).into_iter().collect();
    }
    let mut all: Vec<Told> = specs.iter().filter_map(|spec| told(spec)).collect();
    if all.is_empty() {
        all.push(Told::Any);
    }
    all.extend(endpoint.fills_bodies.then_some(Told::Body));
    all.extend(endpoint.fills_messages.then_some(Told::Message));
    all
}

/// Where the profile says that a credential stands.
fn told(spec: &CredentialSpec) -> Option<Told> {
    spec.placement.as_ref().map(|placement| match placement {
        Placement::Bearer | Placement::Basic => Told::Authorization,
        Placement::Header { name } if name == "authorization" => Told::Authorization,
        Placement::Header { name } => Told::Header(name.clone()),
        Placement::Query { name } => Told::Query(name.clone()),
        Placement::Path { template } => Told::Path(template.clone()),
    })
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
