//! Tests in the text of a policy.

use std::collections::BTreeSet;

use openshell_policy::{Difference, Document, Policy, parse, run_tests};

const RULES: &str = "version: 1
network_policies:
  api:
    until: 2030-01-01T00:00:00Z
    endpoints:
      - { host: api.example.com, port: 443, protocol: rest, rules: [{ allow: { method: GET, path: /v1/**, query: { q: 'a b' } } }, { allow: { path: '/open/*', headers: { x-team: core } } }], deny_rules: [{ path: '/**:purge' }] }
      - { host: rpc.example.com, port: 443, protocol: mcp, rules: [{ allow: { method: tools/call, tool: read, params: { arguments.path: '/a*' } } }] }
      - { host: gql.example.com, port: 443, protocol: graphql, enforcement: audit, access: read-only }
      - { host: ws.example.com, port: 443, protocol: websocket, rules: [{ allow: { method: WEBSOCKET_TEXT, operation_type: query } }] }
    binaries:
      - { path: /usr/bin/curl }
      - { path: /opt/node, descendants: true, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }
  time:
    endpoints: [{ host: 10.0.0.1, port: 123, protocol: udp }]
    binaries: [{ path: '/usr/sbin/*' }]
";

/// What came out of one test, and whether it passed.
fn run(test: &str) -> (String, bool) {
    let text = format!("{RULES}tests:\n  - {{ {test} }}\n");
    let line = u32::try_from(text.lines().count()).unwrap();
    let parsed = parse(&text);
    let failed = parsed.diagnostics.iter().find(|finding| finding.is_error());
    match (parsed.document, failed) {
        (Some(document), None) => {
            let [outcome] = &document.run_tests()[..] else { panic!("{test}") };
            assert!(outcome.passed && outcome.line == line, "{outcome:?}");
            (outcome.found.clone(), true)
        }
        (None, Some(finding)) if finding.code == "P0601" => {
            assert_eq!((finding.line, finding.column), (line, 5), "{finding}");
            assert!(Policy::compile(&text).is_err());
            (finding.message.split('`').nth(3).unwrap().to_owned(), false)
        }
        (_, finding) => panic!("{test}: {finding:?}"),
    }
}

#[test]
fn tests_ask_what_they_say() {
    let digest = "a".repeat(64);
    let node = format!("to: 'api.example.com:443', by: /opt/node, sha256: {digest}, want: allow");
    let curl =
        |host: &str, more: &str| format!("to: '{host}.example.com:443', by: /usr/bin/curl, {more}");
    let ntp = "to: '10.0.0.1:123', by: /usr/sbin/ntpd";
    let shell = "to: 'api.example.com:443', by: /bin/sh, want: deny".to_owned();
    let unknown = "to: 'api.example.com:443', by: /opt/node, want: deny".to_owned();
    for (test, found) in [
        (curl("api", "want: allow, rule: api"), "allow, rule api"),
        (curl("API", "time: 2030-01-01T00:00:00Z, want: deny"), "deny, rule api, reason expired"),
        (shell, "deny, rule api, reason binary"),
        (unknown, "deny, rule api, reason binary_digest"),
        (node, "allow, rule api"),
        (format!("{ntp}, transport: udp, want: allow"), "allow, rule time"),
        (format!("{ntp}, want: deny"), "deny, rule time, reason port"),
        ("to: '[2001:db8::1]:1', by: /a, want: deny".to_owned(), "deny, reason host"),
        (curl("api", "path: '/%76%31/x?q=a+b&q=a%20b', want: allow"), "allow, rule api"),
        (curl("api", "path: '/v1/x?q=a+b&q=c', want: deny"), "deny, rule api, reason rule"),
        (
            curl("api", "path: '/v1/x%3apurge?q=a+b', want: deny"),
            "deny, rule api, reason deny_rule",
        ),
        (
            curl("api", "method: POST, path: /open/x, headers: { X-Team: core }, want: allow"),
            "allow, rule api",
        ),
        (
            curl(
                "rpc",
                "rpc: { method: tools/call, tool: read, params: { arguments.path: /ab } }, want: allow",
            ),
            "allow, rule api",
        ),
        (
            curl("rpc", "rpc: { method: tools/call, tool: read }, want: deny"),
            "deny, rule api, reason rule",
        ),
        (
            curl("gql", "graphql: { operation_type: mutation, fields: [x] }, want: allow"),
            "allow, rule api, reason rule",
        ),
        (
            curl("ws", "method: WEBSOCKET_TEXT, graphql: { operation_type: query }, want: allow"),
            "allow, rule api",
        ),
        (curl("ws", "method: WEBSOCKET_TEXT, want: deny"), "deny, rule api, reason rule"),
    ] {
        assert_eq!(run(&test), (found.to_owned(), true), "{test}");
        let turned = match test.contains("want: allow") {
            true => test.replace("want: allow", "want: deny"),
            false => test.replace("want: deny", "want: allow"),
        };
        assert_eq!(run(&turned), (found.to_owned(), false), "{turned}");
    }
}

#[test]
fn a_wrong_rule_or_reason_fails_too() {
    for test in [
        "to: 'api.example.com:443', by: /usr/bin/curl, want: allow, rule: time",
        "to: 'api.example.com:443', by: /bin/sh, want: deny, reason: host",
        "to: 'x.example.com:443', by: /bin/sh, want: deny, rule: api",
    ] {
        assert!(!run(test).1, "{test}");
    }
}

#[test]
fn ancestors_are_asked_about() {
    let rules = "version: 1\nnetwork_policies:\n  a: { endpoints: [{ host: a.b.com, port: 1 }], binaries: [{ path: /opt/node, descendants: true }] }\n";
    let test =
        "tests: [{ to: 'a.b.com:1', by: /bin/sh, ancestors: [/bin/x, /opt/node], want: allow }]";
    assert!(parse(&format!("{rules}{test}\n")).document.is_some());
    let none = test.replace(", /opt/node", "");
    assert!(parse(&format!("{rules}{none}\n")).document.is_none());
}

#[test]
fn a_failing_test_says_what_came_out_and_why() {
    let text = format!(
        "{RULES}tests:\n  - {{ name: no shell, to: 'api.example.com:443', by: /bin/sh, want: allow }}\n"
    );
    let findings = Policy::compile(&text).unwrap_err();
    let failed = findings.iter().find(|finding| finding.code == "P0601").unwrap();
    let says = "no shell wants `allow`, and the policy says `deny, rule api, reason binary`: ";
    assert!(failed.message.starts_with(says), "{failed}");
    assert!(failed.message.contains("/bin/sh"), "{failed}");
}

fn read(tests: &[&str]) -> Document {
    let list: String = tests.iter().map(|test| format!("  - {{ {test} }}\n")).collect();
    let parsed = parse(&format!("version: 1\ntests:\n{list}"));
    parsed.document.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics))
}

#[test]
fn tests_stand_in_the_canonical_text_with_all_their_keys() {
    let digest = "a".repeat(64);
    let one = &format!(
        "name: a, to: '[2001:db8::1]:443', by: /bin/a, sha256: {digest}, ancestors: [/bin/c, /bin/b], time: 2031-01-01T00:00:00Z, method: PUT, path: '/%61?x=1', headers: {{ H: v }}, want: deny, reason: connection"
    );
    let two = "to: 'a.b:1', by: /bin/a, transport: udp, want: deny";
    let three = "to: 'a.b:1', by: /bin/a, graphql: { operation_type: query, operation_name: N, fields: [f] }, want: deny";
    let four = "to: 'a.b:1', by: /bin/a, rpc: { method: tools/call, tool: t, params: { a: b } }, want: deny";
    let document = read(&[one, two, three, four]);
    for text in [document.canonical(), document.formatted()] {
        let again = parse(&text).document.unwrap();
        assert_eq!(again.canonical(), document.canonical());
        assert_eq!(again.run_tests().len(), 4);
    }
    assert_eq!(read(&[four, two, one, three, two]).digest(), document.digest());
    let mut seen = BTreeSet::from([document.digest().to_string()]);
    for (from, to) in [
        ("name: a", "name: b"),
        ("::1]:443", "::1]:444"),
        ("by: /bin/a", "by: /bin/z"),
        ("sha256: a", "sha256: b"),
        ("/bin/c, /bin/b", "/bin/b, /bin/c"),
        ("2031", "2032"),
        ("PUT", "PATCH"),
        ("x=1", "x=2"),
        ("H: v", "H: w"),
        (", reason: connection", ""),
        (", transport: udp", ""),
        ("query,", "mutation,"),
        ("N,", "M,"),
        ("[f]", "[g]"),
        ("tools/call", "ping"),
        ("tool: t", "tool: u"),
        ("a: b", "a: c"),
    ] {
        let changed = [one, two, three, four].map(|test| test.replacen(from, to, 1));
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        assert!(seen.insert(read(&changed).digest().to_string()), "{from}");
    }
}

#[test]
fn a_test_that_is_taken_away_is_a_difference() {
    let test = "to: 'a.b:1', by: /bin/a, want: deny";
    let difference = Difference::between(&read(&[test]), &parse("version: 1").document.unwrap());
    let [change] = &difference.changes[..] else { panic!("{difference:?}") };
    assert_eq!(change.subject.as_str(), "tests");
    let wanted = "{ to: \"a.b:1\", by: ";
    assert!(change.before.as_ref().is_some_and(|text| text.starts_with(wanted)), "{change:?}");
    assert_eq!(change.after, None);
}

#[test]
fn what_is_no_question_is_refused_where_it_stands() {
    for (test, code) in [
        ("to: 'a.b', by: /bin/a, want: deny", "P0602"),
        ("to: 'a.b:0', by: /bin/a, want: deny", "P0602"),
        ("to: '*.b:1', by: /bin/a, want: deny", "P0602"),
        ("to: 'a.b:1', by: '/bin/*', want: deny", "P0602"),
        ("to: 'a.b:1', by: bin/a, want: deny", "P0203"),
        ("to: 'a.b:1', by: /bin/a, path: '/a//b', want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, path: '/%2e%2e/b', want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, path: '/%', want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, path: 'a', want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, transport: udp, path: /, want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, time: soon, want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, sha256: abc, want: deny", "P0602"),
        ("to: 'a.b:1', by: /bin/a, want: perhaps", "P0104"),
        ("to: 'a.b:1', by: /bin/a", "P0103"),
        ("to: 'a.b:1', by: /bin/a, graphql: { fields: [a] }, want: deny", "P0103"),
        ("to: 'a.b:1', by: /bin/a, whant: deny, want: deny", "P0101"),
    ] {
        let parsed = parse(&format!("version: 1\ntests:\n  - {{ {test} }}\n"));
        let codes: Vec<&str> = parsed.diagnostics.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [code], "{test}: {:?}", parsed.diagnostics);
    }
    let many = "  - { to: 'a.b:1', by: /bin/a, want: deny }\n".repeat(1025);
    let parsed = parse(&format!("version: 1\ntests:\n{many}"));
    assert!(parsed.diagnostics.iter().any(|finding| finding.code == "P0002"));
}

#[test]
fn tests_that_come_out_wrong_are_told_beside_the_others() {
    let to = "to: 'api.example.com:443', by: /bin/sh";
    let text = format!("{RULES}tests:\n  - {{ {to}, want: allow }}\n  - {{ {to}, want: deny }}\n");
    assert!(parse(&text).document.is_none());
    let outcomes = run_tests(&text).unwrap();
    let passed: Vec<bool> = outcomes.iter().map(|outcome| outcome.passed).collect();
    assert_eq!(passed, [false, true]);
    let wrong = run_tests("version: 2\n").unwrap_err();
    assert_eq!(wrong[0].code, "P0104");
}
