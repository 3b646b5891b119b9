//! Requests whose bodies are judged. Denied means: the predicate is told, and the server gets no
//! byte.

use std::io::Write as _;

use flate2::write::GzEncoder;
use openshell_audit::{Event, Http, Outcome};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::requests::{ask, mirror};
use super::world::*;

/// An endpoint of this host that judges bodies.
fn endpoint(port: u16, rest: &str) -> String {
    format!("{{ host: host.openshell.internal, port: {port}, {rest} }}")
}

const READ: &str = "protocol: graphql, path: /graphql, \
                    rules: [{ allow: { operation_type: query, fields: [repo*] } }]";
const TOOLS: &str = "protocol: mcp, path: /mcp, rules: [{ allow: { method: initialize } }, \
                     { allow: { method: 'notifications/*' } }, \
                     { allow: { method: tools/call, tool: read_file } }]";

/// A request with a body, `extra` being whole lines.
fn post(port: u16, (method, path): (&str, &str), extra: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n{extra}Content-Length: \
         {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn json(port: u16, path: &str, body: &str) -> Vec<u8> {
    post(port, ("POST", path), "Content-Type: application/json\r\n", body.as_bytes())
}

/// What becomes of one request on a connection of its own: the answer and its event.
async fn send(world: &World, port: u16, request: &[u8]) -> (String, Http) {
    let before = world.some_events().await.len();
    let mut client: TcpStream = world.tunnel(port).await;
    client.write_all(request).await.unwrap();
    let answer = ask(&mut client, "").await;
    drop(client);
    let events = world.some_events().await.split_off(before);
    let mut requests = events.into_iter().filter_map(|event| match event {
        Event::Http(http) => Some(http),
        _ => None,
    });
    let http = requests.next().unwrap_or_else(|| panic!("no event: {answer}"));
    assert!(requests.next().is_none());
    (answer, http)
}

/// Asserts that a request passes, and what it is said to ask for.
async fn passes(world: &World, upstream: &Upstream, request: &[u8], operations: &[&str]) {
    let (answer, http) = send(world, upstream.port, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!((http.outcome, http.operations.as_slice()), (Outcome::Allowed, &*owned(operations)));
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Asserts that a request is denied with this status and predicate, and goes nowhere.
async fn denied(
    (world, upstream): (&World, &Upstream),
    request: &[u8],
    (status, predicate): (u16, &str),
) -> (String, Http) {
    let before = (upstream.connections(), upstream.bytes().len());
    let (answer, http) = send(world, upstream.port, request).await;
    let shown = String::from_utf8_lossy(request).chars().take(400).collect::<String>();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}\n{answer}");
    assert_eq!(http.outcome, Outcome::Denied, "{shown}");
    assert_eq!(http.reason.as_ref().unwrap().predicate, predicate, "{shown}\n{answer}");
    assert_eq!((upstream.connections(), upstream.bytes().len()), before, "{shown}");
    (answer, http)
}

#[tokio::test]
async fn h01_the_root_fields_of_the_operation_are_judged() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, READ)).await);
    let query = |text: &str| json(port, "/graphql", &format!(r#"{{"query":"{text}"}}"#));
    passes(&world, &upstream, &query("{ repo { id } repos { id } }"), &["query repo,repos"]).await;
    let named = r#"{"query":"query a { repo } mutation b { drop }","operationName":"a"}"#;
    passes(&world, &upstream, &json(port, "/graphql", named), &["query repo"]).await;
    let both = (&world, &upstream);
    let (answer, http) = denied(both, &query("mutation { createIssue }"), (403, "rule")).await;
    assert!(answer.contains(r#""protocol":"graphql""#), "{answer}");
    assert!(answer.contains(r#""type":"graphql_allow""#), "{answer}");
    assert_eq!(http.operations, ["mutation createIssue"]);
    for text in [
        "{ repo: viewer { id } }",
        "{ ...F } fragment F on Query { viewer }",
        "{ repo viewer @skip(if: true) }",
    ] {
        denied(both, &query(text), (403, "rule")).await;
    }
    let other = r#"{"query":"query a { repo } mutation b { drop }","operationName":"b"}"#;
    denied(both, &json(port, "/graphql", other), (403, "rule")).await;
    let batch = r#"[{"query":"{repo}"},{"query":"{viewer}"}]"#;
    denied(both, &json(port, "/graphql", batch), (403, "rule")).await;
    let hash = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#;
    denied(both, &json(port, "/graphql", hash), (403, "rule")).await;
    let several = query("query a { repo } query b { repo }");
    let (answer, _) = denied(both, &several, (400, "graphql")).await;
    assert!(answer.contains(r#""error":"invalid_graphql_request""#), "{answer}");
}

#[tokio::test]
async fn h02_json_that_can_be_read_in_two_ways_is_denied() {
    let upstream = mirror().await;
    let world = World::new(&endpoint(upstream.port, TOOLS)).await;
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize"} {}"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}",
        r#"{"jsonrpc":"2.0","id":1e999,"method":"initialize"}"#,
        r#"{"jsonrpc":"2.0","id":NaN,"method":"initialize"}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"tools/list","method":"initialize"}"#,
        "",
    ] {
        let request = json(upstream.port, "/mcp", body);
        let (answer, _) = denied((&world, &upstream), &request, (400, "jsonrpc")).await;
        assert!(answer.contains(r#""error":"invalid_jsonrpc_request""#), "{answer}");
        assert!(answer.contains(r#""protocol":"mcp""#), "{answer}");
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let request = json(upstream.port, "/mcp", &deep);
    denied((&world, &upstream), &request, (400, "jsonrpc")).await;
}

#[tokio::test]
async fn h03_what_is_not_plainly_json_is_denied_and_codings_are_undone() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, READ)).await);
    let body = br#"{"query":"{ repo }"}"#;
    let to = ("POST", "/graphql");
    let both = (&world, &upstream);
    for extra in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: multipart/form-data; boundary=a\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: sdch\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip, gzip, gzip\r\n",
    ] {
        denied(both, &post(port, to, extra, body), (400, "graphql")).await;
    }
    let extra = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    passes(&world, &upstream, &post(port, to, extra, &gzip(body)), &["query repo"]).await;
    // The server gets what was judged.
    let bytes = upstream.bytes();
    assert!(bytes.ends_with("\r\n\r\n{\"query\":\"{ repo }\"}"), "{bytes}");
    assert!(bytes.contains("content-length: 20\r\n"), "{bytes}");
    assert!(!bytes.to_lowercase().contains("content-encoding"), "{bytes}");
    let other = gzip(br#"{"query":"{ viewer }"}"#);
    denied(both, &post(port, to, extra, &other), (403, "rule")).await;
}

#[tokio::test]
async fn h04_a_batch_is_denied_as_a_whole_and_answers_need_a_session() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, TOOLS)).await);
    let both = (&world, &upstream);
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };
    let (good, bad) = (call("read_file"), call("delete_file"));
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    passes(&world, &upstream, &json(port, "/mcp", &good), &["tools/call read_file"]).await;
    let batch = json(port, "/mcp", &format!("[{good},{bad}]"));
    let (_, http) = denied(both, &batch, (403, "rule")).await;
    assert_eq!(http.operations, ["tools/call read_file", "tools/call delete_file"]);
    let (told, _) = denied(both, &json(port, "/mcp", &bad), (403, "rule")).await;
    assert!(told.contains(r#""type":"mcp_allow""#), "{told}");
    for body in [answer.to_owned(), format!("[{answer}]"), format!("[{good},{answer}]")] {
        denied(both, &json(port, "/mcp", &body), (400, "jsonrpc")).await;
    }
    let session = "Content-Type: application/json\r\nMcp-Session-Id: s1\r\n";
    let within = |body: &str| post(port, ("POST", "/mcp"), session, body.as_bytes());
    passes(&world, &upstream, &within(answer), &["initialize"]).await;
    denied(both, &within(&format!("[{good},{answer}]")), (400, "jsonrpc")).await;
    // Elsewhere than in MCP nobody asks a client.
    let rpc = "protocol: json-rpc, path: /mcp, rules: [{ allow: { method: '*' } }]";
    world.enforce(&endpoint(port, rpc));
    denied(both, &within(answer), (400, "jsonrpc")).await;
}

#[tokio::test]
async fn h05_a_preset_of_requests_is_none_for_calls() {
    for protocol in ["json-rpc", "mcp"] {
        let text = format!(
            "version: 1\nnetwork_policies:\n  api:\n    endpoints: [{{ host: a.com, port: 443, \
             protocol: {protocol}, access: read-write }}]\n    binaries: [{{ path: /bin/a }}]\n"
        );
        assert!(openshell_policy::Policy::compile(&text).is_err(), "{protocol}");
    }
}

#[tokio::test]
async fn h06_a_tool_is_matched_exactly() {
    let upstream = mirror().await;
    let world = World::new(&endpoint(upstream.port, TOOLS)).await;
    for (tool, status, predicate) in [
        (r#""read_file2""#, 403, "rule"),
        (r#""Read_file""#, 403, "rule"),
        (r#""re\u0430d_file""#, 403, "rule"),
        (r#""read_file\u0000x""#, 400, "jsonrpc"),
        ("7", 400, "jsonrpc"),
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{tool}}}}}"#
        );
        let request = json(upstream.port, "/mcp", &body);
        denied((&world, &upstream), &request, (status, predicate)).await;
    }
}

#[tokio::test]
async fn n06_a_bomb_is_not_unpacked() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, READ)).await);
    let both = (&world, &upstream);
    let long = vec![b' '; 70_000];
    let extra = "Content-Type: application/json\r\n";
    denied(both, &post(port, ("POST", "/graphql"), extra, &long), (413, "body_too_long")).await;
    let packed = "Content-Type: application/json\r\nContent-Encoding: gzip, gzip\r\n";
    let twice = gzip(&gzip(&vec![b' '; 10_000_000]));
    assert!(twice.len() < 1000, "{}", twice.len());
    denied(both, &post(port, ("POST", "/graphql"), packed, &twice), (413, "body_too_long")).await;
}

