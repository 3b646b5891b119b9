//! P0510: an address range that holds more than a network.

use crate::document::Document;
use crate::document::findings::Findings;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        for range in &endpoint.allowed_ips {
            if range.value.is_wide() {
                findings.warning(
                    "P0510",
                    range.at,
                    format!("`{}` is wider than a network", range.value),
                    Some("narrow it to a prefix of /16 or more (IPv6: /48)".to_owned()),
                );
            }
        }
    }
}
