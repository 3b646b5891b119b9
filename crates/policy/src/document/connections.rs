//! What a document says beyond which TCP connections may be opened. An egress that only opens
//! these must refuse it: everything else that the text stops would pass.

use super::{Document, Endpoint, Protocol};
use crate::diagnostic::{Diagnostic, Severity};

impl Document {
    /// Whether it says more than which connections may be opened: it has rules for requests,
    /// budgets, or something to be done to requests. Whoever only opens connections must refuse
    /// it; see [`Self::beyond_connections`].
    pub fn judges_requests(&self) -> bool {
        self.endpoints().any(|endpoint| asked_of_requests(endpoint).is_some())
    }

    /// Whether some endpoint is one of UDP. Whoever only carries TCP must refuse it.
    pub fn names_udp(&self) -> bool {
        self.endpoints().any(|endpoint| endpoint.protocol == Protocol::Udp)
    }

    /// The error that whoever only opens TCP connections refuses the document with: at the first
    /// endpoint that asks for more. `None`: no endpoint does.
    pub fn beyond_connections(&self) -> Option<Diagnostic> {
        let (endpoint, asked) =
            self.endpoints().find_map(|endpoint| Some((endpoint, asked(endpoint)?)))?;
        let help = match endpoint.protocol {
            Protocol::Udp => "remove the endpoint: datagrams are refused until they can be judged",
            protocol if protocol.judges_requests() => {
                "remove `protocol` and what belongs to it, which allows whole connections, or the \
                 endpoint"
            }
            _ => "remove it, which allows whole connections as they are, or the endpoint",
        };
        Some(Diagnostic {
            code: "P0420",
            severity: Severity::Error,
            message: format!(
                "this build judges TCP connections only, and the endpoint asks for {asked}"
            ),
            line: endpoint.at.line,
            column: endpoint.at.column,
            help: Some(help.to_owned()),
        })
    }

    /// In the order of the text.
    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.rules.iter().flat_map(|rule| &rule.endpoints)
    }
}

fn asked(endpoint: &Endpoint) -> Option<String> {
    match endpoint.protocol {
        Protocol::Udp => Some("`protocol: udp`".to_owned()),
        _ => asked_of_requests(endpoint),
    }
}

fn asked_of_requests(endpoint: &Endpoint) -> Option<String> {
    let options = &endpoint.options;
    if endpoint.protocol.judges_requests() {
        return Some(format!("`protocol: {}`", endpoint.protocol.as_str().unwrap_or_default()));
    }
    let key = [
        (options.budget.is_some(), "`budget`"),
        (options.signing.is_some(), "`credential_signing`"),
        (options.credential_provider.is_some(), "`credential_binding`"),
        (options.allow_uninspected_credentials, "`allow_uninspected_credentials`"),
        // Only endpoints that judge requests have these; were one to stand elsewhere, it would be
        // asked for all the same.
        (options.websocket_credential_rewrite, "`websocket_credential_rewrite`"),
        (options.request_body_credential_rewrite, "`request_body_credential_rewrite`"),
        (endpoint.path.is_some(), "`path`"),
        (!endpoint.rules.is_empty(), "`rules`"),
        (!endpoint.deny_rules.is_empty(), "`deny_rules`"),
    ];
    key.into_iter().find(|(asked, _)| *asked).map(|(_, key)| key.to_owned())
}
