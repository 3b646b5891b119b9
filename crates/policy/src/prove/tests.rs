//! Proofs with their counter-examples.

use super::*;
use crate::document::parse;

fn document(text: &str) -> Document {
    let parsed = parse(&format!("version: 1\nnetwork_policies:\n{text}"));
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn rule(endpoint: &str, binary: &str) -> Document {
    document(&format!(
        "  r: {{ endpoints: [{{ {endpoint} }}], binaries: [{{ path: \"{binary}\" }}] }}\n"
    ))
}

fn proof(a: &Document, b: &Document) -> String {
    match prove_subset(a, b) {
        Proof::Holds => "holds".to_owned(),
        Proof::Fails(example) => example.to_string(),
        Proof::Undecided(why) => format!("undecided: {why}"),
    }
}

#[test]
fn connections_differ_in_host_port_program_time_and_address() {
    let base = || rule("host: \"*.e.com\", port: 443", "/bin/*");
    for (endpoint, binary, wanted) in [
        ("host: a.e.com, port: 443", "/bin/x", "/bin/x to a.e.com port 443 at 10.0.0.1"),
        ("host: \"a*.e.com\", port: 443", "/bin/x", "holds"),
        ("host: \"**.e.com\", port: 443", "/bin/x", "/bin/x to x.x.e.com port 443"),
        ("host: \"x.*.e.com\", port: 443", "/bin/x", "/bin/x to x.y.e.com port 443"),
        ("host: \"*.e.com\", ports: [\"443-444\"]", "/bin/x", "/bin/x to x.e.com port 444"),
        ("host: \"*.e.com\", port: 443", "/bin/**", "/bin/x/x to x.e.com port 443"),
        (
            "host: \"*.e.com\", port: 443, protocol: udp",
            "/bin/x",
            "/bin/x to x.e.com port 443 (UDP)",
        ),
        ("host: 10.0.0.1, port: 443", "/bin/x", "/bin/x to 10.0.0.1 port 443"),
    ] {
        assert_eq!(proof(&base(), &rule(endpoint, binary)), wanted, "{endpoint} {binary}");
    }
}

#[test]
fn two_rules_together_cover_what_one_allows() {
    let a = document(
        "  x: { endpoints: [{ host: a.e, ports: [\"1-100\"] }], binaries: [{ path: /bin/x }] }
  y: { endpoints: [{ host: a.e, ports: [\"50-200\"] }], binaries: [{ path: /bin/x }, { path: /bin/y, descendants: true }] }\n",
    );
    assert_eq!(proof(&a, &rule("host: a.e, ports: [\"1-200\"]", "/bin/x")), "holds");
    assert_eq!(
        proof(&a, &rule("host: a.e, ports: [\"1-201\"]", "/bin/x")),
        "/bin/x to a.e port 201"
    );
    let child = document(
        "  r: { endpoints: [{ host: a.e, port: 60 }], binaries: [{ path: /bin/y, descendants: true }] }\n",
    );
    assert_eq!(proof(&a, &child), "holds");
    let other = document(
        "  r: { endpoints: [{ host: a.e, port: 20 }], binaries: [{ path: /bin/x, descendants: true }] }\n",
    );
    let found = proof(&a, &other);
    assert!(found.ends_with("started by /bin/x to a.e port 20"), "{found}");
}

#[test]
fn requests_differ_in_method_path_query_and_headers() {
    let rest =
        |rules: &str| rule(&format!("host: a.e, port: 443, protocol: rest, {rules}"), "/bin/x");
    let a = rest("access: read-only, deny_rules: [{ path: /admin/** }]");
    for (rules, wanted) in [
        ("rules: [{ allow: { method: GET, path: /v1/** } }]", "holds"),
        ("rules: [{ allow: { method: GET } }]", "/bin/x to a.e port 443: GET /ADMIN/"),
        ("rules: [{ allow: { method: POST, path: /v1/* } }]", "/bin/x to a.e port 443: POST /v1/"),
        (
            "rules: [{ allow: { method: GET, query: { q: a } } }], deny_rules: [{ path: /admin/** }]",
            "holds",
        ),
    ] {
        assert_eq!(proof(&a, &rest(rules)), wanted, "{rules}");
    }
    let asks =
        rest("rules: [{ allow: { path: /x, query: { q: \"a*\" }, headers: { accept: json } } }]");
    assert_eq!(proof(&asks, &asks), "holds");
    let wider =
        rest("rules: [{ allow: { path: /x, query: { q: \"*\" }, headers: { accept: json } } }]");
    let found = proof(&asks, &wider);
    assert!(found.contains("GET /x?q=\"\""), "{found}");
    let opaque = rule("host: a.e, port: 443", "/bin/x");
    assert_eq!(proof(&opaque, &a), "holds");
    let found = proof(&rest("access: full"), &opaque);
    assert!(found.ends_with(": X /"), "{found}");
}

#[test]
fn operations_and_calls_are_told_apart() {
    let graphql =
        |rules: &str| rule(&format!("host: a.e, port: 443, protocol: graphql, {rules}"), "/bin/x");
    let a = graphql("rules: [{ allow: { operation_type: query, fields: [user, repo] } }]");
    let same = graphql(
        "rules: [{ allow: { operation_type: query, fields: [user] } }, { allow: { operation_type: query, fields: [repo] } }]",
    );
    assert_eq!(proof(&a, &same), "holds");
    let found = proof(&same, &a);
    assert!(found.contains("{ repo user }"), "{found}");
    assert!(proof(&a, &graphql("access: read-only")).contains("query"));
    let mcp =
        |rules: &str| rule(&format!("host: m.e, port: 443, protocol: mcp, {rules}"), "/bin/x");
    let read = mcp(
        "rules: [{ allow: { method: tools/call, tool: \"read_*\" } }], deny_rules: [{ method: tools/call, tool: \"read_secret*\" }]",
    );
    let one = mcp("rules: [{ allow: { method: tools/call, tool: read_file } }]");
    assert_eq!(proof(&read, &one), "holds");
    let found = proof(&read, &mcp("rules: [{ allow: { method: tools/call, tool: \"read_s*\" } }]"));
    assert!(found.contains("call tools/call of read_secret"), "{found}");
    let all = mcp("mcp: { allow_all_known_mcp_methods: true }");
    assert!(proof(&all, &read).contains("holds"));
    assert!(proof(&read, &all).contains("call"));
}

#[test]
fn what_can_be_reached_has_a_witness() {
    let text = "  a: { endpoints: [{ host: a.e.com, port: 443, protocol: rest, access: read-only, credential_binding: { provider: git } }], binaries: [{ path: /bin/x }] }
  b: { endpoints: [{ host: x.e.com, port: 443, protocol: rest, access: full, deny_rules: [{ method: \"*\" }] }], binaries: [{ path: /bin/x }] }
  c: { endpoints: [{ host: c.org, port: 22 }], binaries: [{ path: /bin/y }] }\n";
    let document = document(text);
    let reach = |target: &str, provider: Option<&str>| match reaches(&document, target, provider) {
        Some(Reach::Reached(example)) => example.to_string(),
        Some(Reach::Never) => "never".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(reach("a.e.com", Some("git")), "/bin/x to a.e.com port 443: GET /");
    assert_eq!(reach("a.e.com", Some("other")), "never");
    assert_eq!(reach("x.e.com", None), "never");
    assert_eq!(reach("*.org", None), "None");
    assert_eq!(reach("c.org", None), "/bin/y to c.org port 22");
    assert_eq!(reach("d.org", None), "never");
    assert_eq!(reach("**.e.com", Some("git")), "/bin/x to a.e.com port 443: GET /");
}

#[test]
fn a_port_a_path_and_an_address_within_a_range_can_be_asked_for() {
    let document = document(
        "  a: { endpoints: [{ host: a.e, ports: [\"80-90\"], protocol: rest, rules: [{ allow: { method: GET, path: \"/v1/**\" } }], deny_rules: [{ path: /v1/admin/** }] }], binaries: [{ path: /bin/x }] }
  b: { endpoints: [{ host: b.e, port: 443 }, { allowed_ips: [10.0.0.0/8], port: 22 }, { host: \"fd00::1\", port: 22 }], binaries: [{ path: /bin/y }] }\n",
    );
    let reach = |target: &str| match reaches(&document, target, None) {
        Some(Reach::Reached(example)) => example.to_string(),
        Some(Reach::Never) => "never".to_owned(),
        other => format!("{other:?}"),
    };
    for (target, wanted) in [
        ("a.e:85", "/bin/x to a.e port 85: GET /v1/"),
        ("a.e:443", "never"),
        ("a.e/v1/users", "/bin/x to a.e port 80: GET /v1/users"),
        ("a.e:81/v1/{users,admin}/*", "/bin/x to a.e port 81: GET /v1/users/"),
        ("a.e/v1/admin/x", "never"),
        ("a.e/v1/ADMIN/x", "never"),
        ("a.e/v2", "never"),
        ("b.e/any", "/bin/y to b.e port 443"),
        ("10.1.2.3", "/bin/y to 10.1.2.3 port 22"),
        ("10.1.2.3:443", "never"),
        ("11.1.2.3", "never"),
        ("fd00::1", "/bin/y to fd00::1 port 22"),
        ("[fd00::1]:22", "/bin/y to fd00::1 port 22"),
        ("[fd00::1]:23", "never"),
    ] {
        assert_eq!(reach(target), wanted, "{target}");
    }
    for none in ["a.e:", "a.e:0", "a.e:99999", "a.e/../x", "a.e/x?y", "", "/x", ":443", "*.com"] {
        assert_eq!(reach(none), "None", "{none}");
    }
}

#[test]
fn too_much_to_look_at_is_said() {
    let denied: Vec<String> = (0..15).map(|n| format!("{{ query: {{ q{n}: a }} }}")).collect();
    let denying = rule(
        &format!(
            "host: a.e, port: 443, protocol: rest, access: full, deny_rules: [{}]",
            denied.join(", ")
        ),
        "/bin/x",
    );
    let narrower = rule("host: a.e, port: 443, protocol: rest, access: read-only", "/bin/x");
    let Proof::Undecided(why) = prove_subset(&narrower, &denying) else { panic!() };
    assert!(why.contains("ways around denials"), "{why}");
}
