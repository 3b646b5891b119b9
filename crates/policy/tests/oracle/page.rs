//! Sentences of the page, each with requests that show it, asked of both sides.

use openshell_policy_oracle::{
    Answer, Asked, BOUND, Call, Carried, Connection, Kind, Operation, Product, Program, Question,
    Target, World,
};

const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A policy of one rule an endpoint, `r1` and so on, all for curl at one place.
fn policy(endpoints: &[&str]) -> String {
    let rule = |(at, endpoint): (usize, &&str)| {
        format!(
            "  r{}:\n    endpoints:\n      - {{ host: a.x.com, port: 443, {endpoint} }}\n    binaries:\n      - {{ path: /usr/bin/curl }}\n",
            at + 1
        )
    };
    let rules: String = endpoints.iter().enumerate().map(rule).collect();
    format!("version: 1\nnetwork_policies:\n{rules}")
}

fn plain(method: &str, path: &str) -> Asked {
    Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        content: Carried::Plain,
    }
}

fn with_query(path: &str, query: &[(&str, &str)]) -> Asked {
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Asked { query: query.collect(), ..plain("GET", path) }
}

fn message(operations: Vec<Operation>, control: bool) -> Asked {
    Asked { content: Carried::Message { operations, control }, ..plain("WEBSOCKET_TEXT", "/ws") }
}

fn graphql(operations: Vec<Operation>) -> Asked {
    Asked { content: Carried::Graphql(operations), ..plain("POST", "/graphql") }
}

fn operation(kind: Kind, fields: &[&str]) -> Operation {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Operation::Document { kind, name: String::new(), fields }
}

fn rpc(calls: &[(&str, Option<&str>)]) -> Asked {
    let calls = calls.iter().map(|(method, tool)| Call {
        method: (*method).to_owned(),
        tool: tool.map(str::to_owned),
        params: Vec::new(),
    });
    Asked { content: Carried::Rpc(calls.collect()), ..plain("POST", "/rpc") }
}

/// Asks both sides, and compares with `allow RULE/PLACE`, `deny WORD` or `audit WORD`, where a
/// denying rule's name and place follow.
#[track_caller]
fn holds(endpoints: &[&str], wanted: &[(Asked, &str)]) {
    let text = policy(endpoints);
    let world = World::new(&text, BOUND).unwrap();
    let product = Product::new(&text, BOUND).unwrap_or_else(|error| panic!("{error}"));
    for (asked, wanted) in wanted {
        let connection = Connection {
            to: Target::Name("a.x.com".to_owned()),
            port: 443,
            exe: Program { inode: 1, path: Some("/usr/bin/curl".to_owned()), sha256: None },
            ancestors: Vec::new(),
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
        };
        let question = Question::Request(connection, asked.clone());
        assert_eq!(say(&world.answer(&question)), *wanted, "the interpreter: {asked:?}\n{text}");
        let found = product.answer(&question).unwrap();
        assert_eq!(say(&found), *wanted, "the compiled policy: {asked:?}\n{text}");
    }
}

fn say(answer: &Answer) -> String {
    let by = |by: &Option<(String, Option<usize>)>| {
        by.as_ref().map_or(String::new(), |(rule, clause)| format!(" {rule}/{}", clause.unwrap()))
    };
    match answer {
        Answer::Allow { rule, clause, .. } => {
            let clause = clause.map_or("-".to_owned(), |clause| clause.to_string());
            format!("allow {rule}/{clause}")
        }
        Answer::Deny { word, by: rule } => format!("deny {word}{}", by(rule)),
        Answer::Audit { word, by: rule } => format!("audit {word}{}", by(rule)),
    }
}

#[test]
fn stars_stay_in_a_segment_and_double_stars_do_not() {
    holds(
        &["protocol: rest, rules: [{ allow: { path: '/x/*' } }, { allow: { path: '/y/**' } }]"],
        &[
            (plain("GET", "/x/a"), "allow r1/0"),
            (plain("GET", "/x/"), "allow r1/0"),
            (plain("GET", "/x/a/b"), "deny rule"),
            (plain("GET", "/y"), "deny rule"),
            (plain("GET", "/y/a/b"), "allow r1/1"),
        ],
    );
}

