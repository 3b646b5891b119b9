use std::time::{Duration, Instant};

use openshell_audit::{Event, Outcome, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

#[tokio::test]
async fn connect_relays_both_ways_and_keeps_half_closes() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hellobye");
    let event = world.one_network().await;
    assert_eq!((event.way, event.outcome), (Way::Connect, Outcome::Allowed));
    assert_eq!(event.rule.as_deref(), Some("api"));
    assert_eq!(event.destination.name.as_deref(), Some("host.openshell.internal"));
    assert_eq!(event.destination.address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(event.caller.unwrap().binary, "/usr/bin/curl");
}

#[tokio::test]
async fn c02_early_bytes_belong_to_the_tunnel_and_wait_for_the_permit() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let mut client = world.connect().await;
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\nearly");
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(read_all(&mut client).await.ends_with("\r\n\r\nearlybye"));
    world.enforce("");
    let answer = world.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!((upstream.connections(), upstream.bytes().as_str()), (1, "early"));
    world.events(2).await;
}

#[tokio::test]
async fn a_server_may_speak_first() {
    let upstream = Upstream::echo("220 ready\r\n").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    // A client that only listens leaves a trace, too.
    assert_eq!(world.one_network().await.outcome, Outcome::Allowed);
    client.write_all(b"EHLO\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "EHLO\r\nbye");
    assert_eq!(world.one_network().await.outcome, Outcome::Allowed);
}

#[tokio::test]
async fn m13_nothing_is_relayed_while_events_cannot_be_recorded() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    world.fill_the_log(true);
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"secret").await.unwrap();
    assert_eq!(read_all(&mut client).await, "");
    let to = format!("host.openshell.internal:{}", upstream.port);
    assert_eq!(world.ask(&format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\n\r\n")).await, "");
    assert_eq!(upstream.bytes(), "");
    world.fill_the_log(false);
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hellobye");
    assert_eq!(world.one_network().await.outcome, Outcome::Allowed);
}

#[tokio::test]
async fn large_transfers_arrive_whole() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let client = world.tunnel(upstream.port).await;
    let (mut from, mut to) = client.into_split();
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
    let expected = sent.clone();
    tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    from.read_to_end(&mut got).await.unwrap();
    assert!(got.ends_with(b"bye"));
    got.truncate(got.len() - 3);
    assert!(got == expected);
}

