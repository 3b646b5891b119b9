//! P0513 and P0514: what allows more than a reader may think.

use crate::document::findings::Findings;
use crate::document::model::{Access, Clause, Endpoint};
use crate::document::{Document, Protocol};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        // Each kind once: whoever writes many such rules knows.
        let mut said: Vec<&str> = Vec::new();
        for clause in &endpoint.rules {
            let Some((missing, reads)) = missing(clause, endpoint.protocol) else { continue };
            if !said.contains(&missing) {
                said.push(missing);
                let message = format!("without `{missing}` this allows {reads}");
                findings.note("P0513", clause.at, message);
            }
        }
        if endpoint.access == Some(Access::Full) && endpoint.deny_rules.is_empty() {
            full(endpoint, findings);
        }
    }
}

/// The field whose absence is easily overlooked, and what that comes to.
fn missing(clause: &Clause, protocol: Protocol) -> Option<(&'static str, &'static str)> {
    match protocol {
        Protocol::Rest if clause.method.is_none() => {
            Some(("method", "every method, DELETE and unknown ones among them"))
        }
        Protocol::Rest if clause.path.is_none() => Some(("path", "every path")),
        Protocol::GraphQl if clause.operation_type.is_none() => {
            Some(("operation_type", "mutations as well as queries"))
        }
        Protocol::Grpc if clause.service.is_none() => Some(("service", "every service")),
        _ => None,
    }
}

fn full(endpoint: &Endpoint, findings: &mut Findings) {
    let word = endpoint.protocol.as_str().unwrap_or_default();
    let what = match endpoint.protocol {
        Protocol::Rest => "every path, to be written and deleted as well as read",
        _ => "everything",
    };
    let message = format!("`access: full` with `protocol: {word}` reads: {what}");
    findings.note("P0514", endpoint.at, message);
}
