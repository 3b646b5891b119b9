//! Batches of edits, and the lines that they are written in.

use super::*;
use crate::document::parse;
use crate::words;

fn document(text: &str) -> Document {
    let parsed = parse(&format!("version: 1\nnetwork_policies:\n{text}"));
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn add(line: &str, binaries: &[&str], rule: &str) -> Operation {
    Operation::parse_endpoint(line, binaries, Some(rule)).unwrap()
}

fn applied(document: &Document, operations: &[Operation]) -> Applied {
    let applied = document.apply(operations).unwrap();
    let again = applied.document.apply(operations).unwrap();
    assert_eq!(again.text, applied.text, "applied twice");
    assert!(!again.changed);
    applied
}

/// The rules of the canonical text, without the sections before them.
fn rules(applied: &Applied) -> &str {
    applied.text.split_once("network_policies:\n").map_or("", |(_, rules)| rules)
}

const TWO: &str = "  k: { endpoints: [{ host: a.example, port: 443 }, { host: b.example, port: 443 }], binaries: [{ path: /bin/x }, { path: /bin/y }] }\n";
const ONE: &str =
    "  k: { endpoints: [{ host: a.example, port: 443 }], binaries: [{ path: /bin/x }] }\n";

#[test]
fn a_rule_of_a_free_key_is_added_as_it_is() {
    let applied = applied(&document(ONE), &[add("c.example:80", &["/bin/z"], "mine")]);
    assert!(applied.changed);
    assert_eq!(applied.warnings, [] as [&str; 0]);
    assert_eq!(
        rules(&applied),
        document(&format!("{ONE}  mine: {{ endpoints: [{{ host: c.example, port: 80 }}], binaries: [{{ path: /bin/z }}] }}\n"))
            .canonical()
            .split_once("network_policies:\n")
            .unwrap()
            .1
    );
}

#[test]
fn an_endpoint_or_a_port_joins_the_rule_of_the_same_binaries() {
    let one = document(ONE);
    let applied_one = applied(&one, &[add("b.example:443", &["/bin/x"], "k")]);
    assert_eq!(applied_one.document.rules.len(), 1);
    assert_eq!(applied_one.document.rules[0].endpoints.len(), 2);
    let port = applied(&one, &[add("a.example:8443", &["/bin/x"], "k")]);
    assert!(rules(&port).contains("ports: [443, 8443]"), "{}", port.text);
    let binary = applied(&one, &[add("a.example:443", &["/bin/y"], "k")]);
    assert_eq!(binary.document.rules[0].binaries.len(), 2);
}

#[test]
fn nothing_is_allowed_crosswise() {
    let cases = [
        (TWO, add("c.example:443", &["/bin/x"], "k")),
        (TWO, add("a.example:8443", &["/bin/y"], "k")),
        (TWO, add("a.example:443", &["/bin/z"], "k")),
        (ONE, add("b.example:443", &["/bin/y"], "k")),
    ];
    for (text, operation) in cases {
        let before = document(text);
        let applied = applied(&before, std::slice::from_ref(&operation));
        let keys: Vec<&str> =
            applied.document.rules.iter().map(|rule| rule.key.value.as_str()).collect();
        assert_eq!(keys, ["k", "k_2"], "{operation}");
        assert_eq!(applied.warnings.len(), 1, "{operation}");
        assert!(applied.text.contains("name: \"k\""), "the caller's name stays");
    }
}

#[test]
fn an_endpoint_without_a_binary_is_for_the_only_one_of_its_rule() {
    let applied = applied(&document(ONE), &[add("b.example:443", &[], "k")]);
    assert_eq!(applied.document.rules[0].endpoints.len(), 2);
    for (text, key) in [(TWO, "k"), (ONE, "new")] {
        let refused = document(text).apply(&[add("b.example:80", &[], key)]);
        assert!(matches!(refused, Err(MergeError::Refused { operation: 0, .. })), "{refused:?}");
    }
}

#[test]
fn removals_take_one_port_one_rule_one_binary_and_say_nothing_twice() {
    let ranges = "  k: { endpoints: [{ host: a.example, ports: [\"440-450\"] }], binaries: [{ path: /bin/x }, { path: /bin/y }] }\n";
    let ranges = document(ranges);
    let port = applied(&ranges, &[Operation::parse_removal("A.example:445").unwrap()]);
    assert!(rules(&port).contains("[\"440-444\", \"446-450\"]"), "{}", port.text);
    let binary = Operation::RemoveBinary { rule: "k".to_owned(), path: "/bin/x".to_owned() };
    assert_eq!(applied(&ranges, std::slice::from_ref(&binary)).document.rules[0].binaries.len(), 1);
    let gone = applied(&document(ONE), &[binary]);
    assert_eq!((gone.document.rules.len(), gone.warnings.len()), (0, 1));
    let last = applied(&document(ONE), &[Operation::parse_removal("a.example:443").unwrap()]);
    assert_eq!(last.document.rules.len(), 0);
    let rule = applied(&document(TWO), &[Operation::RemoveRule("k".to_owned())]);
    assert_eq!(rule.document.rules.len(), 0);
    assert!(!applied(&document(ONE), &[Operation::RemoveRule("z".to_owned())]).changed);
}

#[test]
fn a_batch_holds_together_or_not_at_all() {
    let operations = [
        add("c.example:443", &["/bin/x"], "new"),
        Operation::parse_deny("nowhere.example:443:GET:/x").unwrap(),
    ];
    let refused = document(ONE).apply(&operations);
    let Err(MergeError::Refused { operation: 1, reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("nowhere.example"), "{reason}");
    // A document that would be refused is not the result of anything.
    let invalid = document(ONE).apply(&[add("127.0.0.1:80", &["/bin/x"], "new")]);
    let Err(MergeError::Invalid(found)) = invalid else { panic!("{invalid:?}") };
    assert_eq!(found[0].code, "P0309");
}

#[test]
fn lines_are_read_with_empty_segments_and_refused_by_segment() {
    for good in [
        "db.example:5432",
        "db.example:5432::tcp",
        "[2001:db8::1]:443:read-only:rest:enforce",
        "a.example:443:full:websocket::websocket-credential-rewrite",
        "a.example:443::::allowed-ip=10.0.0.0/8,allowed-ip=fd12::/48",
        "*.a.example:8000-8100:read-write",
        "a.example:443:read-only:rest:audit",
    ] {
        let read = Operation::parse_endpoint(good, &["/bin/x"], None);
        assert!(read.is_ok(), "{good}: {read:?}");
    }
    for (bad, segment) in [
        ("", Segment::Host),
        (":443", Segment::Host),
        ("https://a.example:443", Segment::Host),
        ("*.com:443", Segment::Host),
        ("[::1:443", Segment::Host),
        ("a.example", Segment::Port),
        ("a.example:0", Segment::Port),
        ("a.example:443:some", Segment::Access),
        ("a.example:443::rest", Segment::Access),
        ("a.example:443:read-only:tcp", Segment::Access),
        ("a.example:443:read-only:mcp", Segment::Access),
        ("a.example:443:full:sql", Segment::Protocol),
        ("a.example:443:full:http", Segment::Protocol),
        ("a.example:443:full:rest:maybe", Segment::Enforcement),
        ("a.example:443:::audit", Segment::Enforcement),
        ("a.example:443::::fast", Segment::Options),
        ("a.example:443::::websocket-credential-rewrite", Segment::Options),
        ("a.example:443::::allowed-ip=10", Segment::Options),
    ] {
        let read = Operation::parse_endpoint(bad, &["/bin/x"], None);
        assert_eq!(read.err().map(|error| error.segment), Some(segment), "{bad}");
    }
    for (bad, segment) in [
        ("a.example:443", Segment::Method),
        ("a.example:443:TRACE:/x", Segment::Method),
        ("a.example:443:G ET:/x", Segment::Method),
        ("a.example:443:GET", Segment::Path),
        ("a.example:443:GET:x", Segment::Path),
        ("a.example:443:GET:/x?y", Segment::Path),
        ("a.example:8000-8100:GET:/x", Segment::Port),
    ] {
        let read = Operation::parse_allow(bad);
        assert_eq!(read.err().map(|error| error.segment), Some(segment), "{bad}");
    }
    let no_binary = Operation::parse_endpoint("a.example:443", &["bin/x"], None);
    assert_eq!(no_binary.err().map(|error| error.segment), Some(Segment::Binary));
}

#[test]
fn a_rule_without_a_name_is_called_after_host_and_port() {
    let operation = Operation::parse_endpoint("API.example.com:443", &["/bin/x"], None).unwrap();
    let Operation::AddRule(NewRule(rule)) = operation else { panic!() };
    assert_eq!(rule.key.value, "allow_api_example_com_443");
}

const REST: &str = "  api: { endpoints: [{ host: a.example, ports: [443, 8443], protocol: rest, access: read-only }], binaries: [{ path: /bin/x }] }\n";
const MCP: &str = "  m: { endpoints: [{ host: m.example, port: 443, protocol: mcp, mcp: { strict_tool_names: false }, rules: [{ allow: { method: tools/list } }] }], binaries: [{ path: /bin/x }] }\n";

#[test]
fn an_allowance_writes_the_preset_out_on_its_port_alone() {
    let applied = applied(
        &document(REST),
        &[Operation::parse_allow("a.example:443:POST:/v1/{a,b}/*").unwrap()],
    );
    let endpoints = &applied.document.rules[0].endpoints;
    assert_eq!(endpoints.len(), 2);
    assert_eq!(
        endpoints.iter().map(words::endpoint).collect::<Vec<_>>(),
        [
            "a.example, protocol: rest; allow method: GET; allow method: HEAD; allow method: \
             OPTIONS; allow method: POST, path: \"/v1/{a,b}/*\" on port 443",
            "a.example, access: read-only, protocol: rest on port 8443",
        ]
    );
}

#[test]
fn denials_reach_every_endpoint_that_judges_and_no_other() {
    let two = format!(
        "{REST}  z: {{ endpoints: [{{ host: a.example, port: 443, protocol: rest, access: full }}], binaries: [{{ path: /bin/z }}] }}\n"
    );
    let deny = Operation::parse_deny("a.example:443:*:/admin/**").unwrap();
    let all = applied(&document(&two), std::slice::from_ref(&deny));
    let denied = all.document.rules.iter().flat_map(|rule| &rule.endpoints);
    assert_eq!(denied.filter(|endpoint| !endpoint.deny_rules.is_empty()).count(), 2);
    let allow = Operation::parse_allow("a.example:443:GET:/x").unwrap();
    let refused = document(&two).apply(&[allow]);
    let Err(MergeError::Refused { reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("`api`") && reason.contains("`z`"), "{reason}");
    let Err(MergeError::Refused { reason, .. }) =
        document(ONE).apply(&[Operation::parse_deny("a.example:443:*:/admin/**").unwrap()])
    else {
        panic!()
    };
    assert!(reason.contains("judges no requests"), "{reason}");
}

#[test]
fn what_is_there_keeps_its_settings_with_a_warning() {
    let wider =
        applied(&document(REST), &[add("a.example:443:full:rest:audit", &["/bin/x"], "api")]);
    assert!(!wider.changed);
    assert_eq!(
        wider.warnings,
        [
            "the endpoint a.example of rule `api` keeps its `access` (read-only); asked for was \
             full",
            "the endpoint a.example of rule `api` keeps its `enforcement` (not set); asked for \
             was audit",
        ]
    );
    let tcp = applied(&document(REST), &[add("a.example:443::tcp", &["/bin/x"], "api")]);
    assert!(!tcp.changed && tcp.warnings.len() == 1, "{:?}", tcp.warnings);
}

#[test]
fn another_mcp_contract_for_the_same_server_is_refused() {
    let strict = MCP.replace("strict_tool_names: false", "allow_all_known_mcp_methods: true");
    let operations = Operation::add_rules(&document(&strict.replace("  m:", "  n:")));
    let Err(MergeError::Refused { reason, .. }) = document(MCP).apply(&operations) else {
        panic!()
    };
    assert!(reason.contains("MCP contract in rule `m`"), "{reason}");
    let more = MCP.replace("tools/list", "ping");
    let applied = applied(&document(MCP), &Operation::add_rules(&document(&more)));
    assert_eq!(applied.document.rules[0].endpoints[0].rules.len(), 2);
}

#[test]
fn rules_of_one_binary_do_not_go_to_another() {
    let both = REST.replace("[{ path: /bin/x }]", "[{ path: /bin/x }, { path: /bin/y }]");
    let post = "  api: { endpoints: [{ host: a.example, port: 443, protocol: rest, rules: [{ allow: { method: POST, path: '**' } }] }], binaries: [{ path: /bin/x }] }\n";
    let crosswise = applied(&document(&both), &Operation::add_rules(&document(post)));
    assert_eq!(crosswise.document.rules.len(), 2);
    let own = applied(&document(REST), &Operation::add_rules(&document(post)));
    assert_eq!(own.document.rules.len(), 1);
    assert_eq!(Operation::add_clauses(&document(post)).len(), 1);
}

#[test]
fn a_rule_for_one_tool_beside_all_methods_narrows_and_says_so() {
    let all = "  m: { endpoints: [{ host: m.example, port: 443, protocol: mcp, mcp: { allow_all_known_mcp_methods: true } }], binaries: [{ path: /bin/x }] }\n";
    let tool = MCP.replace("method: tools/list", "method: tools/call, tool: read");
    let first = document(all).apply(&Operation::add_clauses(&document(&tool))).unwrap();
    assert_eq!(first.warnings.len(), 1, "{:?}", first.warnings);
    assert!(first.warnings[0].contains("every tool so far"));
}