#[tokio::test]
async fn a_denied_connect_gets_its_reason_and_no_byte_goes_upstream() {
    let upstream = Upstream::echo("").await;
    let world = World::new("{ host: api.example.com, port: 443 }").await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let answer = world.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Type: application/problem+json\r\n"));
    assert!(answer.contains("\r\nX-OpenShell-Policy: denied\r\n"));
    assert!(answer.contains(r#""error":"policy_denied""#));
    assert_eq!(upstream.connections(), 0);
    let event = world.one_network().await;
    assert_eq!((event.way, event.outcome), (Way::Connect, Outcome::Denied));
    assert_eq!(event.reason.unwrap().predicate, "host");
}

#[tokio::test]
async fn e05_a_forwarded_request_is_framed_by_us_and_what_follows_is_judged_alone() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Upstream::http(1, response).await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let answer = world
        .ask(&format!(
            "POST http://{to}/x HTTP/1.1\r\nHost: {to}\r\nProxy-Connection: keep-alive\r\n\
             Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nHost: evil\r\n\r\n\
             GET http://evil/ HTTP/1.1\r\nHost: evil\r\n\r\n"
        ))
        .await;
    let (first, second) = answer.split_at(response.len());
    assert_eq!(first, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert!(second.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{second}");
    assert_eq!(
        upstream.bytes(),
        format!(
            "POST /x HTTP/1.1\r\nHost: {to}\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        )
    );
    let events = world.events(2).await;
    let outcomes: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Network(event) => (event.way, event.outcome),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(outcomes, [(Way::Forward, Outcome::Allowed), (Way::Forward, Outcome::Denied)]);
}

#[tokio::test]
async fn e12_a_body_that_was_cut_short_ends_in_a_reset() {
    let upstream = Upstream::http(10_000, "").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let mut client = world.connect().await;
    let head = format!("POST http://{to}/ HTTP/1.1\r\nHost: {to}\r\nContent-Length: 9\r\n\r\nabc");
    client.write_all(head.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(world.one_network().await.outcome, Outcome::Allowed);
}

#[tokio::test]
async fn a_denied_forward_reaches_nobody() {
    let upstream = Upstream::http(1, "HTTP/1.1 200 OK\r\n\r\n").await;
    let world = World::new("").await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let body = "x".repeat(100_000);
    let answer = world
        .ask(&format!(
            "POST http://{to}/ HTTP/1.1\r\nHost: {to}\r\nContent-Length: 100000\r\n\r\n{body}"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.ends_with('}'), "the answer is not cut: {answer}");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(world.one_network().await.outcome, Outcome::Denied);
}

#[tokio::test]
async fn malformed_requests_are_refused_with_advice() {
    let world = World::new("{ host: a.com, port: 443 }").await;
    for (count, (request, status, error)) in [
        ("GET https://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n", 400, "unsupported_proxy_scheme"),
        ("GET / HTTP/1.1\r\nHost: a.com\r\n\r\n", 400, "invalid_request_target"),
        ("CONNECT a.com:443 HTTP/1.1\r\nHost: b.com\r\n\r\n", 400, "request_authority_mismatch"),
        ("CONNECT a.com:443@b.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid_request_target"),
        ("CONNECT a.com:443 HTTP/1.1\nHost: a.com\n\n", 400, "invalid_request_target"),
        ("CONNECT a.com:443 HTTP/2.0\r\nHost: a.com\r\n\r\n", 400, "invalid_request_target"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = world.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.contains(&format!(r#""error":"{error}""#)), "{request:?}: {answer}");
        world.events(count + 1).await;
    }
    let long = format!("GET http://a.com/ HTTP/1.1\r\nX: {}", "x".repeat(70_000));
    assert!(world.ask(&long).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_captured_connection_to_a_permitted_name_is_relayed() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.transparent_to("host.openshell.internal", upstream.port).await;
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "pingbye");
    let event = world.one_network().await;
    assert_eq!((event.way, event.outcome), (Way::Transparent, Outcome::Allowed));
}

#[tokio::test]
async fn a_denied_captured_connection_is_told_why_in_http_and_reset_otherwise() {
    let world = World::new("").await;
    let dialled = "203.0.113.9:80".parse().unwrap();
    let mut client = world.transparent(dialled).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: allowed.com\r\n\r\n").await.unwrap();
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains(r#""host":"203.0.113.9""#), "{answer}");

    let mut client = world.transparent(dialled).await;
    client.write_all(b"\x16\x03\x01\0\x05").await.unwrap();
    let begun = Instant::now();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(begun.elapsed() < Duration::from_millis(250));

    let mut silent = world.transparent(dialled).await;
    let error = silent.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(begun.elapsed() < Duration::from_secs(1));
    world.events(3).await;
}

#[tokio::test]
async fn b09_loopback_and_this_hosts_addresses_are_never_reached() {
    let upstream = Upstream::echo("").await;
    let world = World::new("{ host: \"*.example.com\", port: 443 }").await;
    for to in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
        let to = format!("{to}:{}", upstream.port);
        let answer = world.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        assert!(answer.contains(r#""error":"ssrf_denied""#), "{to}: {answer}");
        assert!(answer.contains(r#""reason":"never_reachable""#), "{to}: {answer}");
    }
    assert_eq!(upstream.connections(), 0);
    world.events(5).await;
}

#[tokio::test]
async fn an_unidentified_caller_is_denied() {
    let upstream = Upstream::echo("").await;
    let options = Options { is_known: false, ..Options::default() };
    let world = World::with(&host_endpoint(upstream.port), options).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let answer = world.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(answer.contains(r#""reason":"unidentified""#), "{answer}");
    assert_eq!(upstream.connections(), 0);
    let event = world.one_network().await;
    assert_eq!((event.outcome, event.caller), (Outcome::Denied, None));
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_failure_and_no_denial() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    drop(upstream);
    let world = World::new(&host_endpoint(port)).await;
    let to = format!("host.openshell.internal:{port}");
    let answer = world.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains(r#""error":"upstream_unreachable""#));
    assert!(!answer.contains("X-OpenShell-Policy"));
    let event = world.one_network().await;
    assert_eq!((event.outcome, event.rule.as_deref()), (Outcome::Failed, Some("api")));
}
