//! What a policy says about requests.

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Call, Caller, Content, Decision, Destination, GraphqlOperation,
    OperationType, Policy, Program, Request, Verdict,
};
use openshell_types::{FileId, HostName, Port};

/// The program that asks, unless a test says otherwise.
fn curl() -> Caller {
    let file = FileId { device: 1, inode: 1 };
    let exe = Program { file, path: Some("/usr/bin/curl".into()), sha256: None };
    Caller { exe, ancestors: Vec::new() }
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// A policy of one rule for each list of endpoints, all for curl.
fn policy(rules: &[&str]) -> Policy {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for (number, endpoints) in rules.iter().enumerate() {
        text +=
            &format!("  r{number}:\n    binaries: [{{ path: /usr/bin/curl }}]\n    endpoints:\n");
        for line in endpoints.lines().filter(|line| !line.trim().is_empty()) {
            text += &format!("      {}\n", line.trim());
        }
    }
    compile(&text)
}

fn compile(text: &str) -> Policy {
    let (policy, _) = Policy::compile(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let mut table = BinaryTable::new();
    table.insert("/usr/bin/curl", Binding::Files(vec![curl().exe.file]));
    policy.bind(&table)
}

/// `allow RULE POSITION`, `audit WORD RULE` or `deny WORD RULE`.
fn ask(policy: &Policy, request: &Request<'_>) -> String {
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let verdict = policy.request(&to, &curl(), request, now());
    let position = |clause: Option<u32>| clause.map_or("-".to_owned(), |at| at.to_string());
    let denied = |denial: &openshell_policy::RequestDenial| {
        let rule = denial.endpoint().map_or("-", |grant| policy.rule_name(grant));
        let words = policy.explain_request(&to, Some(&curl()), request, &verdict);
        assert_eq!(words.predicate, denial.refused.as_str());
        assert!(!words.detail.is_empty());
        assert_eq!(words.line.is_some(), denial.endpoint().is_some());
        format!("{} {rule} {}", denial.refused.as_str(), position(denial.clause()))
    };
    match &verdict {
        Verdict::Allow(grant) => {
            let words = policy.explain_request(&to, Some(&curl()), request, &verdict);
            assert_eq!(words.predicate, "allowed");
            format!("allow {} {}", policy.rule_name(grant.endpoint()), position(grant.clause()))
        }
        Verdict::Audit(denial) => format!("audit {}", denied(denial)),
        Verdict::Deny(denial) => format!("deny {}", denied(denial)),
    }
}

fn head<'a>(method: &'a str, path: &'a str) -> Request<'a> {
    Request { method, path, query: &[], headers: &[], content: Content::Plain }
}

fn check_heads(policy: &Policy, table: &[(&str, &str, &str)]) {
    for (method, path, wanted) in table {
        assert_eq!(ask(policy, &head(method, path)), *wanted, "{method} {path}");
    }
}

#[test]
fn rest_rules_allow_by_method_and_path() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, rules: [ \
            { allow: { method: get, path: \"/repos/*/issues\" } }, \
            { allow: { method: \"*\", path: \"/own/**\" } }, \
            { allow: { path: \"/{a,b}/x{,.git}\" } }, \
            { allow: { method: PURGE } } ] }",
        "- { host: y.example.com, port: 443, protocol: rest, access: full }",
    ]);
    check_heads(
        &policy,
        &[
            ("GET", "/repos/me/issues", "allow r0 0"),
            ("HEAD", "/repos/me/issues", "allow r0 0"),
            ("get", "/repos/me/issues", "deny rule r0 -"),
            ("POST", "/repos/me/issues", "deny rule r0 -"),
            ("GET", "/repos/a/b/issues", "deny rule r0 -"),
            ("GET", "/Repos/me/issues", "deny rule r0 -"),
            ("DELETE", "/own/x/y", "allow r0 1"),
            ("DELETE", "/own", "deny rule r0 -"),
            ("PROPFIND", "/own/x", "deny rule r0 -"),
            ("PROPFIND", "/a/x", "allow r0 2"),
            ("GET", "/b/x.git", "allow r0 2"),
            ("GET", "/c/x.git", "deny rule r0 -"),
            ("PURGE", "/anything", "allow r0 3"),
        ],
    );
}

#[test]
fn presets_allow_their_methods() {
    for (access, allowed) in [
        ("read-only", &["GET", "HEAD", "OPTIONS"][..]),
        ("read-write", &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"]),
        ("full", &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]),
    ] {
        let policy = policy(&[&format!(
            "- {{ host: x.example.com, port: 443, protocol: rest, access: {access} }}"
        )]);
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            let wanted = if allowed.contains(&method) { "allow r0 -" } else { "deny rule r0 -" };
            assert_eq!(ask(&policy, &head(method, "/any/path")), wanted, "{access} {method}");
        }
    }
}

#[test]
fn denials_come_first_and_ignore_the_case_of_paths() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, access: full }",
        "- { host: \"*.example.com\", port: 443, protocol: rest, access: read-only, deny_rules: [ \
            { path: \"/admin/**\" }, { method: DELETE }, { method: GET, path: /head } ] }",
        "- { host: \"*.example.com\", port: 443, protocol: rest, access: full, \
            path_case: sensitive, deny_rules: [{ path: /Exact }] }",
    ]);
    check_heads(
        &policy,
        &[
            ("POST", "/x", "allow r0 -"),
            ("POST", "/admin/x", "deny deny_rule r1 0"),
            ("POST", "/ADMIN/X", "deny deny_rule r1 0"),
            ("DELETE", "/x", "deny deny_rule r1 1"),
            ("GET", "/head", "deny deny_rule r1 2"),
            ("HEAD", "/head", "allow r0 -"),
            ("GET", "/Exact", "deny deny_rule r2 0"),
            ("GET", "/exact", "allow r0 -"),
        ],
    );
    // Whatever it carries: a denial of rest sees the head.
    let request = Request { content: Content::Graphql(&[]), ..head("DELETE", "/x") };
    assert_eq!(ask(&policy, &request), "deny deny_rule r1 1");
    let request = Request { content: Content::Rpc(&[]), ..head("POST", "/admin/x") };
    assert_eq!(ask(&policy, &request), "deny deny_rule r1 0");
}

