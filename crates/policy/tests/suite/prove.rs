//! Proofs against trying everything: over small alphabets, on generated documents.

use std::fmt::Write as _;

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Call, Caller, Content, Decision, Destination, Document, GraphqlOperation,
    OperationType, Policy, Program, Proof, Request, Verdict, parse, prove_subset,
};
use openshell_types::{FileId, HostName, Port};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

const PROGRAMS: [&str; 4] = ["/b/x", "/b/y", "/b/x/x", "/c"];

fn program(path: &str) -> Program {
    let inode = PROGRAMS.iter().position(|known| *known == path).unwrap() as u64;
    Program { file: FileId { device: 1, inode }, path: Some(path.into()), sha256: None }
}

fn read(text: &str) -> Document {
    let parsed = parse(text);
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn compile(text: &str) -> Policy {
    let (policy, _) = Policy::compile(text).unwrap();
    let mut table = BinaryTable::new();
    for path in PROGRAMS {
        table.insert(path, Binding::Files(vec![program(path).file]));
    }
    policy.bind(&table)
}

fn moment() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

type Connection = (HostName, Port, Caller);

fn connects(policy: &Policy, (name, port, by): &Connection) -> bool {
    let decision = policy.connect(&Destination::Name(name, *port), by, moment());
    matches!(decision, Decision::Allow(_))
}

fn passes(policy: &Policy, (name, port, by): &Connection, request: &Request<'_>) -> bool {
    let to = Destination::Name(name, *port);
    let verdict = policy.request(&to, by, request, moment());
    matches!(verdict, Verdict::Allow(_) | Verdict::Audit(_))
}

fn connections(names: &[&str], ports: &[u16], parents: bool) -> Vec<Connection> {
    let mut all = Vec::new();
    for name in names {
        for port in ports {
            for exe in PROGRAMS {
                let ancestors = PROGRAMS.iter().filter(|_| parents).map(|path| vec![*path]);
                for ancestors in ancestors.chain([Vec::new()]) {
                    let ancestors = ancestors.into_iter().map(program).collect();
                    let by = Caller { exe: program(exe), ancestors };
                    all.push((HostName::parse(name).unwrap(), Port::new(*port).unwrap(), by));
                }
            }
        }
    }
    all
}

/// Whether something that is tried passes the second and not the first.
fn tried(a: &Policy, b: &Policy, connections: &[Connection], requests: &[Request<'_>]) -> bool {
    connections.iter().filter(|connection| connects(b, connection)).any(|connection| {
        !connects(a, connection)
            || requests
                .iter()
                .any(|request| passes(b, connection, request) && !passes(a, connection, request))
    })
}

/// Whether the counter-example is one.
fn confirm(a: &Policy, b: &Policy, proof: &Proof) {
    let Proof::Fails(found) = proof else { return };
    assert!(!found.udp);
    // The world of this file knows the files of its own programs only.
    let known = |program: &Program| match program.path.as_deref() {
        Some(path) if PROGRAMS.contains(&path) => self::program(path),
        _ => program.clone(),
    };
    let by = Caller {
        exe: known(&found.by.exe),
        ancestors: found.by.ancestors.iter().map(known).collect(),
    };
    let connection = (HostName::parse(&found.host).unwrap(), found.port, by);
    assert!(connects(b, &connection), "{found}");
    match (&found.request, found.resolved) {
        (Some(request), _) => request.with(|request| {
            assert!(passes(b, &connection, request), "{found}");
            assert!(!passes(a, &connection, request), "{found}");
        }),
        (None, Some(address)) => {
            let admits = |policy: &Policy| {
                let to = Destination::Name(&connection.0, connection.1);
                match policy.connect(&to, &connection.2, moment()) {
                    Decision::Allow(grant) => policy.admits(&grant, address).is_ok(),
                    Decision::Deny(_) => false,
                }
            };
            assert!(admits(b) && !admits(a), "{found}");
        }
        (None, None) => assert!(!connects(a, &connection), "{found}"),
    }
}

#[derive(Default)]
struct Tally {
    holds: usize,
    fails: usize,
}

impl Tally {
    /// `tried` says whether trying all finds a difference; an address makes one that it cannot
    /// find.
    fn compare(&mut self, (a, b): (&str, &str), tried: impl Fn(&Policy, &Policy) -> bool) {
        let proof = prove_subset(&read(a), &read(b));
        let (first, second) = (compile(a), compile(b));
        confirm(&first, &second, &proof);
        let differ = tried(&first, &second);
        match proof {
            Proof::Holds => {
                assert!(!differ, "{a}\n{b}");
                self.holds += 1;
            }
            Proof::Fails(_) => self.fails += 1,
            Proof::Undecided(why) => panic!("{why}\n{a}\n{b}"),
        }
    }

    fn finish(&self) {
        let all = self.holds + self.fails;
        assert!(self.holds * 10 >= all * 3, "{} of {all} hold", self.holds);
        assert!(self.fails * 10 >= all * 3, "{} of {all} fail", self.fails);
    }
}

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, number: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..number).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// The text of rules that are lists of endpoints and of binaries.
fn text(rules: &[(Vec<String>, Vec<String>)]) -> String {
    let mut out = String::from("version: 1\nnetwork_policies:\n");
    for (number, (endpoints, binaries)) in rules.iter().enumerate() {
        let (endpoints, binaries) = (endpoints.join(", "), binaries.join(", "));
        writeln!(out, "  r{number}: {{ endpoints: [{endpoints}], binaries: [{binaries}] }}")
            .unwrap();
    }
    out
}

/// Choices, one number each: a document is what they are read as, and one that differs by a little
/// is what it becomes when one number is another.
struct Choices<'a>(std::slice::Iter<'a, usize>);