#[test]
fn methods_are_tokens() {
    holds(
        &[
            "protocol: rest, rules: [{ allow: { method: get } }, { allow: { path: /any } }], deny_rules: [{ method: GET, path: /no }]",
        ],
        &[
            (plain("GET", "/"), "allow r1/0"),
            (plain("HEAD", "/"), "allow r1/0"),
            (plain("get", "/"), "deny rule"),
            (plain("PROPFIND", "/any"), "allow r1/1"),
            (plain("GET", "/no"), "deny deny_rule r1/0"),
            (plain("HEAD", "/no"), "allow r1/0"),
        ],
    );
    holds(
        &["protocol: rest, access: full"],
        &[(plain("DELETE", "/"), "allow r1/-"), (plain("PROPFIND", "/"), "deny rule")],
    );
}

#[test]
fn every_value_must_match_to_allow_and_one_to_deny() {
    holds(
        &[
            "protocol: rest, rules: [{ allow: { query: { q: { any: ['a*', b] } } } }], deny_rules: [{ query: { q: 'ab' } }]",
        ],
        &[
            (with_query("/", &[("q", "a.b/c")]), "allow r1/0"),
            (with_query("/", &[("q", "a"), ("q", "b")]), "allow r1/0"),
            (with_query("/", &[("q", "a"), ("q", "c")]), "deny rule"),
            (with_query("/", &[("q", "a"), ("q", "ab")]), "deny deny_rule r1/0"),
            (with_query("/", &[("r", "a")]), "deny rule"),
        ],
    );
}

#[test]
fn denials_ignore_the_case_of_paths() {
    let endpoint = "protocol: rest, access: full, deny_rules: [{ path: /admin }]";
    holds(
        &[endpoint],
        &[(plain("GET", "/ADMIN"), "deny deny_rule r1/0"), (plain("GET", "/a"), "allow r1/-")],
    );
    let exact = format!("path_case: sensitive, {endpoint}");
    holds(&[&exact], &[(plain("GET", "/ADMIN"), "allow r1/-")]);
    holds(
        &[
            "protocol: rest, path_case: insensitive, path: '/a/**', rules: [{ allow: { path: /a/b } }]",
        ],
        &[(plain("GET", "/A/B"), "allow r1/0"), (plain("GET", "/B"), "deny path")],
    );
}

#[test]
fn the_most_specific_path_decides() {
    holds(
        &[
            "protocol: rest, access: full",
            "protocol: rest, path: '/a/**', access: read-only",
            "protocol: rest, path: '/{b,a/b*}', access: read-write",
        ],
        &[
            (plain("DELETE", "/"), "allow r1/-"),
            (plain("DELETE", "/a/c"), "deny rule"),
            (plain("GET", "/a/c"), "allow r2/-"),
            (plain("PUT", "/a/bc"), "allow r3/-"),
            (plain("PUT", "/b"), "allow r3/-"),
        ],
    );
}

#[test]
fn an_endpoint_that_judges_nothing_decides_only_where_it_is_most_specific() {
    holds(
        &["protocol: tcp", "protocol: rest, path: /a, access: read-only"],
        &[
            (plain("POST", "/b"), "allow r1/-"),
            (plain("POST", "/a"), "deny rule"),
            (plain("GET", "/a"), "allow r2/-"),
        ],
    );
    holds(
        &["protocol: tcp", "protocol: rest, access: full, deny_rules: [{ path: /no }]"],
        &[
            (plain("POST", "/b"), "allow r1/-"),
            (graphql(Vec::new()), "allow r1/-"),
            (plain("POST", "/no"), "deny deny_rule r2/0"),
        ],
    );
}