#[tokio::test]
async fn g10_graphql_in_a_target_is_judged_too() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, READ)).await);
    let both = (&world, &upstream);
    let get = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n\r\n")
            .into_bytes()
    };
    let good = get("GET", "/graphql?query=%7Brepo%7D");
    passes(&world, &upstream, &good, &["query repo"]).await;
    denied(both, &get("GET", "/graphql?query=%7Bviewer%7D"), (403, "rule")).await;
    denied(both, &get("HEAD", "/graphql?query=%7Bviewer%7D"), (403, "rule")).await;
    denied(both, &get("DELETE", "/graphql?query=%7Brepo%7D"), (400, "graphql")).await;
    denied(both, &get("GET", "/graphql?query=%7Brepo%7D&query=%7Bviewer%7D"), (400, "graphql"))
        .await;
    denied(both, &get("GET", "/graphql"), (403, "protocol")).await;
    denied(both, &get("OPTIONS", "/graphql"), (403, "protocol")).await;
    let both_ways = json(port, "/graphql?query=%7Brepo%7D", r#"{"query":"{viewer}"}"#);
    denied(both, &both_ways, (400, "graphql")).await;
}

#[tokio::test]
async fn a_session_of_mcp_is_opened_listened_to_and_ended() {
    let upstream = mirror().await;
    let (port, world) = (upstream.port, World::new(&endpoint(upstream.port, TOOLS)).await);
    let both = (&world, &upstream);
    let plain = |method: &str, extra: &str| {
        format!("{method} /mcp HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n{extra}\r\n")
            .into_bytes()
    };
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    passes(&world, &upstream, &json(port, "/mcp", initialize), &["initialize"]).await;
    let listen = plain("GET", "Accept: text/event-stream\r\nMcp-Session-Id: s1\r\n");
    let end = plain("DELETE", "Mcp-Session-Id: s1\r\n");
    passes(&world, &upstream, &listen, &["initialize"]).await;
    passes(&world, &upstream, &end, &["initialize"]).await;
    for (method, extra) in [("GET", "Accept: text/html\r\n"), ("DELETE", ""), ("OPTIONS", "")] {
        denied(both, &plain(method, extra), (403, "protocol")).await;
    }
    // Who may not begin one has none.
    let few = "protocol: mcp, path: /mcp, rules: [{ allow: { method: ping } }]";
    world.enforce(&endpoint(port, few));
    denied(both, &listen, (403, "rule")).await;
    denied(both, &end, (403, "rule")).await;
}