#[test]
fn the_most_specific_endpoints_decide() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, access: full }",
        "- { host: x.example.com, port: 443, path: \"/api/**\", protocol: rest, access: read-only }",
        "- { host: x.example.com, port: 443, path: \"/api/v1/*\", protocol: rest, rules: [{ allow: { method: POST } }] }
         - { host: x.example.com, port: 443, path: \"/{up,api}/v1/*\", protocol: rest, rules: [{ allow: { method: PUT } }] }",
        "- { host: x.example.com, port: 443, path: \"/Fold/**\", path_case: insensitive, protocol: rest, rules: [{ allow: { path: /fold/A } }] }",
        "- { host: x.example.com, port: 443, path: \"/old/**\", protocol: rest, access: full }",
    ]);
    check_heads(
        &policy,
        &[
            ("DELETE", "/x", "allow r0 -"),
            ("GET", "/api/x", "allow r1 -"),
            ("POST", "/api/x", "deny rule r1 -"),
            ("POST", "/api/v1/x", "allow r2 0"),
            ("PUT", "/api/v1/x", "allow r2 0"),
            ("GET", "/api/v1/x", "deny rule r2 -"),
            ("PUT", "/up/v1/x", "allow r2 0"),
            ("POST", "/up/v1/x", "deny rule r2 -"),
            ("GET", "/api/v1/x/y", "allow r1 -"),
            ("GET", "/fOLD/a", "allow r3 0"),
            ("GET", "/fOLD/b", "deny rule r3 -"),
        ],
    );
}

#[test]
fn a_path_that_no_endpoint_takes_is_refused_as_a_path() {
    let narrowed = policy(&[
        "- { host: x.example.com, port: 443, path: \"/api/**\", protocol: rest, access: full }",
    ]);
    check_heads(&narrowed, &[("GET", "/x", "deny path r0 -"), ("GET", "/api/x", "allow r0 -")]);
    let other = policy(&["- { host: y.example.com, port: 443, protocol: rest, access: full }"]);
    check_heads(&other, &[("GET", "/x", "deny connection - -")]);
}

