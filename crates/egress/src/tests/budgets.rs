//! Budgets over real connections: what is counted, what happens when it is used up, and who is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::Response;
use openshell_audit::{Event, Http, Outcome};
use openshell_codec::websocket::{Message, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::requests::{ask, mirror, rest};
use super::world::*;
use super::{streams, websocket};

/// Requests to all paths, with this budget.
fn limited(port: u16, budget: &str) -> String {
    let rules = "rules: [{ allow: { method: GET, path: '**' } }, \
                 { allow: { method: POST, path: '**' } }]";
    rest(port, &format!("{rules}, budget: {{ {budget} }}"))
}

/// Connections whose requests are not judged, with this budget.
fn raw(port: u16, budget: &str) -> String {
    format!("{{ host: host.openshell.internal, port: {port}, budget: {{ {budget} }} }}")
}

fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n\r\n")
}

/// The status of one request over a connection of its own.
async fn status(world: &World, port: u16, path: &str) -> u16 {
    let answer = ask(&mut world.tunnel(port).await, &get(port, path)).await;
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

/// The events of requests that ended so.
async fn told(world: &World, outcome: Outcome) -> Vec<Http> {
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    let events = world.some_events().await.into_iter().filter_map(http);
    events.filter(|http| http.outcome == outcome).collect()
}

fn predicate(http: &Http) -> &str {
    &http.reason.as_ref().unwrap().predicate
}

/// A clock that a test sets.
pub(super) fn clock() -> (Arc<AtomicI64>, Options) {
    let second = Arc::new(AtomicI64::new(1_900_000_000));
    let options = Options { second: Some(Arc::clone(&second)), ..Options::default() };
    (second, options)
}

/// A server that answers each request with so many bytes.
async fn downloads(length: usize) -> Upstream {
    Upstream::serve(move |mut stream, seen| async move {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        seen.lock().unwrap().1.extend_from_slice(&bytes);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![b'x'; length]).await;
        let _ = stream.shutdown().await;
    })
    .await
}

/// What comes until the end, and whether that was a reset.
async fn read_to_reset(client: &mut TcpStream) -> (usize, bool) {
    let mut bytes = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match timeout(Duration::from_secs(30), client.read(&mut bytes)).await.unwrap() {
            Ok(0) => return (total, false),
            Ok(read) => total += read,
            Err(_) => return (total, true),
        }
    }
}