impl Choices<'_> {
    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.0.next().unwrap() % list.len()]
    }

    /// Some of so many things.
    fn some(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> String) -> Vec<String> {
        let wanted = (0..most).map(|_| self.of(&["", "", "yes"]));
        let wanted: Vec<&str> = wanted.collect();
        let all: Vec<String> = (0..most).map(|_| one(self)).collect();
        all.into_iter()
            .zip(wanted)
            .filter(|(_, wanted)| !wanted.is_empty())
            .map(|(one, _)| one)
            .collect()
    }
}

type Rules = Vec<Vec<usize>>;

/// Two documents of which one is the other with a few of its choices made anew, or without its
/// last rule; or another one. Rules have so many choices.
fn pair(choices: usize) -> impl Strategy<Value = (Rules, Rules)> {
    let rule = move || prop::collection::vec(0_usize..840, choices);
    let rules = move || prop::collection::vec(rule(), 1..3);
    let changes = prop::collection::vec((0..choices, 0_usize..840), 1..4);
    (rules(), rules(), 0_usize..10, changes).prop_map(|(a, other, how, changes)| {
        let mut b = a.clone();
        match how {
            0..3 => b = other,
            3 if b.len() > 1 => drop(b.pop()),
            _ => {
                for (at, new) in changes {
                    b[how % a.len()][at] = new;
                }
            }
        }
        if how % 2 == 0 { (a, b) } else { (b, a) }
    })
}

fn written(
    rules: &[Vec<usize>],
    read: impl Fn(&mut Choices<'_>) -> (Vec<String>, Vec<String>),
) -> String {
    let read = |rule: &Vec<usize>| read(&mut Choices(rule.iter()));
    text(&rules.iter().map(read).collect::<Vec<_>>())
}

#[test]
fn proofs_about_connections_agree_with_trying_all() {
    let read = |choices: &mut Choices<'_>| {
        let hosts = [
            "a.e.com",
            "\"*.e.com\"",
            "\"**.e.com\"",
            "\"a*.e.com\"",
            "\"a.*.e.com\"",
            "b.a.e.com",
        ];
        let ports = ["80", "443", "\"80-442\"", "\"81-500\""];
        let paths = ["/b/x", "/b/y", "/b/*", "/b/**", "/b/x/x", "/**"];
        let endpoint = |choices: &mut Choices<'_>| {
            format!("{{ host: {}, ports: [{}] }}", choices.of(&hosts), choices.of(&ports))
        };
        let binary = |choices: &mut Choices<'_>| {
            let path = choices.of(&paths);
            format!("{{ path: \"{path}\", descendants: {} }}", choices.of(&["true", "false"]))
        };
        let endpoints = [vec![endpoint(choices)], choices.some(2, endpoint)].concat();
        let binaries = [vec![binary(choices)], choices.some(2, binary)].concat();
        (endpoints, binaries)
    };
    let all = connections(
        &["a.e.com", "b.e.com", "aa.e.com", "a.b.e.com", "b.a.e.com", "a.b.a.e.com", "e.com"],
        &[79, 80, 81, 442, 443, 444, 500, 501],
        true,
    );
    let mut tally = Tally::default();
    for (a, b) in samples(pair(16), 200) {
        let (a, b) = (written(&a, read), written(&b, read));
        tally.compare((&a, &b), |a, b| tried(a, b, &all, &[]));
    }
    tally.finish();
}

