//! What holds for every document of the whole schema.

use openshell_policy::{Document, Policy, parse};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const PROTOCOLS: [&str; 6] = ["rest", "websocket", "graphql", "json-rpc", "mcp", "grpc"];
const PATHS: [&str; 8] = [
    "/**",
    "**",
    "/repos/*",
    "/{b,a,b}/x",
    "/a{,.git}/***",
    "/x{a,a}",
    "/v1/**",
    "/it's \"quoted\": #1",
];
const PATTERNS: [&str; 9] =
    ["*", "**", "a*b", "a**b", "", "x y", "true", "12", "{any: [b, \"*-c\", b, {]"];

/// A string as YAML takes it, in one of its notations.
fn yaml(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn path() -> impl Strategy<Value = String> {
    select(&PATHS[..]).prop_filter("a fragment", |path| !path.contains('#')).prop_map(yaml)
}

fn pattern() -> impl Strategy<Value = String> {
    select(&PATTERNS[..]).prop_map(yaml)
}

fn matcher() -> impl Strategy<Value = String> {
    let any = prop::collection::vec(pattern(), 1..4)
        .prop_map(|all| format!("{{ any: [{}] }}", all.join(", ")));
    let one = prop_oneof![pattern(), any, pattern().prop_map(|one| format!("{{ glob: {one} }}"))];
    let name = select(&["tag", "X-Key", "a.b", "no"][..]).prop_map(yaml);
    prop::collection::btree_map(name, one, 1..3).prop_map(|names| {
        let all: Vec<String> = names.iter().map(|(name, any)| format!("{name}: {any}")).collect();
        format!("{{ {} }}", all.join(", "))
    })
}

fn http() -> impl Strategy<Value = Vec<String>> {
    let method = select(&["GET", "get", "'*'"][..]).prop_map(str::to_owned);
    let fields =
        (method, path(), matcher(), matcher()).prop_map(|(method, path, query, headers)| {
            vec![
                format!("method: {method}"),
                format!("path: {path}"),
                format!("query: {query}"),
                format!("headers: {headers}"),
            ]
        });
    fields.prop_flat_map(|all| subsequence(all, 1..=4))
}

fn graphql() -> impl Strategy<Value = Vec<String>> {
    let kind = select(&["query", "mutation", "'*'"][..]);
    let fields = prop::collection::vec(select(&["user", "a*", "'*'"][..]), 1..3);
    (kind, pattern(), fields)
        .prop_map(|(kind, name, fields)| {
            vec![
                format!("operation_type: {kind}"),
                format!("operation_name: {name}"),
                format!("fields: [{}]", fields.join(", ")),
            ]
        })
        .prop_flat_map(|all| subsequence(all, 1..=3))
}

fn rpc() -> impl Strategy<Value = Vec<String>> {
    let method = select(&["tools/call", "eth_*", "'*'"][..]);
    (method, matcher())
        .prop_map(|(method, params)| vec![format!("method: {method}"), format!("params: {params}")])
        .prop_flat_map(|all| subsequence(all, 1..=2))
}

fn clause(protocol: &'static str) -> BoxedStrategy<String> {
    let fields = match protocol {
        "rest" => http().boxed(),
        "websocket" => prop_oneof![http(), graphql()].boxed(),
        "graphql" => graphql().boxed(),
        "json-rpc" => rpc().boxed(),
        "mcp" => prop_oneof![
            rpc(),
            Just(vec!["method: tools/call".to_owned(), "tool: 'read_*'".to_owned()]),
            Just(vec!["method: tools/call".to_owned(), "params: { name: 'read_*' }".to_owned()]),
        ]
        .boxed(),
        _ => (select(&["my.api.*", "'*'"][..]), select(&["Get*", "'*'"][..]))
            .prop_map(|(service, method)| {
                vec![format!("service: {service}"), format!("method: {method}")]
            })
            .boxed(),
    };
    fields.prop_map(|fields| format!("{{ {} }}", fields.join(", "))).boxed()
}

fn options(protocol: &'static str) -> BoxedStrategy<Vec<String>> {
    let mut all = vec![
        "enforcement: audit",
        "enforcement: enforce",
        "path_case: sensitive",
        "path_case: insensitive",
        "path: '/{v2,v1}/**'",
        "allow_encoded_slash: true",
        "allow_uninspected_credentials: true",
        "credential_binding: { provider: corp }",
        "budget: { requests: 10, per: hour }",
        "budget: { bytes: 10 }",
        "credential_signing: 'sigv4:body'\n        signing_service: s3\n        signing_region: eu-1",
    ];
    all.extend(match protocol {
        "graphql" | "websocket" => vec![
            "graphql_max_body_bytes: 70000",
            "graphql_max_body_bytes: 65536",
            "persisted_queries: allow_registered\n        graphql_persisted_queries: { ab12: { operation_type: query, fields: [b, a] } }",
        ],
        "json-rpc" => vec!["json_rpc: { max_body_bytes: 5 }"],
        "mcp" => vec![
            "mcp: { strict_tool_names: false, versions: ['2025-06-18', a] }",
            "mcp: { max_body_bytes: 7, allow_all_known_mcp_methods: true }",
        ],
        _ => vec!["tls: terminate"],
    });
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    subsequence(all, 0..5)
        .prop_map(|chosen| {
            let mut seen = std::collections::BTreeSet::new();
            chosen
                .into_iter()
                .filter(|line| seen.insert(line.split(':').next().unwrap().to_owned()))
                .collect()
        })
        .boxed()
}

#[derive(Clone, Debug)]
struct Shape {
    protocol: &'static str,
    port: u16,
    rules: Vec<String>,
    deny_rules: Vec<String>,
    options: Vec<String>,
}

fn shape() -> impl Strategy<Value = Shape> {
    select(&PROTOCOLS[..]).prop_flat_map(|protocol| {
        let rules = prop::collection::vec(clause(protocol), 1..4);
        let deny_rules = prop::collection::vec(clause(protocol), 0..3);
        (rules, deny_rules, options(protocol), 1_u16..3000).prop_map(
            move |(rules, deny_rules, options, port)| Shape {
                protocol,
                port,
                rules,
                deny_rules,
                options,
            },
        )
    })
}

fn write(shapes: &[Shape]) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for (number, shape) in shapes.iter().enumerate() {
        text += &format!(
            "  r{number}:\n    binaries: [{{ path: /usr/bin/curl }}]\n    endpoints:\n      - host: h{number}.example\n        port: {}\n        protocol: {}\n        rules:\n",
            shape.port, shape.protocol
        );
        for rule in &shape.rules {
            text += &format!("          - allow: {rule}\n");
        }
        if !shape.deny_rules.is_empty() {
            text += "        deny_rules:\n";
        }
        for rule in &shape.deny_rules {
            text += &format!("          - {rule}\n");
        }
        for option in &shape.options {
            text += &format!("        {option}\n");
        }
    }
    text
}