#[test]
fn an_endpoint_that_judges_nothing_allows_every_request() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, rules: [{ allow: { path: /a } }], deny_rules: [{ path: /b }] }",
        "- { host: \"*.example.com\", port: 443 }",
    ]);
    check_heads(&policy, &[("GET", "/c", "allow r1 -"), ("GET", "/b", "deny deny_rule r0 0")]);
}

#[test]
fn values_of_query_and_headers_are_judged() {
    let policy = policy(&["- { host: x.example.com, port: 443, protocol: rest, \
            rules: [{ allow: { query: { page: \"1*\", tag: { any: [a, \"b.*\"] } } } }, { allow: { headers: { X-Kind: \"*\" } } }], \
            deny_rules: [{ query: { mode: \"raw*\" }, headers: { x-force: \"1\" } }] }"]);
    let query = |query| Request { query, ..head("GET", "/") };
    for (pairs, wanted) in [
        (&[("page", "12"), ("tag", "a")][..], "allow r0 0"),
        (&[("page", "1"), ("tag", "a"), ("tag", "b./x")], "allow r0 0"),
        (&[("page", "1"), ("tag", "a"), ("tag", "c")], "deny rule r0 -"),
        (&[("page", "1")], "deny rule r0 -"),
        (&[], "deny rule r0 -"),
    ] {
        assert_eq!(ask(&policy, &query(pairs)), wanted, "{pairs:?}");
    }
    let headers = [("x-kind", ""), ("x-force", "0"), ("x-force", "1")];
    let with = |query| Request { query, headers: &headers, ..head("GET", "/") };
    assert_eq!(ask(&policy, &with(&[])), "allow r0 1");
    assert_eq!(ask(&policy, &with(&[("mode", "x"), ("mode", "rawest")])), "deny deny_rule r0 0");
}

#[test]
fn denials_that_are_noted_take_nothing_from_the_others() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, access: full, enforcement: audit, deny_rules: [{ path: \"/admin/**\" }, { path: /both }] }",
        "- { host: x.example.com, port: 443, path: \"/admin/**\", protocol: rest, access: read-only }",
        "- { host: x.example.com, port: 443, path: \"/noted/**\", protocol: rest, access: read-only, enforcement: audit }",
        "- { host: x.example.com, port: 443, protocol: rest, access: read-only, deny_rules: [{ path: /both }] }",
    ]);
    check_heads(
        &policy,
        &[
            ("GET", "/admin/x", "audit deny_rule r0 0"),
            ("POST", "/admin/x", "deny rule r1 -"),
            ("POST", "/noted/x", "audit rule r2 -"),
            ("GET", "/noted/x", "allow r2 -"),
            ("GET", "/both", "deny deny_rule r3 0"),
            ("PURGE", "/x", "deny rule r0 -"),
        ],
    );
}

fn operation<'a>(
    kind: OperationType,
    name: &'a str,
    fields: &'a [&'a str],
) -> GraphqlOperation<'a> {
    GraphqlOperation::Document { operation_type: kind, name, fields }
}