#[test]
fn a_noted_denial_never_opens_what_another_endpoint_closes() {
    holds(
        &[
            "protocol: rest, enforcement: audit, access: full, deny_rules: [{ path: '/x/**' }]",
            "protocol: rest, access: read-only, deny_rules: [{ path: /x/no }]",
            "protocol: rest, path: /x/y, access: read-only",
        ],
        &[
            (plain("GET", "/x/a"), "audit deny_rule r1/0"),
            (plain("GET", "/x/no"), "deny deny_rule r2/0"),
            (plain("PROPFIND", "/"), "deny rule"),
            (plain("POST", "/x/y"), "deny rule"),
        ],
    );
    holds(
        &["protocol: rest, enforcement: audit, path: '/x/**', access: read-only"],
        &[
            (plain("POST", "/x/y"), "audit rule"),
            (rpc(&[("a", None)]).at("/x/y"), "audit protocol"),
            (plain("GET", "/y"), "deny path"),
        ],
    );
}

#[test]
fn a_websocket_endpoint_takes_the_upgrade_and_messages() {
    let rules =
        "rules: [{ allow: { path: /ws, operation_type: query } }, { allow: { method: GET } }]";
    let endpoint = format!("protocol: websocket, {rules}");
    let (query, mutation) = (operation(Kind::Query, &["a"]), operation(Kind::Mutation, &["a"]));
    holds(
        &[&endpoint],
        &[
            (plain("GET", "/ws"), "allow r1/1"),
            (plain("POST", "/ws"), "deny protocol"),
            (message(vec![query.clone()], false), "allow r1/0"),
            (message(vec![query, mutation], false), "deny rule"),
            (message(Vec::new(), true), "allow r1/0"),
            (message(Vec::new(), false), "deny rule"),
        ],
    );
    holds(
        &["protocol: websocket, access: full, deny_rules: [{ fields: [secret] }]"],
        &[
            (message(vec![operation(Kind::Query, &["a"])], false), "allow r1/-"),
            (message(vec![operation(Kind::Query, &["a", "secret"])], false), "deny deny_rule r1/0"),
            (message(Vec::new(), false), "deny deny_rule r1/0"),
            (message(Vec::new(), true), "allow r1/-"),
            (plain("GET", "/"), "allow r1/-"),
        ],
    );
    holds(
        &["protocol: websocket, access: read-only"],
        &[(plain("GET", "/"), "allow r1/-"), (message(Vec::new(), false), "deny rule")],
    );
    holds(
        &["protocol: websocket, rules: [{ allow: { path: '/**' } }]"],
        &[
            (plain("HEAD", "/ws"), "deny protocol"),
            (plain("WEBSOCKET_TEXT", "/ws"), "deny protocol"),
        ],
    );
}

#[test]
fn each_operation_needs_a_rule_and_each_root_field_a_pattern() {
    let query = |fields: &[&str]| operation(Kind::Query, fields);
    holds(
        &[
            "protocol: graphql, rules: [{ allow: { operation_type: query, fields: ['user*'] } }, { allow: { operation_type: mutation } }], deny_rules: [{ fields: [userSecret] }]",
        ],
        &[
            (graphql(vec![query(&["user", "users"])]), "allow r1/0"),
            (graphql(vec![query(&["user", "viewer"])]), "deny rule"),
            (graphql(vec![operation(Kind::Mutation, &["x"]), query(&["user"])]), "allow r1/1"),
            (graphql(vec![query(&["user"]), query(&["viewer"])]), "deny rule"),
            (graphql(vec![query(&["user", "userSecret"])]), "deny deny_rule r1/0"),
            (graphql(Vec::new()), "deny rule"),
            (plain("GET", "/"), "deny protocol"),
        ],
    );
}

