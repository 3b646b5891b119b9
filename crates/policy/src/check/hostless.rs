//! P0507: an endpoint without a host is about addresses only.

use crate::document::Document;
use crate::document::findings::Findings;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        if endpoint.host.is_none() {
            findings.note(
                "P0507",
                endpoint.at,
                "an endpoint without a host matches addresses that are dialled as addresses, and \
                 no name that resolves to one of them"
                    .to_owned(),
            );
        }
    }
}
