//! P0508: the same endpoint twice in one rule, and the same binary twice (M2).

use std::collections::HashMap;

use crate::document::findings::Findings;
use crate::document::{Document, endpoint_text};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for rule in &document.rules {
        let mut seen = HashMap::new();
        for binary in &rule.binaries {
            let key = (binary.path.value.as_str(), binary.sha256, binary.descendants);
            if let Some(first) = seen.insert(key, binary.path.at) {
                findings.warning(
                    "P0508",
                    binary.path.at,
                    format!("`{}` stands in line {}, too", binary.path.value, first.line),
                    Some("remove one".to_owned()),
                );
            }
        }
        let mut seen = HashMap::new();
        for endpoint in &rule.endpoints {
            let at = endpoint.host.as_ref().map_or(endpoint.at, |host| host.at);
            if let Some(first) = seen.insert(endpoint_text(endpoint), at) {
                findings.warning(
                    "P0508",
                    at,
                    format!("this endpoint stands in line {}, too", first.line),
                    Some("remove one".to_owned()),
                );
            }
        }
    }
}