/// All paths of up to so many letters.
fn paths(letters: &[char], longest: usize) -> Vec<String> {
    let mut all = vec!["/".to_owned()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|path| letters.iter().map(move |letter| format!("{path}{letter}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn proofs_about_requests_agree_with_trying_all() {
    let clause = |choices: &mut Choices<'_>| {
        let fields = [
            choices.of(&["", "method: GET", "method: POST", "method: \"*\"", "method: X"]),
            choices.of(&[
                "path: /a",
                "path: /a/*",
                "path: /a/**",
                "path: /a*",
                "path: \"/{a,b}\"",
                "path: \"**\"",
            ]),
            choices.of(&[
                "",
                "",
                "query: { q: \"*\" }",
                "query: { q: a }",
                "query: { q: { any: [a, b] } }",
                "query: { q: a, r: a }",
                "query: { r: \"*\" }",
            ]),
        ];
        let fields: Vec<&str> = fields.into_iter().filter(|field| !field.is_empty()).collect();
        format!("{{ {} }}", fields.join(", "))
    };
    let read = |choices: &mut Choices<'_>| {
        let path = choices.of(&["", "", "path: /a/**,", "path: \"/{a,b}*\","]);
        let more = choices.of(&[
            "",
            "",
            "",
            "enforcement: audit,",
            "path_case: sensitive,",
            "path_case: insensitive,",
        ]);
        let opaque = choices.of(&["yes", "", "", "", "", "", "", "", "", ""]);
        let allow = [vec![clause(choices)], choices.some(2, clause)].concat();
        let deny = choices.some(3, clause);
        let endpoint = if opaque.is_empty() {
            one_endpoint("rest", &allow, &deny, &format!("{path} {more}"))
        } else {
            "{ host: a.e, port: 80 }".to_owned()
        };
        (vec![endpoint], vec!["{ path: /b/x }".to_owned()])
    };
    let paths = paths(&['a', 'b', 'A', '/'], 3);
    let queries: [&[(&str, &str)]; 7] = [
        &[],
        &[("q", "a")],
        &[("q", "b")],
        &[("q", "a"), ("q", "b")],
        &[("q", "a"), ("q", "c"), ("r", "a")],
        &[("q", "a"), ("r", "a")],
        &[("r", "b")],
    ];
    let mut requests = Vec::new();
    for path in &paths {
        for method in ["GET", "POST", "X", "Y"] {
            for query in queries {
                requests.push(Request {
                    method,
                    path,
                    query,
                    headers: &[],
                    content: Content::Plain,
                });
            }
        }
    }
    compare_contents(read, (26, 200), &requests);
}

fn one_endpoint(protocol: &str, allow: &[String], deny: &[String], more: &str) -> String {
    let allow: Vec<String> = allow.iter().map(|one| format!("{{ allow: {one} }}")).collect();
    let deny = match deny {
        [] => String::new(),
        list => format!(", deny_rules: [{}]", list.join(", ")),
    };
    format!(
        "{{ host: a.e, port: 80, protocol: {protocol}, {more} rules: [{}]{deny} }}",
        allow.join(", ")
    )
}

#[test]
fn proofs_about_operations_agree_with_trying_all() {
    let clause = |choices: &mut Choices<'_>| {
        let kind = choices.of(&[
            "operation_type: query",
            "operation_type: mutation",
            "operation_type: \"*\"",
        ]);
        let name = choices.of(&[
            "",
            "",
            ", operation_name: a",
            ", operation_name: \"a*\"",
            ", operation_name: \"\"",
        ]);
        let fields = choices.of(&[
            "",
            ", fields: [x]",
            ", fields: [x, y]",
            ", fields: [\"*\"]",
            ", fields: [z, y]",
        ]);
        format!("{{ {kind}{name}{fields} }}")
    };
    let read = |choices: &mut Choices<'_>| {
        let allow = [vec![clause(choices)], choices.some(2, clause)].concat();
        let endpoint = one_endpoint("graphql", &allow, &choices.some(2, clause), "");
        (vec![endpoint], vec!["{ path: /b/x }".to_owned()])
    };
    let sets: [&[&str]; 7] =
        [&["x"], &["y"], &["z"], &["x", "y"], &["x", "z"], &["y", "z"], &["x", "y", "z"]];
    let mut operations = Vec::new();
    for operation_type in
        [OperationType::Query, OperationType::Mutation, OperationType::Subscription]
    {
        for name in ["", "a", "ab", "b"] {
            for fields in sets {
                operations.push(GraphqlOperation::Document { operation_type, name, fields });
            }
        }
    }
    let mut batches: Vec<Vec<GraphqlOperation<'_>>> =
        operations.iter().map(|one| vec![*one]).collect();
    for one in &operations {
        for other in operations.iter().step_by(5) {
            batches.push(vec![*one, *other]);
        }
    }
    let requests: Vec<Request<'_>> = batches
        .iter()
        .map(|batch| Request {
            method: "POST",
            path: "/",
            query: &[],
            headers: &[],
            content: Content::Graphql(batch),
        })
        .collect();
    compare_contents(read, (19, 120), &requests);
}