fn read(text: &str) -> Document {
    let parsed = parse(text);
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_texts_of_a_document_say_the_same_document(
        shapes in prop::collection::vec(shape(), 1..4),
    ) {
        let document = read(&write(&shapes));
        let canonical = document.canonical();
        prop_assert_eq!(read(&canonical).canonical(), canonical.clone());
        let formatted = document.formatted();
        prop_assert_eq!(read(&formatted).canonical(), canonical, "{}", &formatted);
        prop_assert_eq!(read(&formatted).formatted(), formatted);
        prop_assert!(document.judges_requests());
    }

    #[test]
    fn order_and_repetition_of_rules_do_not_change_the_digest(
        mut shapes in prop::collection::vec(shape(), 1..3),
    ) {
        let before = read(&write(&shapes)).digest();
        for shape in &mut shapes {
            shape.rules.reverse();
            shape.deny_rules.reverse();
            shape.options.reverse();
            let again = shape.rules[0].clone();
            shape.rules.push(again);
        }
        prop_assert_eq!(read(&write(&shapes)).digest(), before);
    }
}

fn digest_of(endpoint: &str) -> openshell_types::Digest {
    let text = format!(
        "version: 1\nnetwork_policies:\n  a: {{ endpoints: [{{ host: a.example, port: 443, {endpoint} }}], binaries: [{{ path: /x }}] }}\n"
    );
    read(&text).digest()
}

