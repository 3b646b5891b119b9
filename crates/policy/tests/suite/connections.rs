//! What this build cannot enforce, and so must refuse.

use openshell_policy::{Diagnostic, Policy, Severity};

fn beyond(endpoint: &str) -> Option<Diagnostic> {
    let text = format!(
        "version: 1\nnetwork_policies:\n  a:\n    binaries: [{{ path: /usr/bin/curl }}]\n    endpoints:\n      - {{ host: a.example.com, port: 443 }}\n      - {{ host: b.example.com, port: 443{endpoint} }}\n      - {{ host: c.example.com, port: 53, allow_uninspected_credentials: true }}\n"
    );
    let (policy, _) = Policy::compile(&text).unwrap_or_else(|all| panic!("{endpoint}: {all:#?}"));
    policy.unenforced().cloned()
}

#[test]
fn the_first_endpoint_that_asks_for_more_is_named_with_its_line() {
    for (endpoint, asked) in [
        (", credential_signing: sigv4, signing_service: s3", "`credential_signing` without a"),
        (", allow_uninspected_credentials: true", "`allow_uninspected_credentials`"),
        (
            ", protocol: rest, access: full, request_body_credential_rewrite: true",
            "`request_body_credential_rewrite` without a",
        ),
        (
            ", protocol: websocket, access: full, websocket_credential_rewrite: true",
            "`websocket_credential_rewrite` without a",
        ),
        (
            ", protocol: rest, access: full, credential_binding: { provider: corp }, \
             allow_uninspected_credentials: true",
            "`allow_uninspected_credentials`",
        ),
    ] {
        let found = beyond(endpoint).unwrap_or_else(|| panic!("{endpoint}"));
        assert_eq!((found.code, found.severity), ("P0420", Severity::Error));
        assert_eq!((found.line, found.column), (7, 9), "{endpoint}");
        assert!(found.message.contains(asked), "{endpoint}: {}", found.message);
        assert!(found.help.is_some());
    }
}

#[test]
fn what_is_enforced_asks_for_nothing_more() {
    // The line is that of the endpoint after it.
    for endpoint in [
        "",
        ", protocol: tcp",
        ", protocol: udp, budget: { bytes: 1000 }",
        ", protocol: rest, access: full",
        ", protocol: websocket, access: read-write",
        ", protocol: graphql, access: read-only",
        ", protocol: json-rpc, rules: [{ allow: { method: a } }]",
        ", protocol: mcp, mcp: { versions: ['2025-06-18'], allow_all_known_mcp_methods: true }",
        ", protocol: rest, access: full, budget: { requests: 10, bytes: 1000, per: day }",
        ", budget: { bytes: 1000 }",
        ", tls: skip",
        ", allowed_ips: [10.0.0.0/8]",
        ", protocol: rest, access: full, credential_binding: { provider: corp }",
        ", protocol: rest, access: full, credential_binding: { provider: corp }, \
         request_body_credential_rewrite: true, websocket_credential_rewrite: true",
        ", protocol: rest, access: full, credential_binding: { provider: corp }, \
         credential_signing: 'sigv4:body', signing_service: s3, signing_region: eu-1",
    ] {
        assert_eq!(beyond(endpoint).map(|found| found.line), Some(8), "{endpoint}");
    }
    assert_eq!(Policy::deny_all().unenforced(), None);
}