#[tokio::test]
async fn requests_beyond_a_budget_are_denied_until_its_next_window() {
    let upstream = mirror().await;
    let port = upstream.port;
    let (second, options) = clock();
    let world = World::with(&limited(port, "requests: 2, per: hour"), options).await;
    let mut client = world.tunnel(port).await;
    for path in ["/1", "/2"] {
        assert!(ask(&mut client, &get(port, path)).await.starts_with("HTTP/1.1 200"));
    }
    let answer = ask(&mut client, &get(port, "/3")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    for part in [
        r#""error":"policy_denied""#,
        r#""reason":"budget""#,
        r#""policy":"api""#,
        r#""layer":"l7""#,
        r#""path":"/3""#,
        r#""rule_missing":null"#,
        "the budget of 2 requests per hour is used up until 2030-03-17T18:00:00Z",
        "X-OpenShell-Policy: denied",
        "a larger budget",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert_eq!(read_all(&mut client).await, "");
    let denied = told(&world, Outcome::Denied).await;
    assert_eq!((denied.len(), predicate(&denied[0])), (1, "budget"));
    assert_eq!(denied[0].rule.as_deref(), Some("api"));
    assert!(denied[0].reason.as_ref().unwrap().line.is_some());

    second.fetch_add(1200, Ordering::SeqCst);
    assert_eq!(status(&world, port, "/4").await, 200);
    assert_eq!(status(&world, port, "/5").await, 200);
    assert_eq!(status(&world, port, "/6").await, 403);
    // A clock that is set back gives nothing back.
    second.fetch_sub(1200, Ordering::SeqCst);
    assert_eq!(status(&world, port, "/7").await, 403);
    let seen = upstream.bytes();
    for (path, came) in [("/2", true), ("/3", false), ("/5", true), ("/6", false), ("/7", false)] {
        assert_eq!(seen.contains(&format!("GET {path} ")), came, "{path}");
    }
}

#[tokio::test]
async fn nobody_is_dialled_for_what_there_is_no_room_for() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = World::new(&limited(port, "requests: 1")).await;
    let request = get(port, "/a").replace("Host:", "Connection: close\r\nHost:");
    let mut client = world.tunnel(port).await;
    assert!(ask(&mut client, &request).await.starts_with("HTTP/1.1 200"));
    drop(client);
    let before = upstream.connections();
    assert_eq!(status(&world, port, "/b").await, 403);
    assert_eq!(upstream.connections(), before);
}

#[tokio::test]
async fn a_budget_counts_whatever_its_endpoint_covers_and_keeps_its_use_over_policies() {
    let upstream = mirror().await;
    let port = upstream.port;
    let all = rest(port, "access: full");
    let part = |budget: &str| {
        let own = rest(port, &format!("path: /a/**, access: read-only, budget: {{ {budget} }}"));
        format!("{all}, {own}")
    };
    let world = World::new(&part("requests: 2, per: sandbox")).await;
    assert_eq!(status(&world, port, "/a/1").await, 200);
    assert_eq!(status(&world, port, "/b").await, 200);
    // More room, of which one was used.
    world.enforce(&part("requests: 3, per: sandbox"));
    assert_eq!(status(&world, port, "/a/2").await, 200);
    assert_eq!(status(&world, port, "/a/3").await, 200);
    assert_eq!(status(&world, port, "/a/4").await, 403);
    assert_eq!(status(&world, port, "/b").await, 200);
    // Less than was used, and away and back.
    world.enforce(&part("requests: 1, bytes: 1000000, per: sandbox"));
    assert_eq!(status(&world, port, "/a/5").await, 403);
    world.enforce(&all);
    assert_eq!(status(&world, port, "/a/6").await, 200);
    world.enforce(&part("requests: 3, per: sandbox"));
    assert_eq!(status(&world, port, "/a/7").await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_requests_at_once_ten_reach_the_server() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = Arc::new(World::new(&limited(port, "requests: 10, per: sandbox")).await);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(world.tunnel(port).await);
    }
    let mut asking = JoinSet::new();
    for mut client in clients {
        asking.spawn(async move { ask(&mut client, &get(port, "/a")).await });
    }
    let answers = asking.join_all().await;
    let allowed = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let denied = answers.iter().filter(|answer| answer.contains("\"budget\"")).count();
    assert_eq!((allowed, denied), (10, 40));
    assert_eq!(upstream.bytes().matches("GET /a ").count(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_streams_at_once_ten_reach_the_server() {
    let (upstream, mut coming) = streams::server(100, false).await;
    let port = upstream.port;
    let world = World::new(&limited(port, "requests: 10, per: sandbox")).await;
    let mut requests = streams::open(&world, port).await;
    let mut responses = Vec::new();
    for _ in 0..50 {
        requests = requests.ready().await.unwrap();
        responses.push(requests.send_request(streams::post(port, "/a"), true).unwrap().0);
    }
    let serving = tokio::spawn(async move {
        let mut count = 0;
        while let Some((_, mut answer)) = coming.recv().await {
            answer.send_response(Response::new(()), true).unwrap();
            count += 1;
        }
        count
    });
    let mut denied = 0;
    for response in responses {
        let response = timeout(Duration::from_secs(30), response).await.unwrap().unwrap();
        if response.status() == 403 {
            let words = whole(response.into_body()).await.unwrap();
            assert!(String::from_utf8_lossy(&words).contains(r#""reason":"budget""#));
            denied += 1;
        }
    }
    assert_eq!(denied, 40);
    drop((world, upstream, requests));
    serving.abort();
    assert!(serving.await.map_or(true, |count| count == 10));
}

async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = timeout(Duration::from_secs(30), body.data()).await.unwrap() {
        let data = data?;
        all.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(all)
}

#[tokio::test]
async fn each_call_of_a_batch_is_a_request() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = World::new(&format!(
        "{{ host: host.openshell.internal, port: {port}, protocol: json-rpc, \
         rules: [{{ allow: {{ method: a }} }}], budget: {{ requests: 5 }} }}"
    ))
    .await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#;
    let mut statuses = Vec::new();
    for calls in [3, 3, 2, 1] {
        let body = format!("[{}]", vec![call; calls].join(","));
        let request = format!(
            "POST / HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(&mut world.tunnel(port).await, &request).await;
        let room = "has no room for 3 at once, but for 2, for as long as the sandbox lives";
        assert_eq!(answer.contains(room), statuses.len() == 1, "{answer}");
        statuses.push(answer.split(' ').nth(1).unwrap().to_owned());
    }
    assert_eq!(statuses, ["200", "403", "200", "403"]);
}

#[tokio::test]
async fn a_tunnel_is_cut_off_when_its_bytes_are_used_up() {
    let upstream = Upstream::echo("").await;
    let port = upstream.port;
    let (second, options) = clock();
    let world = World::with(&raw(port, "bytes: 1000, per: minute"), options).await;
    let mut client = world.tunnel(port).await;
    let mut echoed = [0; 400];
    client.write_all(&[b'a'; 400]).await.unwrap();
    client.read_exact(&mut echoed).await.unwrap();
    // The next minute has its own.
    second.fetch_add(60, Ordering::SeqCst);
    client.write_all(&[b'b'; 400]).await.unwrap();
    client.read_exact(&mut echoed).await.unwrap();
    client.write_all(&[b'c'; 400]).await.unwrap();
    let (read, is_reset) = read_to_reset(&mut client).await;
    assert!(is_reset, "a cut must not look like an end");
    assert!(read <= 400, "{read}");
    assert!(upstream.bytes().matches('c').count() <= 200, "{}", upstream.bytes());
    let events = world.events(2).await;
    let Event::Network(network) = &events[1] else { panic!("{events:?}") };
    assert_eq!(network.outcome, Outcome::Revoked);
    assert_eq!(network.reason.as_ref().unwrap().predicate, "budget");

    // Nobody is dialled any more.
    let to = format!("host.openshell.internal:{port}");
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let answer = world.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(
        answer.contains("the budget of 1000 bytes per minute is used up until 2030"),
        "{answer}"
    );
    assert_eq!(upstream.connections(), 1);
    second.fetch_add(60, Ordering::SeqCst);
    world.tunnel(port).await;
}

#[tokio::test]
async fn what_a_server_says_first_counts() {
    let upstream = Upstream::echo("0123456789").await;
    let port = upstream.port;
    let world = World::new(&raw(port, "bytes: 9")).await;
    let mut client = world.tunnel(port).await;
    assert_eq!(read_to_reset(&mut client).await, (0, true));
}

#[tokio::test]
async fn much_at_once_is_counted_as_well() {
    const BUDGET: usize = 2_000_000;
    // Enough for a pipe, and a last read that is not full: the rest passes through the pipe.
    let first = usize::try_from(2 * crate::limits::BULK).unwrap() + 1000;
    let upstream = Upstream::serve(move |mut stream, _| async move {
        let _go = stream.read_u8().await;
        stream.write_all(&vec![b'x'; first]).await.unwrap();
        let _go = stream.read_u8().await;
        let _gone = stream.write_all(&vec![b'x'; 20_000_000]).await;
    })
    .await;
    let world = World::new(&raw(upstream.port, &format!("bytes: {BUDGET}"))).await;
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"!").await.unwrap();
    let mut read = vec![0; first];
    client.read_exact(&mut read).await.unwrap();
    client.write_all(b"!").await.unwrap();
    let (read, is_reset) = read_to_reset(&mut client).await;
    assert!(is_reset);
    assert!(first + read < BUDGET, "{read}");
    let Some(Event::Network(network)) = world.events(2).await.pop() else { panic!() };
    assert_eq!(network.reason.unwrap().predicate, "budget");
}

#[tokio::test]
async fn tunnels_at_once_share_what_there_is() {
    const BUDGET: usize = 1_000_000;
    let upstream = downloads(600_000).await;
    let port = upstream.port;
    let world = World::new(&raw(port, &format!("bytes: {BUDGET}"))).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(world.tunnel(port).await);
    }
    let mut reading = JoinSet::new();
    for mut client in clients {
        reading.spawn(async move {
            let _gone = client.write_all(get(port, "/").as_bytes()).await;
            read_to_reset(&mut client).await.0
        });
    }
    let read: usize = reading.join_all().await.into_iter().sum();
    assert!(read <= BUDGET, "{read}");
}

#[tokio::test]
async fn a_budget_that_comes_into_force_holds_for_a_live_tunnel() {
    let upstream = Upstream::echo("").await;
    let port = upstream.port;
    let world = World::new(&host_endpoint(port)).await;
    let mut client = world.tunnel(port).await;
    let mut echoed = [0; 5];
    client.write_all(b"first").await.unwrap();
    client.read_exact(&mut echoed).await.unwrap();
    world.enforce(&raw(port, "bytes: 3"));
    client.write_all(b"later").await.unwrap();
    assert!(read_to_reset(&mut client).await.1);
    // What is on its way when a connection is reset may be lost.
    assert!("firstlat".starts_with(&upstream.bytes()), "{}", upstream.bytes());
}

#[tokio::test]
async fn h12_an_answer_that_was_allowed_is_cut_off_in_the_middle() {
    // One that is copied, and one that passes through a pipe.
    for (length, budget) in [(200_000, 60_000), (1_000_000, 300_000)] {
        let upstream = downloads(length).await;
        let port = upstream.port;
        let world = World::new(&limited(port, &format!("bytes: {budget}, per: day"))).await;
        let mut client = world.tunnel(port).await;
        client.write_all(get(port, "/big").as_bytes()).await.unwrap();
        let (read, is_reset) = read_to_reset(&mut client).await;
        assert!(is_reset, "a cut must not look like an end");
        assert!(read <= budget + 100, "{read}");
        let cut = told(&world, Outcome::Revoked).await;
        assert_eq!((cut.len(), predicate(&cut[0])), (1, "budget"));
        assert_eq!((cut[0].method.as_str(), cut[0].path.as_str()), ("GET", "/big"));
        assert_eq!(told(&world, Outcome::Allowed).await.len(), 1);
        assert_eq!(status(&world, port, "/more").await, 403);
    }
}

#[tokio::test]
async fn an_answer_whose_head_has_no_room_is_a_denial() {
    let upstream = downloads(10).await;
    let port = upstream.port;
    let request = get(port, "/");
    let world = World::new(&limited(port, &format!("bytes: {}", request.len() + 30))).await;
    let answer = ask(&mut world.tunnel(port).await, &request).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"budget\""), "{answer}");
    assert_eq!(told(&world, Outcome::Revoked).await.len(), 1);
}

#[tokio::test]
async fn o04_what_heads_carry_away_is_bounded() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = World::new(&limited(port, "bytes: 5000")).await;
    let path = format!("/?q={}", "s".repeat(1000));
    let mut client = world.tunnel(port).await;
    let mut answers = 0;
    while ask(&mut client, &get(port, &path)).await.starts_with("HTTP/1.1 200") {
        answers += 1;
    }
    assert!((1..5).contains(&answers), "{answers}");
    assert!(upstream.bytes().len() <= 5000, "{}", upstream.bytes().len());
}

#[tokio::test]
async fn a_body_is_cut_off_on_its_way_to_the_server() {
    // It takes all, and says nothing before it has all.
    let upstream = Upstream::http(10_000_000, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let port = upstream.port;
    let world = World::new(&limited(port, "bytes: 100000")).await;
    let mut client = world.tunnel(port).await;
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\nContent-Length: \
         1000000\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let _gone = client.write_all(&vec![b'x'; 1_000_000]).await;
    assert!(read_to_reset(&mut client).await.1);
    assert_eq!(told(&world, Outcome::Revoked).await.len(), 1);
    assert!(upstream.bytes().len() <= 100_000, "{}", upstream.bytes().len());
}

#[tokio::test]
async fn streams_are_reset_when_bytes_are_used_up() {
    let (upstream, mut coming) = streams::server(10, false).await;
    let port = upstream.port;
    let world = World::new(&limited(port, "bytes: 200000")).await;
    let mut requests = streams::open(&world, port).await;
    let (response, _) = requests.send_request(streams::post(port, "/down"), true).unwrap();
    let (_request, mut answer) = streams::next(&mut coming).await;
    let mut down = answer.send_response(Response::new(()), false).unwrap();
    down.send_data(Bytes::from(vec![b'x'; 1_000_000]), true).unwrap();
    let cut = whole(response.await.unwrap().into_body()).await.unwrap_err();
    assert!(cut.is_reset(), "{cut:?}");
    let told = told(&world, Outcome::Revoked).await;
    assert_eq!((told.len(), predicate(&told[0]), told[0].path.as_str()), (1, "budget", "/down"));
}

#[tokio::test]
async fn a_stream_that_sends_too_much_is_told() {
    let (upstream, mut coming) = streams::server(10, false).await;
    let port = upstream.port;
    let world = World::new(&limited(port, "bytes: 50000")).await;
    let mut requests = streams::open(&world, port).await;
    let (response, mut up) = requests.send_request(streams::post(port, "/up"), false).unwrap();
    up.send_data(Bytes::from(vec![b'x'; 200_000]), true).unwrap();
    let (request, _answer) = streams::next(&mut coming).await;
    let response = timeout(Duration::from_secs(30), response).await.unwrap().unwrap();
    assert_eq!(response.status(), 403);
    let mut body = request.into_body();
    let mut came = 0;
    let end = loop {
        match timeout(Duration::from_secs(30), body.data()).await.unwrap() {
            Some(Ok(data)) => came += data.len(),
            Some(Err(error)) => break error,
            None => panic!("what was cut off was ended"),
        }
    };
    assert!(end.is_reset() && came <= 50_000, "{end:?} {came}");
    assert_eq!(told(&world, Outcome::Revoked).await.len(), 1);
}

#[tokio::test]
async fn messages_count_and_a_websocket_is_closed_when_they_are_used_up() {
    const TALK: &str = "protocol: websocket, path: /ws, access: full";
    let upstream = websocket::echo("").await;
    let port = upstream.port;
    let world =
        World::new(&websocket::endpoint(port, &format!("{TALK}, budget: {{ requests: 3 }}"))).await;
    let mut client = websocket::open(&world, port, "").await;
    for word in ["one", "two"] {
        client.write_all(&websocket::text(word)).await.unwrap();
        assert_eq!(websocket::frame(&mut client).await.1, word.as_bytes());
    }
    client.write_all(&websocket::text("three")).await.unwrap();
    websocket::closed(&mut client, 1008).await;
    assert!(!upstream.bytes().contains("three"));
    let denied = told(&world, Outcome::Denied).await;
    assert_eq!((denied.len(), predicate(&denied[0])), (1, "budget"));
    assert_eq!(denied[0].method, "WEBSOCKET_TEXT");
}

#[tokio::test]
async fn a_websocket_is_closed_when_its_bytes_are_used_up() {
    const TALK: &str = "protocol: websocket, path: /ws, access: full";
    let upstream = websocket::echo("").await;
    let port = upstream.port;
    let world =
        World::new(&websocket::endpoint(port, &format!("{TALK}, budget: {{ bytes: 2000 }}"))).await;
    let mut client = websocket::open(&world, port, "").await;
    let mut message = Vec::new();
    encode::to_server(&Message::Text("m".repeat(100)), [1, 2, 3, 4], &mut message);
    let mut answered = 0;
    let code = loop {
        client.write_all(&message).await.unwrap();
        match websocket::frame(&mut client).await {
            (0x81, _) => answered += 1,
            (0x88, payload) => break u16::from_be_bytes([payload[0], payload[1]]),
            other => panic!("{other:?}"),
        }
        assert!(answered < 20);
    };
    assert_eq!(code, 1008);
    let cut = told(&world, Outcome::Revoked).await;
    assert_eq!((cut.len(), predicate(&cut[0]), cut[0].path.as_str()), (1, "budget", "/ws"));
}