/// Method, tool and parameters.
type CallShape = (&'static str, Option<&'static str>, Vec<(&'static str, &'static str)>);

#[test]
fn proofs_about_calls_agree_with_trying_all() {
    let clause = |choices: &mut Choices<'_>| {
        let all = [
            "{ method: tools/list }",
            "{ method: \"tools/*\" }",
            "{ method: ping }",
            "{ method: \"*\" }",
            "{ method: tools/call, tool: a }",
            "{ method: tools/call, tool: \"a*\" }",
            "{ method: tools/call, tool: \"*b\" }",
            "{ method: tools/call, params: { p: \"1\" } }",
            "{ method: tools/call, tool: \"*\", params: { p: { any: [\"1\", \"2\"] } } }",
            "{ method: tools/call, params: { name: { any: [a, b] } } }",
        ];
        choices.of(&all).to_owned()
    };
    let read = |choices: &mut Choices<'_>| {
        let more = choices.of(&[
            "",
            "",
            "mcp: { strict_tool_names: false },",
            "mcp: { allow_all_known_mcp_methods: true },",
        ]);
        let allow = [vec![clause(choices)], choices.some(2, clause)].concat();
        let endpoint = one_endpoint("mcp", &allow, &choices.some(2, clause), more);
        (vec![endpoint], vec!["{ path: /b/x }".to_owned()])
    };
    let params: [&[(&str, &str)]; 5] =
        [&[], &[("p", "1")], &[("p", "2")], &[("p", "1"), ("p", "2")], &[("p", "3")]];
    let mut calls: Vec<CallShape> = Vec::new();
    for values in params {
        for method in ["tools/list", "tools/x", "ping", "other", "initialize"] {
            calls.push((method, None, values.to_vec()));
        }
        for tool in ["", "a", "b", "ab", "a b", "c"] {
            let values = values.iter().copied().chain([("name", tool)]).collect();
            calls.push(("tools/call", Some(tool), values));
        }
    }
    let calls: Vec<Call<'_>> =
        calls.iter().map(|(method, tool, params)| Call { method, tool: *tool, params }).collect();
    let mut batches: Vec<Vec<Call<'_>>> = calls.iter().map(|one| vec![*one]).collect();
    for one in &calls {
        for other in calls.iter().step_by(4) {
            batches.push(vec![*one, *other]);
        }
    }
    let requests: Vec<Request<'_>> = batches
        .iter()
        .map(|batch| Request {
            method: "POST",
            path: "/",
            query: &[],
            headers: &[],
            content: Content::Rpc(batch),
        })
        .collect();
    compare_contents(read, (10, 120), &requests);
}