#[test]
fn texts_of_one_meaning_have_one_digest() {
    for same in [
        [
            "protocol: rest, rules: [{ allow: { method: get, path: '/**' } }]",
            "protocol: rest, rules: [{ allow: { method: GET } }], enforcement: enforce",
        ],
        [
            "protocol: rest, access: full, deny_rules: [{ path: '/{b,a}/****' }]",
            "protocol: rest, access: full, deny_rules: [{ path: '/{a,b,a}/**' }]",
        ],
        [
            "protocol: mcp, rules: [{ allow: { method: tools/call, params: { name: 'a**' } } }]",
            "protocol: mcp, rules: [{ allow: { method: tools/call, tool: 'a*' } }], mcp: { max_body_bytes: 65536, strict_tool_names: true }",
        ],
        [
            "protocol: rest, rules: [{ allow: { query: { q: { any: [a, '*'] } } } }]",
            "protocol: rest, rules: [{ allow: { query: { q: { glob: '*' } } } }]",
        ],
        [
            "protocol: rest, rules: [{ allow: { headers: { X-A: b } } }]",
            "protocol: rest, rules: [{ allow: { headers: { x-a: { any: [b, b] } } } }]",
        ],
        [
            "protocol: graphql, rules: [{ allow: { operation_type: '*', fields: [b, a] } }]",
            "protocol: graphql, rules: [{ allow: { operation_name: '*', fields: [a, b] } }], persisted_queries: deny",
        ],
        ["protocol: tcp, access: full", "tls: passthrough"],
        [
            "protocol: grpc, rules: [{ allow: { service: '*', method: '*' } }]",
            "protocol: grpc, rules: [{ allow: { method: '**' } }]",
        ],
    ] {
        assert_eq!(digest_of(same[0]), digest_of(same[1]), "{same:?}");
    }
}

#[test]
fn every_key_has_its_part_in_the_digest() {
    let rest = "protocol: rest, access: full";
    let mcp = "protocol: mcp, access: full";
    let graphql = "protocol: graphql, access: full";
    let all = [
        rest.to_owned(),
        mcp.to_owned(),
        graphql.to_owned(),
        "protocol: udp".to_owned(),
        "tls: skip".to_owned(),
        "allow_uninspected_credentials: true".to_owned(),
        "budget: { bytes: 1 }".to_owned(),
        "budget: { bytes: 1, per: day }".to_owned(),
        format!("{rest}, credential_binding: {{ provider: a }}"),
        "credential_signing: sigv4, signing_service: s3".to_owned(),
        "credential_signing: sigv4, signing_service: s3, signing_region: x".to_owned(),
        "protocol: rest, access: read-only".to_owned(),
        "protocol: rest, rules: [{ allow: { path: '/**' } }]".to_owned(),
        "protocol: rest, rules: [{ allow: { method: '*' } }]".to_owned(),
        "protocol: rest, rules: [{ allow: { method: GET, query: { a: b } } }]".to_owned(),
        "protocol: rest, rules: [{ allow: { method: GET, headers: { a: b } } }]".to_owned(),
        format!("{rest}, path: /a"),
        format!("{rest}, path: /**"),
        format!("{rest}, path_case: sensitive"),
        format!("{rest}, enforcement: audit"),
        format!("{rest}, deny_rules: [{{ path: /a }}]"),
        format!("{rest}, allow_encoded_slash: true"),
        format!("{rest}, websocket_credential_rewrite: true"),
        format!("{rest}, request_body_credential_rewrite: true"),
        format!("{mcp}, mcp: {{ max_body_bytes: 1 }}"),
        format!("{mcp}, mcp: {{ strict_tool_names: false }}"),
        format!("{mcp}, mcp: {{ allow_all_known_mcp_methods: true }}"),
        format!("{mcp}, mcp: {{ versions: [a] }}"),
        format!("{graphql}, graphql_max_body_bytes: 1"),
        format!(
            "{graphql}, persisted_queries: allow_registered, graphql_persisted_queries: {{ a: {{ operation_type: query, fields: [x] }} }}"
        ),
        format!(
            "{graphql}, persisted_queries: allow_registered, graphql_persisted_queries: {{ a: {{ operation_type: query, fields: [x], operation_name: n }} }}"
        ),
    ];
    let digests: std::collections::HashSet<_> = all.iter().map(|one| digest_of(one)).collect();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn a_policy_says_whether_it_asks_for_more_than_connections() {
    for (endpoint, judges, udp) in [
        ("enforcement: enforce", false, false),
        ("tls: skip", false, false),
        ("protocol: tcp, access: full", false, false),
        ("protocol: udp", false, true),
        ("protocol: rest, access: full", true, false),
        ("protocol: grpc, access: full", true, false),
        ("budget: { bytes: 1 }", true, false),
        ("protocol: rest, access: full, credential_binding: { provider: a }", true, false),
        ("credential_signing: sigv4, signing_service: s3", true, false),
        ("allow_uninspected_credentials: true", true, false),
    ] {
        let text = format!(
            "version: 1\nnetwork_policies: {{ a: {{ endpoints: [{{ host: a.example, port: 443, {endpoint} }}], binaries: [] }} }}\n"
        );
        let document = read(&text);
        let (policy, _) = Policy::compile(&text).unwrap();
        assert_eq!((document.judges_requests(), document.names_udp()), (judges, udp), "{endpoint}");
        assert_eq!((policy.judges_requests(), policy.names_udp()), (judges, udp), "{endpoint}");
    }
}
