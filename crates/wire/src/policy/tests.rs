use std::collections::HashMap;

use super::{from_text, to_text};
use crate::sandbox::{
    FilesystemPolicy, L7Allow, L7DenyRule, L7QueryMatcher, L7Rule, LandlockPolicy, McpOptions,
    MiddlewareEndpointSelector, NetworkBinary, NetworkCredentialBinding, NetworkEndpoint,
    NetworkMiddlewareConfig, NetworkPolicyRule, ProcessPolicy, SandboxPolicy,
};

fn glob(text: &str) -> L7QueryMatcher {
    L7QueryMatcher { glob: text.into(), any: Vec::new() }
}

fn full() -> SandboxPolicy {
    let rest = NetworkEndpoint {
        host: "*.example.com".into(),
        port: 443,
        protocol: "rest".into(),
        tls: 1,
        enforcement: 2,
        rules: vec![L7Rule {
            allow: Some(L7Allow {
                method: "GET".into(),
                path: "/v1/**".into(),
                query: HashMap::from([(
                    "tag".into(),
                    L7QueryMatcher { glob: String::new(), any: vec!["a: b".into(), "no".into()] },
                )]),
                ..L7Allow::default()
            }),
        }],
        deny_rules: vec![L7DenyRule {
            path: "/v1/\"x\\\u{1f600}\n".into(),
            ..L7DenyRule::default()
        }],
        allowed_ips: vec!["10.0.0.0/8".into()],
        credential_binding: Some(NetworkCredentialBinding { provider: "corp".into() }),
        json_rpc_max_body_bytes: 100,
        ..NetworkEndpoint::default()
    };
    let mcp = NetworkEndpoint {
        host: "mcp.example.com".into(),
        ports: vec![443, 8443],
        protocol: "mcp".into(),
        access: 3,
        json_rpc_max_body_bytes: 4096,
        mcp: Some(McpOptions {
            strict_tool_names: Some(false),
            allow_all_known_mcp_methods: Some(true),
            versions: vec!["2025-06-18".into()],
        }),
        rules: vec![L7Rule {
            allow: Some(L7Allow {
                method: "tools/call".into(),
                params: HashMap::from([("name".into(), glob("read_*"))]),
                ..L7Allow::default()
            }),
        }],
        ..NetworkEndpoint::default()
    };
    SandboxPolicy {
        version: 1,
        filesystem: Some(FilesystemPolicy {
            include_workdir: true,
            read_only: vec!["/usr".into(), "/with space: and #".into()],
            read_write: vec!["/tmp".into()],
        }),
        landlock: Some(LandlockPolicy { compatibility: "best_effort".into() }),
        process: Some(ProcessPolicy { run_as_user: "1000".into(), run_as_group: "sandbox".into() }),
        network_policies: HashMap::from([(
            "true".into(),
            NetworkPolicyRule {
                name: "api".into(),
                endpoints: vec![rest, mcp],
                binaries: vec![NetworkBinary { path: "/usr/bin/curl".into() }],
            },
        )]),
        network_middlewares: HashMap::from([(
            "redact".into(),
            NetworkMiddlewareConfig {
                name: "redact".into(),
                middleware: "openshell/regex".into(),
                config: Some(prost_types::Struct::default()),
                on_error: "fail_closed".into(),
                endpoints: Some(MiddlewareEndpointSelector {
                    include: vec!["**".into()],
                    exclude: Vec::new(),
                }),
                order: -3,
            },
        )]),
    }
}

#[test]
fn text_reads_back_as_the_same_message() {
    let policy = full();
    let text = to_text(&policy);
    assert_eq!(from_text(&text).expect("own text"), policy, "{text}");
}

#[test]
fn empty_sections_survive() {
    let policy = SandboxPolicy {
        version: 1,
        filesystem: Some(FilesystemPolicy::default()),
        landlock: Some(LandlockPolicy::default()),
        ..SandboxPolicy::default()
    };
    assert_eq!(to_text(&policy), "version: 1\nfilesystem_policy: {}\nlandlock: {}\n");
}

#[test]
fn fields_and_values_that_the_schema_does_not_know_reach_the_text() {
    let endpoint = NetworkEndpoint {
        host: "a.example".into(),
        tls: 77,
        advisor_proposed: true,
        provider_credentialed: true,
        token_grant_owner: "x".into(),
        ..NetworkEndpoint::default()
    };
    let rule = NetworkPolicyRule { endpoints: vec![endpoint], ..NetworkPolicyRule::default() };
    let policy = SandboxPolicy {
        network_policies: HashMap::from([("r".into(), rule)]),
        ..SandboxPolicy::default()
    };
    let text = to_text(&policy);
    for part in [
        "version: 0",
        "tls: \"77\"",
        "advisor_proposed: true",
        "provider_credentialed: true",
        "token_grant_owner: x",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn strings_cannot_leave_their_place() {
    let hostile = "x\"\n  evil: {host: \"*\"}\n#\u{85}\u{2028}";
    let rule = NetworkPolicyRule { name: hostile.into(), ..NetworkPolicyRule::default() };
    let policy = SandboxPolicy {
        network_policies: HashMap::from([(hostile.into(), rule)]),
        ..SandboxPolicy::default()
    };
    assert_eq!(from_text(&to_text(&policy)).expect("own text"), policy);
}
