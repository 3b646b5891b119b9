//! P0518: an endpoint of UDP that no datagram can ever be for.

use crate::document::findings::Findings;
use crate::document::{Document, Endpoint, Protocol};
use crate::pattern::{HostPattern, PortRange};

/// The name service's: whichever server is asked, it answers.
const DNS: u16 = 53;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        if endpoint.protocol == Protocol::Udp
            && let Some((why, help)) = unheard(endpoint)
        {
            findings.warning("P0518", endpoint.at, why.to_owned(), Some(help.to_owned()));
        }
    }
}

fn unheard(endpoint: &Endpoint) -> Option<(&'static str, &'static str)> {
    let by_address = match &endpoint.host {
        None => true,
        Some(host) => matches!(host.value, HostPattern::Address(_)),
    };
    if by_address {
        return Some((
            "datagrams are sent on to names only, so this endpoint allows none",
            "give the server a name, and name it here",
        ));
    }
    let is_dns = |ports: &PortRange| ports.is_single() && ports.ends().0.number() == DNS;
    let only_dns = !endpoint.ports.is_empty() && endpoint.ports.iter().all(is_dns);
    only_dns.then_some((
        "datagrams to port 53 go to the sandbox's own name server, so this endpoint allows none",
        "remove it; names of the policy resolve without a rule",
    ))
}
