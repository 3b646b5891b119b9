//! What is offered for which denial.

use openshell_types::{FileId, HostName, Port};

use super::*;
use crate::decision::Program;
use crate::document::{OperationType, parse};
use crate::request::{Call, Content, GraphqlOperation};

fn document(text: &str) -> Document {
    let parsed = parse(&format!("version: 1\nnetwork_policies:\n{text}"));
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn program(path: &str) -> Program {
    let inode = path.bytes().fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
    Program { file: FileId { device: 1, inode }, path: Some(path.into()), sha256: None }
}

fn caller(exe: &str, ancestors: &[&str]) -> Caller {
    Caller { exe: program(exe), ancestors: ancestors.iter().map(|path| program(path)).collect() }
}

fn offered(text: &str, (host, port): (&str, u16), by: &Caller) -> Proposal {
    let name = HostName::parse(host).unwrap();
    propose(&document(text), &Destination::Name(&name, Port::new(port).unwrap()), by, None)
}

const TEXT: &str = "  one: { endpoints: [{ host: a.example, port: 443 }], binaries: [{ path: /bin/x }] }
  git: { endpoints: [{ host: g.example, port: 443 }], binaries: [{ path: /usr/bin/git }] }
  many: { endpoints: [{ host: m.example, port: 443 }, { host: n.example, port: 443 }], binaries: [{ path: /bin/x }, { path: /bin/y }] }
";

#[test]
fn what_adds_to_a_rule_adds_nothing_else() {
    for (to, by, words) in [
        (("a.example", 443), "/bin/z", "add `- path: /bin/z` to binaries of rule `one` (line 3)"),
        (
            ("a.example", 8443),
            "/bin/x",
            "write `ports: [443, 8443]` at the endpoint of rule `one` (line 3)",
        ),
        (
            ("m.example", 443),
            "/bin/z",
            "add `m_example: { endpoints: [{ host: m.example, port: 443 }], binaries: [{ path: \
             /bin/z }] }` to `network_policies`",
        ),
        (
            ("m.example", 80),
            "/bin/x",
            "add `m_example: { endpoints: [{ host: m.example, port: 80 }], binaries: [{ path: \
             /bin/x }] }` to `network_policies`",
        ),
    ] {
        let proposal = offered(TEXT, to, &caller(by, &["/bin/sh"]));
        assert_eq!(proposal.outcome, Outcome::Edit);
        assert_eq!(proposal.words, words);
        assert_eq!(proposal.widening, [] as [&str; 0]);
        assert!(proposal.alternative.is_none());
    }
    let allowed = offered(TEXT, ("n.example", 443), &caller("/bin/y", &[]));
    assert_eq!(allowed.outcome, Outcome::Allowed);
    assert_eq!(allowed.line(), None);
}

#[test]
fn helpers_are_offered_with_the_program_that_starts_them() {
    let helper = caller("/usr/lib/git-core/git-remote-https", &["/usr/bin/git", "/bin/sh"]);
    let proposal = offered(TEXT, ("g.example", 443), &helper);
    assert!(proposal.words.contains("- path: /usr/lib/git-core/git-remote-https"), "{proposal:?}");
    let other = proposal.alternative.unwrap();
    assert_eq!(
        other.words,
        "add `descendants: true` to `- path: /usr/bin/git` of rule `git` (line 4)"
    );
    assert_eq!(other.widening.len(), 1);
    let applied = document(TEXT).apply(&other.operations).unwrap();
    assert!(applied.text.contains("- { path: \"/usr/bin/git\", descendants: true }"));
    assert!(!applied.text.contains("- { path: \"/usr/bin/git\" }"), "{}", applied.text);
    // By its name alone, where no rule names git yet.
    let elsewhere = offered(TEXT, ("z.example", 443), &helper);
    assert!(elsewhere.alternative.unwrap().words.contains("/usr/bin/git, descendants: true"));
    assert!(
        offered(TEXT, ("z.example", 443), &caller("/bin/z", &["/bin/sh"])).alternative.is_none()
    );
}

#[test]
fn what_no_rule_can_allow_is_refused_with_the_reason() {
    for (to, by, reason) in [
        ("localhost", caller("/bin/x", &[]), "host.openshell.internal"),
        ("a.example", caller("/sandbox/tool", &[]), "where the agent can write"),
        ("a.example", caller("/data/bin/tool", &[]), "where the agent can write"),
        ("a.example", caller("/opt/a*b", &[]), "pattern"),
    ] {
        let text = format!("{TEXT}filesystem_policy: {{ read_write: [/data] }}\n");
        let proposal = offered(&text, (to, 443), &by);
        assert_eq!(proposal.outcome, Outcome::Refused);
        assert!(proposal.words.contains(reason), "{}", proposal.words);
        assert!(proposal.operations.is_empty());
    }
    let no_path = Caller { exe: Program { path: None, ..program("/x") }, ancestors: Vec::new() };
    assert_eq!(offered(TEXT, ("a.example", 443), &no_path).outcome, Outcome::Refused);
    for address in ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"] {
        let to = Destination::Address(address.parse().unwrap(), Port::new(80).unwrap());
        let proposal = propose(&document(TEXT), &to, &caller("/bin/x", &[]), None);
        assert_eq!(proposal.outcome, Outcome::Refused);
        assert!(proposal.words.contains("never reachable"), "{}", proposal.words);
    }
}

