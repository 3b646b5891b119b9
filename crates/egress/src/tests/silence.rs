//! Answers of which nothing comes for hours. The clock is ours once the request has arrived.

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, pause, sleep};

use super::requests::rest;
use super::streams::{next, open, post, server};
use super::world::*;

/// Longer than all that a client or an idle connection is given.
const HOURS: Duration = Duration::from_secs(3 * 3600);

/// Reads until these words came.
async fn until(client: &mut TcpStream, words: &str) {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(words) {
        let read = client.read_buf(&mut bytes).await;
        assert!(matches!(read, Ok(1..)), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn f10_an_answer_of_http1_may_be_silent_for_hours() {
    let (arrived, arrives) = oneshot::channel();
    let arrived = std::sync::Mutex::new(Some(arrived));
    let upstream = Upstream::serve(move |mut stream, _| {
        let arrived = arrived.lock().unwrap().take().expect("one connection");
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            arrived.send(()).unwrap();
            sleep(HOURS).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\ndata: one\n\n").await.unwrap();
            sleep(HOURS).await;
            stream.write_all(b"data: two\n\n").await.unwrap();
        }
    })
    .await;
    let world = World::new(&rest(upstream.port, "access: read-only")).await;
    let mut client = world.tunnel(upstream.port).await;
    let request =
        format!("GET / HTTP/1.1\r\nHost: host.openshell.internal:{}\r\n\r\n", upstream.port);
    client.write_all(request.as_bytes()).await.unwrap();
    let begun = Instant::now();
    arrives.await.unwrap();
    pause();
    until(&mut client, "one\n\n").await;
    until(&mut client, "two\n\n").await;
    assert!(begun.elapsed() >= 2 * HOURS);
}

#[tokio::test]
async fn f10_an_answer_of_http2_may_be_silent_for_hours() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, "rules: [{ allow: { method: POST, path: /a/** } }]")).await;
    let mut requests = open(&world, port).await;
    let (response, _) = requests.send_request(post(port, "/a/b"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    pause();
    let begun = Instant::now();
    tokio::spawn(async move {
        sleep(HOURS).await;
        let mut down = answer.send_response(Response::new(()), false).unwrap();
        down.send_data(Bytes::from_static(b"one"), false).unwrap();
        sleep(HOURS).await;
        down.send_data(Bytes::from_static(b"two"), true).unwrap();
    });
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "one");
    assert_eq!(body.data().await.unwrap().unwrap(), "two");
    assert!(begun.elapsed() >= 2 * HOURS);
}

#[tokio::test]
async fn f10_a_tunnel_may_be_silent_for_hours() {
    let upstream = Upstream::serve(|mut stream, _| async move {
        stream.read_u8().await.unwrap();
        sleep(HOURS).await;
        stream.write_all(b"one").await.unwrap();
    })
    .await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    let begun = Instant::now();
    client.write_all(b"x").await.unwrap();
    world.events(1).await;
    pause();
    until(&mut client, "one").await;
    assert!(begun.elapsed() >= HOURS);
}