#[test]
fn a_hash_is_judged_as_what_it_is_registered_for() {
    let hash = || graphql(vec![Operation::Hash(HASH.to_owned())]);
    let registered = format!(
        "protocol: graphql, access: read-only, persisted_queries: allow_registered, graphql_persisted_queries: {{ {HASH}: {{ operation_type: query, operation_name: A, fields: [a] }} }}, deny_rules: [{{ fields: [b] }}]"
    );
    holds(&[&registered], &[(hash(), "allow r1/-")]);
    holds(&[&registered.replace("[a]", "[b]")], &[(hash(), "deny deny_rule r1/0")]);
    holds(&["protocol: graphql, access: full"], &[(hash(), "deny rule")]);
}

#[test]
fn mcp_tools_have_good_names_and_rules_narrow_all_known_methods() {
    holds(
        &[
            "protocol: mcp, mcp: { allow_all_known_mcp_methods: true }, rules: [{ allow: { method: tools/call, tool: 'read*' } }]",
        ],
        &[
            (rpc(&[("tools/list", None)]), "allow r1/-"),
            (rpc(&[("other/method", None)]), "deny rule"),
            (rpc(&[("tools/call", Some("read.all"))]), "allow r1/0"),
            (rpc(&[("tools/call", Some("read all"))]), "deny rule"),
            (rpc(&[("tools/call", Some("write"))]), "deny rule"),
            (rpc(&[("tools/call", None)]), "deny rule"),
            (rpc(&[("tools/list", None), ("tools/call", Some("write"))]), "deny rule"),
            (rpc(&[]), "deny rule"),
        ],
    );
    holds(
        &[
            "protocol: mcp, access: full, mcp: { strict_tool_names: false }, deny_rules: [{ method: tools/call, tool: 'delete*' }]",
        ],
        &[
            (rpc(&[("tools/call", Some("read all"))]), "allow r1/-"),
            (rpc(&[("ping", None), ("tools/call", Some("delete.all"))]), "deny deny_rule r1/0"),
        ],
    );
}

#[test]
fn a_grpc_call_is_a_path_of_two_parts() {
    holds(
        &[
            "protocol: grpc, rules: [{ allow: { service: 'pkg.*', method: Get } }]",
            "protocol: grpc, path: '/x/**', access: full",
        ],
        &[
            (plain("POST", "/pkg.A/Get"), "allow r1/0"),
            (plain("POST", "/pkg.A/Set"), "deny rule"),
            (plain("POST", "/pkg.A/Get/"), "deny rule"),
            (plain("POST", "/x/y"), "allow r2/-"),
            (plain("POST", "/x/y/z"), "deny rule"),
        ],
    );
}

trait At {
    fn at(self, path: &str) -> Self;
}

impl At for Asked {
    fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }
}

#[test]
fn an_operation_without_root_fields_is_not_allowed_by_a_list_of_them() {
    holds(
        &["protocol: graphql, rules: [{ allow: { fields: ['*'] } }]"],
        &[
            (graphql(vec![operation(Kind::Query, &["user"])]), "allow r1/0"),
            (graphql(vec![operation(Kind::Query, &[])]), "deny rule"),
        ],
    );
    holds(
        &["protocol: graphql, rules: [{ allow: { operation_type: query } }]"],
        &[(graphql(vec![operation(Kind::Query, &[])]), "allow r1/0")],
    );
}

#[test]
fn an_unregistered_hash_does_not_slip_past_a_denial() {
    let unknown = || vec![Operation::Hash(HASH.to_owned())];
    holds(
        &[
            "protocol: websocket, rules: [{ allow: { method: '*' } }], deny_rules: [{ fields: ['delete*'] }]",
        ],
        &[(message(unknown(), false), "deny deny_rule r1/0")],
    );
    holds(
        &[
            "protocol: graphql, enforcement: audit, access: full, deny_rules: [{ operation_type: mutation, fields: ['delete*'] }]",
        ],
        &[
            (graphql(unknown()), "audit deny_rule r1/0"),
            (graphql(vec![operation(Kind::Query, &["delete"])]), "allow r1/-"),
        ],
    );
}

