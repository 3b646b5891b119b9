//! What a document says beyond which TCP connections may be opened, and what of that this build
//! cannot enforce: such a text must be refused, for all that it stops would pass.

use super::model::Options;
use super::{Document, Endpoint, Protocol};
use crate::diagnostic::{Diagnostic, Severity};

impl Document {
    /// Whether it says more than which connections may be opened: it has rules for requests,
    /// budgets, or something to be done to requests.
    pub fn judges_requests(&self) -> bool {
        self.endpoints().any(|endpoint| asked_of_requests(endpoint).is_some())
    }

    /// Whether some endpoint is one of UDP.
    pub fn names_udp(&self) -> bool {
        self.endpoints().any(|endpoint| endpoint.protocol == Protocol::Udp)
    }

    /// The error that a text must be refused with which this build cannot enforce: at the first
    /// endpoint that asks for more. `None`: no endpoint does.
    pub fn unenforced(&self) -> Option<Diagnostic> {
        let (endpoint, asked) =
            self.endpoints().find_map(|endpoint| Some((endpoint, unenforced(endpoint)?)))?;
        let Unenforced { asked, help } = asked;
        Some(Diagnostic {
            code: "P0420",
            severity: Severity::Error,
            message: format!("this build cannot enforce {asked}"),
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

/// What an endpoint asks for that is not done.
struct Unenforced {
    asked: String,
    help: &'static str,
}

fn unenforced(endpoint: &Endpoint) -> Option<Unenforced> {
    let options = &endpoint.options;
    if options.allow_uninspected_credentials {
        return Some(Unenforced {
            asked: "`allow_uninspected_credentials`".to_owned(),
            help: "remove it, or the endpoint: where a credential is bound, connections are read",
        });
    }
    if options.credential_provider.is_some() {
        return None;
    }
    // What is done to requests is done with the credentials that the same endpoint binds.
    let key = [
        (options.signing.is_some(), "`credential_signing`"),
        (options.websocket_credential_rewrite, "`websocket_credential_rewrite`"),
        (options.request_body_credential_rewrite, "`request_body_credential_rewrite`"),
    ];
    Some(Unenforced {
        asked: format!("{} without a `credential_binding`", first(&key)?),
        help: "add `credential_binding: { provider: NAME }`, or remove it",
    })
}

fn asked_of_requests(endpoint: &Endpoint) -> Option<String> {
    if endpoint.protocol.judges_requests() {
        return Some(format!("`protocol: {}`", endpoint.protocol.as_str().unwrap_or_default()));
    }
    let key = [
        (endpoint.options.budget.is_some(), "`budget`"),
        (endpoint.path.is_some(), "`path`"),
        (!endpoint.rules.is_empty(), "`rules`"),
        (!endpoint.deny_rules.is_empty(), "`deny_rules`"),
    ];
    first(&credentials(&endpoint.options)).or_else(|| first(&key))
}

/// What an endpoint's options ask to be done to requests. Only endpoints that judge requests have
/// the last two; were one to stand elsewhere, it would be asked for all the same.
fn credentials(options: &Options) -> [(bool, &'static str); 5] {
    [
        (options.signing.is_some(), "`credential_signing`"),
        (options.credential_provider.is_some(), "`credential_binding`"),
        (options.allow_uninspected_credentials, "`allow_uninspected_credentials`"),
        (options.websocket_credential_rewrite, "`websocket_credential_rewrite`"),
        (options.request_body_credential_rewrite, "`request_body_credential_rewrite`"),
    ]
}

fn first(keys: &[(bool, &str)]) -> Option<String> {
    keys.iter().find(|(asked, _)| *asked).map(|(_, key)| (*key).to_owned())
}
