//! Requests over connections on which each is judged.

use openshell_audit::{Event, Http, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::*;

/// A server of HTTP/1 that answers each request with its own head, and keeps the connection.
pub(super) async fn mirror() -> Upstream {
    Upstream::serve(|mut stream, seen| async move {
        let mut bytes = Vec::new();
        loop {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                match stream.read_buf(&mut bytes).await {
                    Ok(1..) => continue,
                    _ => return,
                }
            };
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            seen.lock().unwrap().1.extend_from_slice(&head);
            let text = String::from_utf8_lossy(&head).to_lowercase();
            let length = text
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
            while bytes.len() < length {
                stream.read_buf(&mut bytes).await.unwrap();
            }
            let body: Vec<u8> = bytes.drain(..length).collect();
            seen.lock().unwrap().1.extend_from_slice(&body);
            let line = text.split("\r\n").next().unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nAlt-Svc: h3=\":443\"\r\n\r\n{line}",
                line.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// An endpoint of this host whose requests are judged.
pub(super) fn rest(port: u16, rules: &str) -> String {
    format!("{{ host: host.openshell.internal, port: {port}, protocol: rest, {rules} }}")
}

const READ_REPOS: &str = "rules: [{ allow: { method: GET, path: /repos/** } }]";

/// Sends a request and reads one answer with a stated length.
pub(super) async fn ask(client: &mut TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match client.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n\r\n")
}

/// The events of requests.
async fn requests(world: &World, count: usize) -> Vec<Http> {
    let events = world.events(count + 1).await;
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Http(http) => Some(http),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn e09_each_request_of_a_connection_is_judged() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    for path in ["/repos/a", "/repos/b/c"] {
        let answer = ask(&mut client, &get(upstream.port, path)).await;
        assert!(answer.ends_with(&format!("get {path} http/1.1")), "{answer}");
        assert!(!answer.to_lowercase().contains("alt-svc"), "{answer}");
    }
    let answer = ask(&mut client, &get(upstream.port, "/users/a")).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("\r\nX-OpenShell-Policy: denied\r\n"), "{answer}");
    assert!(answer.contains(r#""layer":"l7""#) && answer.contains(r#""path":"/users/a""#));
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(upstream.connections(), 1);
    assert!(!upstream.bytes().contains("users"));
    let events = requests(&world, 3).await;
    let told: Vec<_> = events.iter().map(|e| (e.path.as_str(), e.outcome)).collect();
    assert_eq!(
        told,
        [
            ("/repos/a", Outcome::Allowed),
            ("/repos/b/c", Outcome::Allowed),
            ("/users/a", Outcome::Denied)
        ]
    );
    assert_eq!(events[2].reason.as_ref().unwrap().predicate, "rule");
}

#[tokio::test]
async fn g01_the_canonical_target_is_judged_and_sent() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    let answer = ask(&mut client, &get(upstream.port, "//x/../repos/%61?q=%2e")).await;
    assert!(answer.ends_with("get /repos/a?q=%2e http/1.1"), "{answer}");
    for path in ["/repos/../users", "/repos/%2e%2e/users", "/repos/..;/users", "/repos/a%2fb"] {
        let mut client = world.tunnel(upstream.port).await;
        let answer = ask(&mut client, &get(upstream.port, path)).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn d03_a_request_for_another_host_is_refused() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    for host in ["evil.example.com", "host.openshell.internal:1", "host.openshell.internal"] {
        let mut client = world.tunnel(upstream.port).await;
        let request = format!("GET /repos/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = ask(&mut client, &request).await;
        assert!(answer.contains("request_authority_mismatch"), "{host}: {answer}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn c06_another_protocol_is_refused_where_requests_are_judged() {
    let upstream = mirror().await;
    for (first, predicate) in [
        ("SSH-2.0-OpenSSH_9.9\r\n", "protocol"),
        ("\0\0\0\0", "protocol"),
        ("EHLO me\r\n\r\n", "bad_request"),
        ("CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n", "protocol"),
    ] {
        let world = World::new(&rest(upstream.port, READ_REPOS)).await;
        let mut client = world.tunnel(upstream.port).await;
        client.write_all(first.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
        let events = world.some_events().await;
        let reasons: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Http(http) => http.reason.clone(),
                Event::Network(network) => network.reason.clone(),
                _ => None,
            })
            .map(|reason| reason.predicate)
            .collect();
        assert!(reasons.contains(&predicate.to_owned()), "{first:?}: {events:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn c08_absolute_form_is_judged_the_same() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let mut client = TcpStream::connect(world.proxy).await.unwrap();
    let ok = format!("GET http://{to}/repos/a HTTP/1.1\r\nHost: {to}\r\n\r\n");
    assert!(ask(&mut client, &ok).await.ends_with("get /repos/a http/1.1"));
    assert!(ask(&mut client, &ok).await.ends_with("get /repos/a http/1.1"));
    let bad =
        format!("POST http://{to}/repos/a HTTP/1.1\r\nHost: {to}\r\nContent-Length: 0\r\n\r\n");
    assert!(ask(&mut client, &bad).await.starts_with("HTTP/1.1 403"));
    assert_eq!(upstream.connections(), 1);
    let events = world.events(3).await;
    assert!(events.iter().all(|event| matches!(event, Event::Http(_))), "{events:?}");
}

#[tokio::test]
async fn e10_a_request_is_judged_by_the_policy_of_its_time() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    assert!(ask(&mut client, &get(upstream.port, "/repos/a")).await.starts_with("HTTP/1.1 200"));
    world.enforce(&rest(upstream.port, "rules: [{ allow: { method: GET, path: /users/** } }]"));
    assert!(ask(&mut client, &get(upstream.port, "/repos/a")).await.starts_with("HTTP/1.1 403"));
    let mut client = world.tunnel(upstream.port).await;
    assert!(ask(&mut client, &get(upstream.port, "/users/a")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn g05_a_method_in_a_field_or_a_form_is_judged_too() {
    let upstream = mirror().await;
    let rules = "rules: [{ allow: { method: POST, path: /** } }]";
    let world = World::new(&rest(upstream.port, rules)).await;
    let post = |extra: &str, body: &str| {
        format!(
            "POST /a HTTP/1.1\r\nHost: host.openshell.internal:{}\r\n{extra}Content-Length: {}\r\n\
             \r\n{body}",
            upstream.port,
            body.len()
        )
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut client = world.tunnel(upstream.port).await;
    assert!(ask(&mut client, &post(form, "a=b")).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut client, &post("", "_method=DELETE")).await.starts_with("HTTP/1.1 200"));
    for request in [
        post("X-HTTP-Method-Override: DELETE\r\n", ""),
        post(form, "a=b&_method=DELETE"),
        post(form, &"x".repeat(100_000)),
    ] {
        let mut client = world.tunnel(upstream.port).await;
        let answer = ask(&mut client, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{request:.200}");
        assert_eq!(answer.contains("form_unread"), request.len() > 100_000, "{answer}");
    }
    assert!(upstream.bytes().ends_with("_method=DELETE"), "{}", upstream.bytes());
}

#[tokio::test]
async fn m13_a_request_without_its_record_goes_nowhere() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    assert!(ask(&mut client, &get(upstream.port, "/repos/a")).await.starts_with("HTTP/1.1 200"));
    world.fill_the_log(true);
    assert_eq!(ask(&mut client, &get(upstream.port, "/repos/b")).await, "");
    assert!(!upstream.bytes().contains("/repos/b"));
}

#[tokio::test]
async fn c05_c10_no_tunnel_is_uninspected_where_some_endpoint_judges() {
    let upstream = mirror().await;
    let port = upstream.port;
    let opaque = format!("{{ host: host.openshell.internal, port: {port} }}");
    let rest = format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: rest, path: /repos/**, {READ_REPOS} }}"
    );
    let world = World::new(&format!("{opaque}, {rest}")).await;
    let mut client = world.tunnel(port).await;
    assert!(ask(&mut client, &get(port, "/users")).await.starts_with("HTTP/1.1 200"));
    let delete = get(port, "/repos/a").replace("GET", "DELETE");
    assert!(ask(&mut client, &delete).await.starts_with("HTTP/1.1 403"));
    let mut client = world.tunnel(port).await;
    client.write_all(b"\x01\x02not HTTP").await.unwrap();
    assert_eq!(read_all(&mut client).await, "");
    assert!(!upstream.bytes().contains("not HTTP"));
}

#[tokio::test]
async fn c12_an_upgrade_to_http2_is_not_passed_on() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    let upgrade = "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let request = get(upstream.port, "/repos/a").replace("\r\n\r\n", upgrade);
    let answer = ask(&mut client, &request).await;
    assert!(!answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(!upstream.bytes().to_lowercase().contains("h2c"), "{}", upstream.bytes());
}

#[tokio::test]
async fn e04_a_body_that_is_withheld_is_not_needed_to_decide() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ_REPOS)).await;
    let mut client = world.tunnel(upstream.port).await;
    let request = format!(
        "POST /repos/a HTTP/1.1\r\nHost: host.openshell.internal:{}\r\nExpect: 100-continue\r\n\
         Content-Length: 1000000\r\n\r\n",
        upstream.port
    );
    assert!(ask(&mut client, &request).await.starts_with("HTTP/1.1 403"));
    assert_eq!(upstream.connections(), 0);
}
