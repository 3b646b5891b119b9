//! P0505 and P0506: names for the host itself.

use crate::HOST_ALIAS;
use crate::document::Document;
use crate::document::findings::Findings;
use crate::pattern::HostPattern;

/// What other runtimes call the host.
const FOREIGN: [&str; 3] =
    ["host.docker.internal", "host.containers.internal", "gateway.docker.internal"];

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        let Some(host) = &endpoint.host else { continue };
        let HostPattern::Exact(name) = &host.value else { continue };
        if FOREIGN.contains(&name.as_str()) {
            findings.warning(
                "P0505",
                host.at,
                format!("`{name}` is an ordinary name here, and does not lead to the host"),
                Some(format!("write `{HOST_ALIAS}`")),
            );
        }
        if name.as_str() == HOST_ALIAS
            && let Some(range) = endpoint.allowed_ips.first()
        {
            findings.warning(
                "P0506",
                range.at,
                format!("`allowed_ips` has no effect on `{HOST_ALIAS}`: it is always 127.0.0.1"),
                Some("remove it".to_owned()),
            );
        }
    }
}
