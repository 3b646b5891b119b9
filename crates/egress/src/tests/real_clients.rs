//! Clients and servers that are none of ours. Skipped where Python has not their packages.

use std::process::Stdio;

use openshell_audit::{Event, Http, Outcome};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::world::*;

const WEBSOCKET: &str = include_str!("real/websocket.py");
const MCP: &str = include_str!("real/mcp.py");

/// Whether Python has a package; says so if not.
async fn has(package: &str) -> bool {
    let import = ["-c", &format!("import {package}")];
    let found = Command::new("python3").args(import).stderr(Stdio::null()).status().await;
    let has = found.is_ok_and(|status| status.success());
    if !has {
        eprintln!("skipped: python3 has no package `{package}`");
    }
    has
}

/// A server that runs until it is dropped, and its port.
async fn server(script: &str) -> (Child, u16) {
    let mut child = Command::new("python3")
        .args(["-c", script, "server"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (child, line.trim().parse().unwrap())
}

/// What a client says that goes through the proxy.
async fn client(script: &str, world: &World, port: u16) -> String {
    let (proxy, port) = (world.proxy.port().to_string(), port.to_string());
    let client = Command::new("python3").args(["-c", script, "client", &proxy, &port]).output();
    let output = client.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

async fn requests(world: &World) -> Vec<Http> {
    let events = world.some_events().await;
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    events.into_iter().filter_map(http).collect()
}

#[tokio::test]
async fn a_real_client_speaks_websocket_through_us() {
    if !has("websockets").await {
        return;
    }
    let (_server, port) = server(WEBSOCKET).await;
    let world = World::new(&format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: websocket, path: /ws, \
         access: read-write }}"
    ))
    .await;
    assert_eq!(client(WEBSOCKET, &world, port).await, "all\n");
    world.enforce(&format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: websocket, path: /ws, \
         access: read-only }}"
    ));
    assert_eq!(client(WEBSOCKET, &world, port).await, "1008\n");
}

#[tokio::test]
async fn a_real_client_speaks_mcp_through_us() {
    if !has("mcp.server").await {
        return;
    }
    let (_server, port) = server(MCP).await;
    let world = World::new(&format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: mcp, path: /mcp, \
         mcp: {{ allow_all_known_mcp_methods: true }}, \
         rules: [{{ allow: {{ method: tools/call, tool: read_file }} }}] }}"
    ))
    .await;
    let said = client(MCP, &world, port).await;
    let events = requests(&world).await;
    let told: Vec<_> = events
        .iter()
        .map(|http| (http.method.as_str(), http.operations.join(" "), http.outcome))
        .collect();
    assert_eq!(said, "['delete_file', 'read_file']\ncontent of a\ndenied\n", "{told:?}");
    let has = |method, operation: &str, outcome| {
        assert!(told.contains(&(method, operation.to_owned(), outcome)), "{operation}: {told:?}");
    };
    has("POST", "initialize", Outcome::Allowed);
    has("GET", "initialize", Outcome::Allowed);
    has("POST", "tools/call read_file", Outcome::Allowed);
    has("POST", "tools/call delete_file", Outcome::Denied);
    has("DELETE", "initialize", Outcome::Allowed);
}
