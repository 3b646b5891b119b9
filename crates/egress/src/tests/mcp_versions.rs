//! Endpoints of MCP that admit only some versions of the protocol.

use openshell_audit::{Event, Http, Outcome};

use super::requests::{ask, mirror};
use super::world::*;

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn endpoint(port: u16, versions: &str) -> String {
    format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: mcp, path: /mcp, \
         mcp: {{ allow_all_known_mcp_methods: true, versions: [{versions}] }} }}"
    )
}

fn initialize(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{params}}}}}"#)
}

/// A request; `extra` are whole lines.
fn request(port: u16, method: &str, extra: &str, body: &str) -> String {
    let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    format!(
        "{method} /mcp HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n{json}{extra}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The answer to one request, and its event.
async fn send(world: &World, port: u16, request: &str) -> (String, Http) {
    let before = world.some_events().await.len();
    let answer = ask(&mut world.tunnel(port).await, request).await;
    let events = world.some_events().await.split_off(before);
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    (answer, events.into_iter().find_map(http).unwrap())
}

#[tokio::test]
async fn h07_only_named_versions_of_mcp_pass() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, "'2025-06-18', '2025-11-25'")).await;
    let new = "MCP-Protocol-Version: 2025-11-25\r\n";
    let old = "MCP-Protocol-Version: 2024-11-05\r\n";
    let good = initialize(r#""protocolVersion":"2025-06-18""#);
    let stating = |version: &str| {
        let meta = format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{version}"}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{meta}}}}}"#)
    };
    for (method, extra, body) in [
        ("POST", String::new(), good.as_str()),
        ("POST", new.to_owned(), &good),
        ("POST", new.to_owned(), CALL),
        ("POST", new.to_owned(), INITIALIZED),
        ("POST", new.to_owned(), &stating("2025-11-25")),
        ("GET", format!("{new}Accept: text/event-stream\r\n"), ""),
        ("DELETE", format!("{new}Mcp-Session-Id: s\r\n"), ""),
    ] {
        let (answer, _) = send(&world, port, &request(port, method, &extra, body)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{extra}{body}\n{answer}");
    }
    let sent = upstream.bytes();
    for (extra, body) in [
        (String::new(), CALL.to_owned()),
        (old.to_owned(), CALL.to_owned()),
        (format!("{new}{old}"), CALL.to_owned()),
        (format!("{new}{new}"), CALL.to_owned()),
        ("MCP-Protocol-Version: 2025-11-25, 2024-11-05\r\n".to_owned(), CALL.to_owned()),
        (String::new(), initialize(r#""protocolVersion":"2024-11-05""#)),
        (new.to_owned(), initialize(r#""protocolVersion":"2024-11-05""#)),
        (old.to_owned(), good.clone()),
        (new.to_owned(), stating("2026-07-28")),
        (String::new(), initialize(r#""protocolVersion":["2025-06-18","2024-11-05"]"#)),
        (String::new(), initialize("")),
        (String::new(), format!("[{good},{CALL}]")),
    ] {
        let (answer, http) = send(&world, port, &request(port, "POST", &extra, &body)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{extra}{body}\n{answer}");
        let reason = http.reason.unwrap();
        assert_eq!((http.outcome, reason.predicate.as_str()), (Outcome::Denied, "mcp_version"));
        assert!(reason.detail.contains("`2025-06-18`, `2025-11-25`"), "{}", reason.detail);
        assert!(answer.contains(r#""reason":"mcp_version""#), "{answer}");
        assert!(answer.contains(r#""rule_missing":null"#), "{answer}");
    }
    for (method, extra) in
        [("GET", "Accept: text/event-stream\r\n"), ("DELETE", "Mcp-Session-Id: s\r\n")]
    {
        let (_, http) = send(&world, port, &request(port, method, extra, "")).await;
        assert_eq!(http.reason.unwrap().predicate, "mcp_version", "{method}");
    }
    assert_eq!(upstream.bytes(), sent, "what was denied was sent");
}

#[tokio::test]
async fn h07_a_request_without_a_version_is_of_the_one_that_the_protocol_says() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, "'2025-03-26'")).await;
    let (answer, _) = send(&world, port, &request(port, "POST", "", CALL)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