#[test]
fn encodings_do_not_slip_past_denials() {
    holds(
        &[
            "protocol: rest, rules: [{ allow: { path: '/**' } }], deny_rules: [{ path: '/*:delete' }, { path: '/p/*' }, { path: '/q/%3a*' }, { path: '/r/a/b' }]",
        ],
        &[
            (plain("GET", "/a:delete"), "deny deny_rule r1/0"),
            (plain("GET", "/a%3Adelete"), "deny deny_rule r1/0"),
            (plain("GET", "/a%3ADELETE"), "deny deny_rule r1/0"),
            (plain("GET", "/p/a%2Fb"), "deny deny_rule r1/1"),
            (plain("GET", "/p/a/b"), "allow r1/0"),
            (plain("GET", "/q/:x"), "deny deny_rule r1/2"),
            (plain("GET", "/r/a%2Fb"), "deny deny_rule r1/3"),
            (plain("GET", "/r%2fA/b"), "deny deny_rule r1/3"),
            (plain("GET", "/p%3Fa"), "allow r1/0"),
        ],
    );
    holds(
        &[
            "protocol: rest, path_case: sensitive, rules: [{ allow: { path: '/**' } }], deny_rules: [{ path: '/a:b' }]",
        ],
        &[(plain("GET", "/a%3Ab"), "deny deny_rule r1/0"), (plain("GET", "/A%3Ab"), "allow r1/0")],
    );
}

#[test]
fn what_allows_compares_the_path_as_it_is() {
    holds(
        &["protocol: rest, path: '/a:*', rules: [{ allow: { path: '/*:b' } }]"],
        &[(plain("GET", "/a:b"), "allow r1/0"), (plain("GET", "/a%3Ab"), "deny path")],
    );
    holds(
        &["protocol: rest, rules: [{ allow: { path: '/a:b' } }, { allow: { path: '/x/*' } }]"],
        &[(plain("GET", "/a%3Ab"), "deny rule"), (plain("GET", "/x/a%2Fb"), "allow r1/1")],
    );
}

#[test]
fn patterns_of_paths_get_the_spelling_of_requests() {
    holds(
        &[
            "protocol: rest, rules: [{ allow: { path: '/%61/{%62,c}' } }, { allow: { path: '/é x' } }, { allow: { path: '/d%3ae' } }]",
        ],
        &[
            (plain("GET", "/a/b"), "allow r1/0"),
            (plain("GET", "/%C3%A9%20x"), "allow r1/1"),
            (plain("GET", "/d%3Ae"), "allow r1/2"),
            (plain("GET", "/d:e"), "deny rule"),
        ],
    );
}

#[test]
fn keys_of_a_query_do_not_slip_past_denials_by_their_spelling() {
    let deny = "protocol: rest, rules: [{ allow: { path: '/**' } }], deny_rules: [{ query: { a: x } }, { query: { 'b[]': x } }, { query: { 'c[n]': x } }]";
    let asked = |key: &str| with_query("/", &[(key, "x")]);
    for (key, wanted) in [
        ("a", "deny deny_rule r1/0"),
        ("A", "deny deny_rule r1/0"),
        ("a[]", "deny deny_rule r1/0"),
        ("a[0]", "deny deny_rule r1/0"),
        ("a[m][n]", "deny deny_rule r1/0"),
        ("b", "deny deny_rule r1/1"),
        ("B[1]", "deny deny_rule r1/1"),
        ("c[n]", "deny deny_rule r1/2"),
        ("c[n][]", "deny deny_rule r1/2"),
        ("c[o]", "allow r1/0"),
        ("ab", "allow r1/0"),
        ("a[", "allow r1/0"),
    ] {
        holds(&[deny], &[(asked(key), wanted)]);
    }
    holds(
        &["protocol: rest, rules: [{ allow: { query: { a: x } } }]"],
        &[(asked("a"), "allow r1/0"), (asked("A"), "deny rule"), (asked("a[]"), "deny rule")],
    );
}
