//! What calls share: connections to backends, and room for bodies. One that is slow keeps no other
//! from it.

use bytes::Bytes;
use h2::client::SendRequest;

use super::super::secure::{NAME, acceptor};
use super::*;

/// Octets of a long answer.
const LONG: usize = 4 * 1024 * 1024;

/// A backend that speaks HTTP/2: a call that says `long` gets a long answer.
async fn http2() -> (Upstream, World) {
    let (acceptor, ca_file) = acceptor(&["h2"]);
    let backend = Upstream::serve(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut answer))) = connection.accept().await {
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let mut asked = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        asked.extend_from_slice(&data);
                    }
                    let is_long = String::from_utf8_lossy(&asked).contains("long");
                    let length = if is_long { LONG } else { 2 };
                    let head = http::Response::new(());
                    let mut down = answer.send_response(head, false).unwrap();
                    down.send_data(Bytes::from(vec![b' '; length]), true).unwrap();
                    let _ = std::future::poll_fn(|polling| down.poll_reset(polling)).await;
                });
            }
        }
    })
    .await;
    let world = World::with("", Options { ca_file: Some(ca_file), ..Options::default() }).await;
    let base = BaseUrl::parse(&format!("https://{NAME}:{}/v1", backend.port)).unwrap();
    let route = Route { base, ..route(ModelProtocol::Anthropic, backend.port, "real") };
    world.route("", 1, vec![route]);
    (backend, world)
}

async fn connection(world: &World) -> SendRequest<Bytes> {
    let client = tls(world, "inference.local", "h2").await;
    let (client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

/// The status and the body of a call, of which the caller reads nothing yet.
async fn asks(client: &SendRequest<Bytes>, body: &'static str) -> (u16, h2::RecvStream) {
    let mut client = client.clone().ready().await.unwrap();
    let request = http::Request::post("https://inference.local/v1/messages").body(()).unwrap();
    let (answer, mut sent) = client.send_request(request, false).unwrap();
    sent.send_data(body.into(), true).unwrap();
    let answer = timeout(Duration::from_secs(10), answer).await.expect("an answer").unwrap();
    (answer.status().as_u16(), answer.into_body())
}

/// How many octets come.
async fn read(mut body: h2::RecvStream) -> usize {
    let mut octets = 0;
    while let Some(data) = timeout(Duration::from_secs(10), body.data()).await.expect("more") {
        octets += data.unwrap().len();
    }
    octets
}

#[tokio::test]
async fn n02_answers_that_nobody_reads_keep_no_other_from_theirs() {
    let (backend, world) = http2().await;
    let slow = connection(&world).await;
    let other = connection(&world).await;
    let mut unread = Vec::new();
    for (calls, connections) in [(limits::WIRE_CALLS - 1, 1), (limits::WIRE_CALLS + 6, 2)] {
        while unread.len() < calls {
            unread.push(asks(&slow, r#"{"x":"long"}"#).await);
        }
        // As much comes as there is room for.
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..3 {
            let (status, body) = asks(&other, "{}").await;
            assert_eq!((status, read(body).await), (200, 2));
        }
        // Over a connection of so many calls there goes no other.
        assert_eq!(backend.connections(), connections);
    }
}

#[tokio::test]
async fn n01_calls_over_http2_are_bounded_over_all_connections() {
    let (backend, world) = http2().await;
    let places = Arc::clone(world.egress.context().backends.calls());
    let most = u32::try_from(limits::BACKEND_CALLS - 1).unwrap();
    let _others = places.acquire_many(most).await.unwrap();
    let (slow, client) = (connection(&world).await, connection(&world).await);
    let (status, unread) = asks(&slow, r#"{"x":"long"}"#).await;
    assert_eq!(status, 200);
    let (status, body) = asks(&client, "{}").await;
    assert_eq!(status, 502);
    assert!(read(body).await > 0);
    drop(unread);
    while places.available_permits() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asks(&client, "{}").await.0, 200);
    assert!(backend.connections() >= 1);
}

/// How many KiB of bodies are held.
fn taken(world: &World) -> usize {
    limits::BODIES - world.egress.context().bodies.available_permits()
}

#[tokio::test]
async fn n06_slow_senders_hold_room_for_what_they_sent_and_no_more() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut slow = Vec::new();
    for field in [
        "Transfer-Encoding: chunked",
        "Content-Length: 33554432",
        "Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
    ] {
        for _ in 0..4 {
            let mut client = world.transparent_to("inference.local", 80).await;
            let head = "POST /v1/messages HTTP/1.1\r\nHost: inference.local\r\n";
            let begun = format!("{head}{field}\r\n\r\n8\r\n12345678\r\n");
            client.write_all(begun.as_bytes()).await.unwrap();
            slow.push(client);
        }
    }
    let each = limits::BODY_FIRST / 1024;
    let all = async {
        while taken(&world) < slow.len() * each {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), all).await.unwrap();
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let request = post("inference.local", "/v1/messages", "{}");
    let answer = timeout(Duration::from_secs(5), ask(&mut client, &request)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(taken(&world), slow.len() * each);
}

#[tokio::test]
async fn n06_bodies_that_wait_for_each_others_room_are_given_up() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let bodies = Arc::clone(&world.egress.context().bodies);
    let most = u32::try_from(limits::BODIES - 128).unwrap();
    let others = bodies.acquire_many(most).await.unwrap();
    let body = format!(r#"{{"x":"{}"}}"#, "y".repeat(300_000));
    let request = post("inference.local", "/v1/messages", &body);
    let mut client = world.transparent_to("inference.local", 80).await;
    client.write_all(request.as_bytes()).await.unwrap();
    while bodies.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let answer = timeout(2 * limits::BODY_ROOM, ask(&mut client, "")).await.unwrap();
    tokio::time::resume();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("try again"), "{answer}");
    assert_eq!(bodies.available_permits(), 128);
    drop(others);
    let mut client = world.transparent_to("inference.local", 80).await;
    let answer = ask(&mut client, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(bodies.available_permits(), limits::BODIES);
}