#[tokio::test]
async fn several_kinds_on_one_path_are_asked_in_their_order() {
    let upstream = mirror().await;
    let port = upstream.port;
    let graphql = "protocol: graphql, rules: [{ allow: { operation_type: query } }], \
                   deny_rules: [{ fields: [secret] }]";
    let rest = "protocol: rest, rules: [{ allow: { method: POST, path: /a } }]";
    let endpoints = format!("{}, {}", endpoint(port, graphql), endpoint(port, rest));
    let world = World::new(&endpoints).await;
    let both = (&world, &upstream);
    let body = |text: &str| format!(r#"{{"query":"{text}"}}"#);
    passes(&world, &upstream, &json(port, "/b", &body("{a}")), &["query a"]).await;
    // Not allowed as an operation, but as a request.
    passes(&world, &upstream, &json(port, "/a", &body("mutation {a}")), &["mutation a"]).await;
    denied(both, &json(port, "/b", &body("mutation {a}")), (403, "rule")).await;
    denied(both, &json(port, "/a", &body("{a secret}")), (403, "deny_rule")).await;
    // What cannot be read may hide what is denied.
    denied(both, &json(port, "/a", "[1"), (403, "deny_rule")).await;
    let open = "protocol: graphql, rules: [{ allow: { operation_type: query } }]";
    world.enforce(&format!("{}, {}", endpoint(port, open), endpoint(port, rest)));
    passes(&world, &upstream, &json(port, "/a", "[1"), &[]).await;
    denied(both, &json(port, "/b", "[1"), (403, "rule")).await;
}

/// The body in the gzip format.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn n06_bodies_that_are_held_are_counted_over_all_connections() {
    let upstream = mirror().await;
    let world = World::new(&endpoint(upstream.port, READ)).await;
    let free = || world.egress.context().bodies.available_permits();
    let body = format!("{{\"query\":\"{{ repo }}\"{}}}", " ".repeat(20 * 1024 - 21));
    let request = json(upstream.port, "/graphql", &body);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = world.tunnel(upstream.port).await;
        client.write_all(&request[..request.len() - 1]).await.unwrap();
        clients.push(client);
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(free(), crate::limits::BODIES - 3 * 20);
    for client in &mut clients {
        let answer = ask(client, "}").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(free(), crate::limits::BODIES);
}
