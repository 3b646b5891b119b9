//! P0512: a denying rule that can match nothing of what its endpoint allows (M2).

use super::cover::{Work, are_disjoint};
use crate::document::findings::{Findings, Spanned};
use crate::document::model::{Access, Clause, Endpoint, OperationChoice};
use crate::document::{Document, METHODS, OperationType, Protocol, WEBSOCKET_TEXT};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut work = Work::new();
    for endpoint in document.rules.iter().flat_map(|rule| &rule.endpoints) {
        // Any method that the protocol knows may be allowed.
        if endpoint.options.allow_all_known_mcp_methods {
            continue;
        }
        let allowed = allowed(endpoint);
        for denial in &endpoint.deny_rules {
            if !work.spend(allowed.len()) {
                return;
            }
            if allowed.iter().all(|allow| are_disjoint(allow, denial, endpoint.protocol)) {
                findings.warning(
                    "P0512",
                    denial.at,
                    "this denies nothing that its endpoint allows".to_owned(),
                    Some(
                        "remove it, unless it is there for other endpoints of the same host"
                            .to_owned(),
                    ),
                );
            }
        }
    }
}

/// The allowing rules, or those that the preset stands for.
fn allowed(endpoint: &Endpoint) -> Vec<Clause> {
    let Some(access) = endpoint.access else { return endpoint.rules.clone() };
    let method = |method: &str| Clause {
        method: Some(Spanned { value: method.to_owned(), at: endpoint.at }),
        ..Clause::default()
    };
    let kind =
        |kind| Clause { operation_type: Some(OperationChoice::Only(kind)), ..Clause::default() };
    match (endpoint.protocol, access) {
        (Protocol::Rest, Access::ReadOnly) => ["GET", "HEAD", "OPTIONS"].map(method).to_vec(),
        (Protocol::Rest, Access::ReadWrite) => {
            METHODS.into_iter().filter(|one| *one != "DELETE").map(method).collect()
        }
        (Protocol::Rest, Access::Full) => METHODS.map(method).to_vec(),
        (Protocol::WebSocket, Access::ReadOnly) => vec![method("GET")],
        (Protocol::WebSocket, _) => ["GET", WEBSOCKET_TEXT].map(method).to_vec(),
        (Protocol::GraphQl, Access::ReadOnly) => vec![kind(OperationType::Query)],
        (Protocol::GraphQl, Access::ReadWrite) => {
            [OperationType::Query, OperationType::Mutation].map(kind).to_vec()
        }
        _ => vec![Clause::default()],
    }
}
