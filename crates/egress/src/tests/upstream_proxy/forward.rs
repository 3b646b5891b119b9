//! Plain HTTP that the proxy is asked for request by request.

use super::*;

fn forwarding(port: u16) -> UpstreamProxy {
    UpstreamProxy { plain: PlainHttp::Forward, ..at(port) }
}

#[tokio::test]
async fn plain_requests_name_their_server_and_all_else_is_tunnelled() {
    let certifier = Certifier::new();
    let ways = Ways::new(&certifier).await;
    let proxy = proxy().await;
    let trusted = Some(certifier.pem.clone());
    let world = world_with(&ways.endpoints(), forwarding(proxy.port), trusted).await;
    ways.go(&world, &certifier).await;
    let asked = proxy.bytes();
    let port = ways.plain.port;
    for path in ["/one", "/two"] {
        let line = format!("GET http://{NAME}:{port}{path} HTTP/1.1\r\nHost: {NAME}:{port}\r\n");
        assert!(asked.contains(&line), "{asked}");
    }
    let outer = outer_address();
    assert!(!asked.contains(&format!("CONNECT {outer}:{port} ")), "{asked}");
    for upstream in [&ways.socket, &ways.secure, &ways.spliced, &ways.raw] {
        let connects = asked.matches(&format!("CONNECT {outer}:{} ", upstream.port)).count();
        assert!(connects > 0 && connects == upstream.connections(), "{asked}");
    }
    let addresses = allowed(&world.seen());
    assert!(addresses.contains(&Some(outer.into())), "{addresses:?}");
}

#[tokio::test]
async fn a_forwarded_request_is_as_it_was_judged_and_carries_nothing_for_the_proxy() {
    let upstream = mirror().await;
    let proxy = proxy().await;
    let world = world(&judged(upstream.port), forwarding(proxy.port)).await;
    let to = format!("{NAME}:{}", upstream.port);
    let mut client = tunnel(&world, &to).await;
    for path in ["/a/../b", "/c"] {
        let own = "Proxy-Authorization: Basic bWFsbG9yeTp4\r\nVia: 1.1 x\r\nConnection: x-y\r\n\
                   X-Y: 1\r\n\r\n";
        let request = get(upstream.port, path).replace("\r\n\r\n", &format!("\r\n{own}"));
        let answer = ask(&mut client, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let heads = head(&format!("GET http://{to}/b")) + &head(&format!("GET http://{to}/c"));
    assert_eq!(proxy.bytes(), heads);
    // One connection to the proxy served both.
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_websocket_never_uses_a_connection_that_takes_requests() {
    let upstream = websocket::echo("").await;
    let proxy = proxy().await;
    let rules = ", protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                 { allow: { method: WEBSOCKET_TEXT } }]";
    let port = upstream.port;
    let endpoints = format!("{}, {}", endpoint(port, rules), judged(port));
    let world = world(&endpoints, forwarding(proxy.port)).await;
    let mut client = tunnel(&world, &format!("{NAME}:{port}")).await;
    let upgrade = websocket::upgrade(port, "/ws", "").replace("host.openshell.internal", NAME);
    // This server switches whoever asks; what matters is by which way it is asked.
    let answer = ask(&mut client, &upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let connect = format!("CONNECT {}:{port} HTTP/1.1\r\n", outer_address());
    assert!(proxy.bytes().starts_with(&connect), "{}", proxy.bytes());
    assert!(!proxy.bytes().contains("GET "), "{}", proxy.bytes());
}

#[tokio::test]
async fn b01_where_the_policy_lists_addresses_requests_are_tunnelled_to_one() {
    let upstream = mirror().await;
    let proxy = proxy().await;
    let rules = format!(", protocol: rest, access: full, allowed_ips: [{}]", outer_address());
    let world = world(&judged(upstream.port), forwarding(proxy.port)).await;
    let mut client = tunnel(&world, &format!("{NAME}:{}", upstream.port)).await;
    ask(&mut client, &get(upstream.port, "/one")).await;
    assert!(proxy.bytes().starts_with("GET http://"), "{}", proxy.bytes());
    // The connection that stands and takes requests is not for these any more.
    world.enforce(&endpoint(upstream.port, &rules));
    let answer = ask(&mut client, &get(upstream.port, "/two")).await;
    assert!(answer.ends_with("get /two http/1.1"), "{answer}");
    let connect = format!("CONNECT {}:{} ", outer_address(), upstream.port);
    assert!(proxy.bytes().contains(&connect), "{}", proxy.bytes());
    assert!(!proxy.bytes().contains("/two"), "{}", proxy.bytes());
}

#[tokio::test]
async fn what_the_proxy_wants_of_us_is_not_the_clients_to_answer() {
    let wants = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic \
                 realm=\"corp\"\r\nContent-Length: 4\r\n\r\nwho?";
    let proxy = Upstream::http(1, wants).await;
    let world = world(&judged(80), forwarding(proxy.port)).await;
    let mut client = tunnel(&world, &format!("{NAME}:80")).await;
    let answer = ask(&mut client, &format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("upstream_proxy_refused") && answer.contains("407"), "{answer}");
    assert!(!answer.contains("realm") && !answer.contains("who?"), "{answer}");
}