fn compare_contents(
    read: impl Fn(&mut Choices<'_>) -> (Vec<String>, Vec<String>),
    (choices, number): (usize, usize),
    requests: &[Request<'_>],
) {
    let all: Vec<Connection> = connections(&["a.e"], &[80], false)
        .into_iter()
        .filter(|(_, _, by)| by.exe.path.as_deref() == Some("/b/x"))
        .collect();
    let mut tally = Tally::default();
    for (a, b) in samples(pair(choices), number) {
        let (a, b) = (written(&a, &read), written(&b, &read));
        // Endpoints that contradict each other are refused, so there is nothing to compare.
        if [&a, &b].iter().any(|text| parse(text).document.is_none()) {
            continue;
        }
        tally.compare((&a, &b), |a, b| tried(a, b, &all, requests));
    }
    tally.finish();
    assert!((tally.holds + tally.fails) * 2 >= number, "most documents are compared");
}

#[test]
fn proofs_about_sockets_and_grpc_agree_with_trying_all() {
    let read = |choices: &mut Choices<'_>| {
        let socket = [
            "{ method: GET, path: /a }",
            "{ method: GET }",
            "{ method: WEBSOCKET_TEXT, path: \"/*\" }",
            "{ method: WEBSOCKET_TEXT, path: /a, operation_type: query }",
            "{ method: \"*\", headers: { h: a } }",
            "{ path: /a, fields: [x] }",
        ];
        let socket_denials = [
            "{ method: WEBSOCKET_TEXT, path: /A }",
            "{ operation_type: mutation }",
            "{ headers: { h: b } }",
        ];
        let grpc = [
            "{ service: a }",
            "{ service: \"*\", method: a }",
            "{ service: a*, method: \"*b\" }",
            "{ method: b }",
        ];
        let grpc_denials = ["{ service: a, method: b }", "{ method: \"b*\" }"];
        let (protocol, allow, deny): (&str, &[&str], &[&str]) =
            match choices.of(&["websocket", "grpc"]) {
                "grpc" => ("grpc", &grpc, &grpc_denials),
                other => (other, &socket, &socket_denials),
            };
        let first = choices.of(allow).to_owned();
        let more = choices.some(2, |choices| choices.of(allow).to_owned());
        let allow = [vec![first], more].concat();
        let deny = choices.some(2, |choices| choices.of(deny).to_owned());
        (vec![one_endpoint(protocol, &allow, &deny, "")], vec!["{ path: /b/x }".to_owned()])
    };
    let sets: [&[&str]; 3] = [&["x"], &["y"], &["x", "y"]];
    let operations: Vec<GraphqlOperation<'_>> = [OperationType::Query, OperationType::Mutation]
        .into_iter()
        .flat_map(|operation_type| {
            sets.map(|fields| GraphqlOperation::Document { operation_type, name: "", fields })
        })
        .collect();
    let mut contents = vec![Content::Plain];
    contents.extend([false, true].map(|control| Content::Message { operations: &[], control }));
    for (at, one) in operations.iter().enumerate() {
        contents.push(Content::Message { operations: std::slice::from_ref(one), control: false });
        contents.push(Content::Message { operations: &operations[at..], control: false });
    }
    let heads: [&[(&str, &str)]; 4] =
        [&[], &[("h", "a")], &[("h", "b")], &[("h", "a"), ("h", "b")]];
    let mut requests = Vec::new();
    for path in ["/", "/a", "/A", "/b", "/a/a", "/a/b", "/b/b", "/b/a", "/ab/bb", "/a/b/b", "/a/B"]
    {
        for content in &contents {
            for method in ["GET", "POST", "WEBSOCKET_TEXT"] {
                for headers in heads {
                    let message = matches!(content, Content::Message { .. });
                    if message == (method == "WEBSOCKET_TEXT") {
                        requests.push(Request {
                            method,
                            path,
                            query: &[],
                            headers,
                            content: *content,
                        });
                    }
                }
            }
        }
    }
    compare_contents(read, (10, 120), &requests);
}
