//! P0309: an address that no policy can open (B7).

use crate::address::{AddressClass, classify};
use crate::document::Document;
use crate::document::findings::Findings;
use crate::pattern::HostPattern;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        if let Some(host) = &endpoint.host {
            match &host.value {
                HostPattern::Address(address) => {
                    if let AddressClass::Never(why) = classify(*address) {
                        refuse(findings, host.at, &address.to_string(), why);
                    }
                }
                HostPattern::Exact(name) if is_localhost(name.as_str()) => findings.warning(
                    "P0310",
                    host.at,
                    format!("`{name}` is loopback, which is never reachable from a sandbox"),
                    Some("the host's own 127.0.0.1 is `host.openshell.internal`".to_owned()),
                ),
                HostPattern::Exact(_) | HostPattern::Wildcard(_) => {}
            }
        }
        for range in &endpoint.allowed_ips {
            if let Some(why) = range.value.never() {
                refuse(findings, range.at, &range.value.to_string(), why);
            }
        }
    }
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn refuse(
    findings: &mut Findings,
    at: crate::document::findings::Position,
    address: &str,
    why: &str,
) {
    findings.error_with_help(
        "P0309",
        at,
        format!("`{address}` is never reachable: {why}"),
        "no policy opens it; a service of the host itself is `host.openshell.internal`".to_owned(),
    );
}
