//! P0421: credentials that would go to more than one place, or into requests that nobody reads (I2,
//! I9). P0416: signatures that cannot be made (I10). P0521: credentials that go out in plain text.

use crate::HOST_ALIAS;
use crate::document::findings::Findings;
use crate::document::{Document, Endpoint, EndpointHost, EndpointView};
use crate::limits::BOUND_PORTS;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        let view = EndpointView::of(endpoint);
        if view.provider.is_some() {
            one_place(endpoint, &view, findings);
            read(&view, findings);
            signed(endpoint, &view, findings);
        }
    }
}

/// The lint: ports on which TLS is hardly spoken. On this machine it need not be.
pub(super) fn check_plain(document: &Document, findings: &mut Findings) {
    for (_, view) in document.bound_endpoints() {
        let Some(EndpointHost::One(host)) = &view.host else { continue };
        let ports = view.numbered_ports(BOUND_PORTS).unwrap_or_default();
        let plain = ports.iter().find(|port| PLAIN.contains(&port.number()));
        if let Some(port) = plain.filter(|_| host.to_string() != HOST_ALIAS) {
            findings.warning(
                "P0521",
                view.at,
                format!("on port {port} the credentials would go out without encryption"),
                Some("use the port on which the server speaks TLS".to_owned()),
            );
        }
    }
}

/// Ports on which plain HTTP is spoken.
const PLAIN: [u16; 2] = [80, 8080];

/// SECURITY: I2; a secret goes to hosts that somebody named, one by one.
fn one_place(endpoint: &Endpoint, view: &EndpointView<'_>, findings: &mut Findings) {
    let at = endpoint.host.as_ref().map_or(endpoint.at, |host| host.at);
    let (message, help) = match &view.host {
        None => ("the credentials would go to each address of `allowed_ips`".to_owned(), HOST),
        Some(EndpointHost::Wildcard(pattern)) => {
            (format!("the credentials would go to each host that `{pattern}` matches"), HOSTS)
        }
        Some(EndpointHost::One(_)) if view.numbered_ports(BOUND_PORTS).is_none() => {
            (format!("the credentials would go to more than {BOUND_PORTS} ports"), PORTS)
        }
        Some(EndpointHost::One(_)) => return,
    };
    findings.error_with_help("P0421", at, message, help.to_owned());
}

const HOST: &str = "name the host";
const HOSTS: &str = "name each host, at an endpoint of its own";
const PORTS: &str = "name the ports that are meant";

/// SECURITY: I9; where requests are not read, nobody sees where in one a value would be put.
fn read(view: &EndpointView<'_>, findings: &mut Findings) {
    if view.is_raw || !view.protocol.judges_requests() {
        let message = "`credential_binding` needs requests that are read".to_owned();
        let help = "add `protocol: rest` and `access: read-only`, or `rules`".to_owned();
        findings.error_with_help("P0421", view.at, message, help);
    }
}

fn signed(endpoint: &Endpoint, view: &EndpointView<'_>, findings: &mut Findings) {
    let Some(signing) = &view.signing else { return };
    // SECURITY: I10; nothing is signed for whatever region a program likes.
    if signing.region.is_none() && matches!(view.host, Some(EndpointHost::One(_))) {
        let message = "the host does not say for which region its requests are signed".to_owned();
        let help = "name it: `signing_region: eu-central-1`".to_owned();
        findings.error_with_help("P0416", endpoint.at, message, help);
    }
    if view.fills_bodies {
        let message =
            "a body into which values are put is another than the one that was signed".to_owned();
        let help = "remove `request_body_credential_rewrite`, or `credential_signing`".to_owned();
        findings.error_with_help("P0416", endpoint.at, message, help);
    }
}
