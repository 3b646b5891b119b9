//! P0509: a wildcard over a suffix beneath which strangers get names, such as `*.github.io` (A6).

use crate::document::Document;
use crate::document::findings::Findings;
use crate::pattern::HostPattern;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        let Some(host) = &endpoint.host else { continue };
        let HostPattern::Wildcard(wildcard) = &host.value else { continue };
        if let Some(suffix) = wildcard.shared_suffix() {
            findings.warning(
                "P0509",
                host.at,
                format!(
                    "`{}` reads: anybody who gets a name beneath `{suffix}`",
                    wildcard.as_str()
                ),
                Some("name the hosts that are meant".to_owned()),
            );
        }
    }
}