#[test]
fn graphql_needs_a_rule_for_each_operation() {
    use OperationType::{Mutation, Query, Subscription};
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: graphql, persisted_queries: allow_registered, \
            graphql_persisted_queries: { abc: { operation_type: query, operation_name: Q, fields: [viewer] } }, \
            rules: [{ allow: { operation_type: query, fields: [viewer, \"repo*\"] } }, { allow: { operation_type: mutation, operation_name: Add* } }], \
            deny_rules: [{ fields: [\"*secret*\"] }] }",
    ]);
    let ask = |operations: &[GraphqlOperation<'_>]| {
        ask(&policy, &Request { content: Content::Graphql(operations), ..head("POST", "/graphql") })
    };
    let good = operation(Query, "", &["viewer", "repository"]);
    let add = operation(Mutation, "AddStar", &["addStar"]);
    assert_eq!(ask(&[good]), "allow r0 0");
    assert_eq!(ask(&[add]), "allow r0 1");
    assert_eq!(ask(&[good, add]), "allow r0 0");
    assert_eq!(ask(&[add, good]), "allow r0 1");
    assert_eq!(ask(&[good, operation(Mutation, "Delete", &["x"])]), "deny rule r0 -");
    assert_eq!(ask(&[operation(Query, "", &["viewer", "users"])]), "deny rule r0 -");
    assert_eq!(ask(&[operation(Subscription, "AddX", &["viewer"])]), "deny rule r0 -");
    assert_eq!(
        ask(&[good, operation(Mutation, "AddX", &["x", "repo.secrets"])]),
        "deny deny_rule r0 0"
    );
    assert_eq!(ask(&[]), "deny rule r0 -");
    assert_eq!(ask(&[GraphqlOperation::Hash("abc")]), "allow r0 0");
    assert_eq!(ask(&[GraphqlOperation::Hash("abd")]), "deny deny_rule r0 0");
    assert_eq!(self::ask(&policy, &head("POST", "/graphql")), "deny protocol r0 -");
}

#[test]
fn one_endpoint_must_allow_the_whole_batch() {
    let rule = |method: &str| {
        format!(
            "- {{ host: x.example.com, port: 443, protocol: json-rpc, rules: [{{ allow: {{ method: {method} }} }}] }}"
        )
    };
    let policy = policy(&[&rule("a"), &rule("b"), &rule("\"*\"")]);
    let one = Call { method: "a", tool: None, params: &[] };
    let two = Call { method: "b", ..one };
    for (calls, wanted) in [
        (&[one][..], "allow r0 0"),
        (&[two], "allow r1 0"),
        (&[one, two], "allow r2 0"),
        (&[two, one, two], "allow r2 0"),
        (&[two, two], "allow r1 0"),
        (&[], "deny rule r0 -"),
    ] {
        let request = Request { content: Content::Rpc(calls), ..head("POST", "/") };
        assert_eq!(ask(&policy, &request), wanted, "{calls:?}");
    }
}

#[test]
fn calls_are_judged_by_method_tool_and_params() {
    let policy = policy(&[
        "- { host: x.example.com, port: 443, protocol: mcp, mcp: { allow_all_known_mcp_methods: true }, \
            rules: [{ allow: { method: tools/call, tool: \"read*\" } }, { allow: { method: tools/call, tool: write, params: { arguments.path: \"/tmp/*\" } } }], \
            deny_rules: [{ method: tools/call, tool: \"*secret*\" }, { method: resources/read, params: { uri: \"file:*\" } }] }",
    ]);
    let ask = |method, tool, params| {
        let calls = [Call { method, tool, params }];
        ask(&policy, &Request { content: Content::Rpc(&calls), ..head("POST", "/") })
    };
    assert_eq!(ask("tools/list", None, &[]), "allow r0 -");
    assert_eq!(ask("initialize", None, &[]), "allow r0 -");
    assert_eq!(ask("server/discover", None, &[]), "allow r0 -");
    assert_eq!(ask("subscriptions/listen", None, &[]), "allow r0 -");
    assert_eq!(ask("tools/evil", None, &[]), "deny rule r0 -");
    assert_eq!(ask("tools/call", Some("read.file"), &[]), "allow r0 0");
    assert_eq!(ask("tools/call", Some("read file"), &[]), "deny rule r0 -");
    assert_eq!(ask("tools/call", Some("remove"), &[]), "deny rule r0 -");
    assert_eq!(ask("tools/call", None, &[]), "deny rule r0 -");
    assert_eq!(ask("tools/call", Some("read.secret"), &[]), "deny deny_rule r0 0");
    let path = [("arguments.path", "/tmp/a/b")];
    assert_eq!(ask("tools/call", Some("write"), &path), "allow r0 1");
    let paths = [("arguments.path", "/tmp/a"), ("arguments.path", "/etc/passwd")];
    assert_eq!(ask("tools/call", Some("write"), &paths), "deny rule r0 -");
    assert_eq!(ask("resources/read", None, &[("uri", "https://x")]), "allow r0 -");
    assert_eq!(ask("resources/read", None, &[("uri", "file:///x")]), "deny deny_rule r0 1");
}

#[test]
fn websocket_judges_the_upgrade_and_messages() {
    use OperationType::{Mutation, Subscription};
    let policy = policy(&[
        "- { host: x.example.com, port: 443, path: /graph, protocol: websocket, \
            rules: [{ allow: { method: GET } }, { allow: { method: WEBSOCKET_TEXT, operation_type: subscription } }], \
            deny_rules: [{ fields: [secret] }] }
         - { host: x.example.com, port: 443, path: /plain, protocol: websocket, access: read-write }
         - { host: x.example.com, port: 443, path: /listen, protocol: websocket, access: read-only }",
    ]);
    let message = |path, operations, control| Request {
        content: Content::Message { operations, control },
        ..head("WEBSOCKET_TEXT", path)
    };
    check_heads(
        &policy,
        &[
            ("GET", "/graph", "allow r0 0"),
            ("POST", "/graph", "deny protocol r0 -"),
            ("GET", "/listen", "allow r0 -"),
        ],
    );
    for (path, operations, control, wanted) in [
        ("/graph", &[operation(Subscription, "", &["news"])][..], false, "allow r0 1"),
        ("/graph", &[operation(Mutation, "", &["news"])], false, "deny rule r0 -"),
        ("/graph", &[operation(Subscription, "", &["secret"])], false, "deny deny_rule r0 0"),
        ("/graph", &[], true, "allow r0 1"),
        ("/graph", &[], false, "deny deny_rule r0 0"),
        ("/plain", &[], false, "allow r0 -"),
        ("/listen", &[], false, "deny rule r0 -"),
    ] {
        let found = ask(&policy, &message(path, operations, control));
        assert_eq!(found, wanted, "{path} {operations:?} {control}");
    }
}

#[test]
fn grpc_is_judged_by_service_and_method() {
    let policy = policy(&["- { host: x.example.com, port: 443, protocol: grpc, \
            rules: [{ allow: { service: my.api.Reader } }, { allow: { service: \"my.*\", method: Get* } }], \
            deny_rules: [{ method: GetSecret }] }"]);
    check_heads(
        &policy,
        &[
            ("POST", "/my.api.Reader/Write", "allow r0 0"),
            ("POST", "/my.api.Other/GetX", "allow r0 1"),
            ("POST", "/my.api.Other/SetX", "deny rule r0 -"),
            ("POST", "/my.api.Other/GetSecret", "deny deny_rule r0 0"),
            ("POST", "/my.api.Other/getsecret", "deny rule r0 -"),
            ("POST", "/my.api.Reader/a/b", "deny rule r0 -"),
        ],
    );
}

#[test]
fn udp_and_tcp_are_other_endpoints() {
    let policy = policy(&["- { host: x.example.com, port: 53, protocol: udp }
         - { host: x.example.com, port: 443 }"]);
    let name = HostName::parse("x.example.com").unwrap();
    for (port, tcp, udp) in [(53, false, true), (443, true, false), (80, false, false)] {
        let to = Destination::Name(&name, Port::new(port).unwrap());
        let connect = policy.connect(&to, &curl(), now());
        let datagram = policy.datagram(&to, &curl(), now());
        assert_eq!(matches!(connect, Decision::Allow(_)), tcp, "{port}");
        assert_eq!(matches!(datagram, Decision::Allow(_)), udp, "{port}");
        for decision in [connect, datagram] {
            if let Decision::Deny(denial) = decision {
                assert_eq!(denial.predicate.as_str(), "port");
                let words = policy.explain(&to, Some(&curl()), &decision);
                assert!(words.detail.contains("port"), "{}", words.detail);
            }
        }
    }
}

#[test]
fn a_rule_that_expired_covers_no_request() {
    let text = "version: 1
network_policies:
  a:
    until: 2029-01-01T00:00:00Z
    binaries: [{ path: /usr/bin/curl }]
    endpoints: [{ host: x.example.com, port: 443, protocol: rest, access: full, deny_rules: [{ path: /b }] }]
  b:
    binaries: [{ path: /usr/bin/curl }]
    endpoints: [{ host: x.example.com, port: 443, path: /b, protocol: rest, access: read-only }]
";
    let policy = compile(text);
    check_heads(&policy, &[("GET", "/a", "deny path b -"), ("GET", "/b", "allow b -")]);
    check_heads(
        &compile(&text.replace("2029", "2039")),
        &[("GET", "/a", "allow a -"), ("GET", "/b", "deny deny_rule a 0")],
    );
}

/// The words about one request to `x.example.com`.
fn words(policy: &Policy, request: &Request<'_>) -> openshell_policy::Explanation {
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let verdict = policy.request(&to, &curl(), request, now());
    policy.explain_request(&to, Some(&curl()), request, &verdict)
}

#[test]
fn explanations_name_the_line_and_the_nearest_edit() {
    let rest = policy(&[
        "- { host: x.example.com, port: 443, protocol: rest, rules: [{ allow: { method: GET } }],
         deny_rules: [{ path: /no }] }",
        "- { host: x.example.com, port: 443, path: /part, protocol: rest, access: read-only }",
    ]);
    for (request, line, detail, nearest) in [
        (
            head("POST", "/x"),
            6,
            "no rule of `r0` (endpoint in line 6) allows POST /x",
            "add `- allow: { method: POST, path: /x }` to `rules` of the endpoint of rule `r0` (line 6)",
        ),
        (
            head("GET", "/no"),
            7,
            "the rule `r0` denies GET /no in `deny_rules` (line 7)",
            "remove or narrow the denying rule in line 7",
        ),
        (
            head("PUT", "/part"),
            11,
            "no rule of `r1` (endpoint in line 11) allows PUT /part",
            "write `access: read-write` in place of the one of the endpoint of rule `r1` (line 11)",
        ),
        (
            head("PURGE", "/part"),
            11,
            "no rule of `r1` (endpoint in line 11) allows PURGE /part",
            "put `rules` in place of `access` of the endpoint of rule `r1` (line 11), with `- allow: \
             { method: PURGE, path: /part }` among them",
        ),
    ] {
        let words = words(&rest, &request);
        assert_eq!(words.detail, detail);
        assert_eq!(words.nearest.as_deref(), Some(nearest));
        assert_eq!(words.line, Some(line));
    }
    let allowed = words(&rest, &head("GET", "/x"));
    assert_eq!(allowed.detail, "the rule `r0` allows GET /x there");
    // No rule can name a method such as this, and nothing is proposed that would not help.
    assert_eq!(words(&rest, &head("CONNECT", "/x")).nearest, None);
    assert_eq!(words(&rest, &head("POST", "/*")).nearest, None);
}

#[test]
fn explanations_of_calls_and_paths_propose_what_would_allow_them() {
    let tools = policy(&[
        "- { host: x.example.com, port: 443, path: /mcp, protocol: mcp, rules: [{ allow: { method: tools/call, tool: read } }] }",
    ]);
    let calls = [Call { method: "tools/call", tool: Some("write"), params: &[] }];
    let request = Request { content: Content::Rpc(&calls), ..head("POST", "/mcp") };
    let found = words(&tools, &request);
    assert_eq!(
        found.nearest.as_deref(),
        Some(
            "add `- allow: { method: tools/call, tool: \"write\" }` to `rules` of the endpoint of \
             rule `r0` (line 6)"
        )
    );
    let found = words(&tools, &head("GET", "/other"));
    assert_eq!(found.predicate, "path");
    assert_eq!(
        found.nearest.as_deref(),
        Some(
            "add `- { host: \"x.example.com\", port: 443, path: /other, protocol: rest, rules: \
             [{ allow: { method: GET, path: /other } }] }` to `endpoints` of rule `r0` (line 3)"
        )
    );
}

#[test]
fn the_nearest_edit_is_no_wider_than_a_query_that_rules_tell_apart() {
    let git = policy(&["- { host: x.example.com, port: 443, protocol: rest, rules: [{ allow: {
         method: GET, path: /r/info/refs, query: { service: git-upload-pack } } }] }"]);
    let push = [("service", "git-receive-pack"), ("other", "1")];
    let request = Request { query: &push, ..head("GET", "/r/info/refs") };
    let said = words(&git, &request);
    assert!(said.detail.ends_with("with `service=git-receive-pack`"), "{}", said.detail);
    let edit = said.nearest.unwrap();
    assert!(edit.contains("path: /r/info/refs, query: { ") && edit.contains("receive"), "{edit}");
    assert!(!edit.contains("other"), "{edit}");
    // A rule that names no value would allow all of them.
    for query in [&[][..], &[("service", "a"), ("service", "b")], &[("service", "a*")]] {
        let request = Request { query, ..head("GET", "/r/info/refs") };
        assert_eq!(words(&git, &request).nearest, None, "{query:?}");
    }
}
