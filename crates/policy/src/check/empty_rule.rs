//! P0504: a rule without binaries or endpoints allows nothing.

use crate::document::Document;
use crate::document::findings::Findings;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for rule in &document.rules {
        for (what, empty) in
            [("binaries", rule.binaries.is_empty()), ("endpoints", rule.endpoints.is_empty())]
        {
            if empty {
                findings.warning(
                    "P0504",
                    rule.key.at,
                    format!("the rule `{}` has no {what}, so it allows nothing", rule.name),
                    (what == "binaries").then(|| {
                        "list the programs that may connect, such as `- path: /usr/bin/curl`"
                            .to_owned()
                    }),
                );
            }
        }
    }
}