#[test]
fn an_address_and_an_expired_rule_get_a_rule_of_their_own() {
    let to = Destination::Address("10.0.0.7".parse().unwrap(), Port::new(80).unwrap());
    let proposal = propose(&document(TEXT), &to, &caller("/bin/x", &[]), None);
    assert!(proposal.words.contains("host: 10.0.0.7, port: 80"), "{}", proposal.words);
    let past = "  a_example: { until: 2020-01-01T00:00:00Z, endpoints: [{ host: a.example, port: 443 }], binaries: [{ path: /bin/x }] }\n";
    let proposal = offered(past, ("a.example", 443), &caller("/bin/x", &[]));
    assert!(proposal.words.starts_with("add `a_example_2: "), "{}", proposal.words);
}

fn asked(text: &str, method: &str, path: &str, content: Content<'_>) -> Proposal {
    let name = HostName::parse("a.example").unwrap();
    let request = Request { method, path, query: &[], headers: &[], content };
    let document = document(text);
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let by = caller("/bin/x", &["/bin/sh"]);
    let proposal = propose(&document, &to, &by, Some(&request));
    if proposal.outcome == Outcome::Edit {
        let applied = document.apply(&proposal.operations).unwrap();
        let again = propose(&applied.document, &to, &by, Some(&request));
        assert_eq!(again.outcome, Outcome::Allowed, "{}", proposal.words);
    }
    proposal
}

const REST: &str = "  api: { endpoints: [{ host: a.example, port: 443, protocol: rest, access: read-only, deny_rules: [{ path: /admin/** }] }], binaries: [{ path: /bin/x }] }\n";

#[test]
fn a_request_joins_the_rules_of_its_program_alone() {
    let own = asked(REST, "POST", "/v1/items", Content::Plain);
    assert_eq!(
        own.words,
        "add `allow: { method: POST, path: /v1/items }` to `rules` at the endpoint of rule `api` \
         (line 3), with the rules of `access: read-only` in its place"
    );
    let shared = REST.replace("{ path: /bin/x }", "{ path: /bin/x }, { path: /bin/y }");
    let beside = asked(&shared, "POST", "/v1/items", Content::Plain);
    assert_eq!(
        beside.words,
        "add `a_example: { endpoints: [{ host: a.example, port: 443, protocol: rest, rules: [{ \
         allow: { method: POST, path: /v1/items } }] }], binaries: [{ path: /bin/x }] }` to \
         `network_policies`"
    );
    assert!(beside.widening.is_empty());
    let denied = asked(REST, "POST", "/Admin/x", Content::Plain);
    assert_eq!(denied.outcome, Outcome::Refused);
    assert!(denied.words.contains("`deny_rules` of rule `api`"), "{}", denied.words);
    assert_eq!(asked(REST, "TRACE", "/", Content::Plain).outcome, Outcome::Refused);
}

#[test]
fn a_request_to_a_narrowed_endpoint_gets_one_of_the_same_path() {
    let narrowed = "  wide: { endpoints: [{ host: \"*.example\", port: 443 }], binaries: [{ path: /bin/x }] }\n  api: { endpoints: [{ host: a.example, port: 443, path: /v1/**, protocol: rest, access: read-only }], binaries: [{ path: /bin/x }, { path: /bin/y }] }\n".replace("*.example", "*.b.example");
    let own = asked(&narrowed, "POST", "/v1/items", Content::Plain);
    assert!(own.words.contains("path: \"/v1/**\", protocol: rest"), "{}", own.words);
    let other = asked(&narrowed, "GET", "/v2", Content::Plain);
    assert!(
        other.words.contains("{ host: a.example, port: 443, protocol: rest"),
        "{}",
        other.words
    );
    let odd = asked("  {}\n", "GET", "/a{b}", Content::Plain);
    assert!(odd.words.contains("path: \"/a*b*\""), "{}", odd.words);
    assert_eq!(odd.widening.len(), 1);
}

#[test]
fn operations_and_calls_get_rules_of_their_kind() {
    let query = [GraphqlOperation::Document {
        operation_type: OperationType::Query,
        name: "Me",
        fields: &["user", "repo"],
    }];
    let graphql = asked(REST, "POST", "/graphql", Content::Graphql(&query));
    assert!(graphql.words.contains("protocol: graphql"), "{}", graphql.words);
    assert!(
        graphql.words.contains("operation_name: Me, fields: [user, repo]"),
        "{}",
        graphql.words
    );
    let call = [Call { method: "tools/call", tool: Some("read"), params: &[] }];
    let mcp = asked(REST, "POST", "/mcp", Content::Rpc(&call));
    assert!(mcp.words.contains("protocol: mcp"), "{}", mcp.words);
    assert!(mcp.words.contains("method: tools/call, tool: read"), "{}", mcp.words);
    let hash = [GraphqlOperation::Hash("abc")];
    assert_eq!(asked(REST, "POST", "/graphql", Content::Graphql(&hash)).outcome, Outcome::Refused);
    let message = Content::Message { operations: &[], control: false };
    let socket = asked(REST, "WEBSOCKET_TEXT", "/ws", message);
    assert!(socket.words.contains("method: WEBSOCKET_TEXT, path: /ws"), "{}", socket.words);
}
