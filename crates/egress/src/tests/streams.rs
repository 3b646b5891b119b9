//! What a hostile client, or server, tries with the streams of HTTP/2. No TLS carries them here:
//! they are judged in the same place.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::requests::rest;
use super::world::*;

const RULES: &str = "rules: [{ allow: { method: POST, path: /a/** } }]";

pub(super) type Came = (Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

/// A server that takes so many streams at once and hands them to the test; after each it says
/// goodbye, if it is told to.
pub(super) async fn server(
    streams: u32,
    says_goodbye: bool,
) -> (Upstream, mpsc::UnboundedReceiver<Came>) {
    let (came, coming) = mpsc::unbounded_channel();
    let upstream = Upstream::serve(move |stream, _| {
        let came = came.clone();
        async move {
            let mut builder = h2::server::Builder::new();
            let handshake = builder.max_concurrent_streams(streams).handshake(stream);
            let mut connection = handshake.await.unwrap();
            while let Some(Ok(one)) = connection.accept().await {
                let _ = came.send(one);
                if says_goodbye {
                    connection.graceful_shutdown();
                }
            }
        }
    })
    .await;
    (upstream, coming)
}

pub(super) async fn open(world: &World, port: u16) -> SendRequest<Bytes> {
    let (requests, connection) = h2::client::handshake(world.tunnel(port).await).await.unwrap();
    tokio::spawn(connection);
    let requests = requests.ready().await.unwrap();
    // The settings of the server, before any stream.
    sleep(Duration::from_millis(50)).await;
    requests
}

pub(super) fn post(port: u16, path: &str) -> Request<()> {
    let uri = format!("http://host.openshell.internal:{port}{path}");
    Request::builder().method("POST").uri(uri).body(()).unwrap()
}

pub(super) async fn next(coming: &mut mpsc::UnboundedReceiver<Came>) -> Came {
    timeout(Duration::from_secs(5), coming.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn e03_trailers_carry_nothing_past_the_judge() {
    let (upstream, mut coming) = server(10, false).await;
    let world = World::new(&rest(upstream.port, RULES)).await;
    let mut requests = open(&world, upstream.port).await;
    let (response, mut up) = requests.send_request(post(upstream.port, "/a/b"), false).unwrap();
    up.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-http-method-override", "DELETE".parse().unwrap());
    trailers.insert("host", "evil.example.com".parse().unwrap());
    up.send_trailers(trailers).unwrap();
    let (request, mut answer) = next(&mut coming).await;
    let mut body = request.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "abc");
    while let Some(data) = body.data().await {
        assert!(data.unwrap().is_empty());
    }
    assert_eq!(body.trailers().await.unwrap(), None);

    let mut down = answer.send_response(Response::new(()), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("alt-svc", "h3=\":443\"".parse().unwrap());
    trailers.insert("x-openshell-policy", "denied".parse().unwrap());
    down.send_trailers(trailers).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &"0".parse().unwrap()));
}

#[tokio::test]
async fn f03_two_lengths_are_none() {
    let (upstream, mut coming) = server(10, false).await;
    let world = World::new(&rest(upstream.port, RULES)).await;
    for lengths in [&["3", "0"][..], &["3", "3"], &["", "3"]] {
        let mut requests = open(&world, upstream.port).await;
        let mut request = post(upstream.port, "/a/b");
        for length in lengths {
            request.headers_mut().append("content-length", length.parse().unwrap());
        }
        let Ok((response, mut up)) = requests.send_request(request, false) else { continue };
        let _ = up.send_data(Bytes::from_static(b"abc"), true);
        if let Ok(response) = response.await {
            assert_eq!(response.status(), 400, "{lengths:?}");
        }
    }
    assert!(coming.try_recv().is_err());
}

#[tokio::test]
async fn e10_a_stream_that_waits_for_room_does_not_outlive_its_rule() {
    let (upstream, mut coming) = server(1, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut requests = open(&world, port).await;
    // The first tells that there is room for one.
    let (first, _) = requests.send_request(post(port, "/a/1"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    answer.send_response(Response::new(()), true).unwrap();
    first.await.unwrap();
    let mut requests = requests.ready().await.unwrap();
    let (_second, _) = requests.send_request(post(port, "/a/2"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let mut requests = requests.ready().await.unwrap();
    let (third, _) = requests.send_request(post(port, "/a/3"), true).unwrap();
    sleep(Duration::from_millis(200)).await;
    world.enforce(&rest(port, "rules: [{ allow: { method: POST, path: /b/** } }]"));
    sleep(Duration::from_millis(100)).await;
    answer.send_response(Response::new(()), true).unwrap();
    let third = timeout(Duration::from_secs(5), third).await.unwrap().unwrap();
    assert_eq!(third.status(), 403);
    sleep(Duration::from_millis(300)).await;
    assert!(coming.try_recv().is_err(), "what is not allowed any more was sent");
}

#[tokio::test]
async fn a_goodbye_of_the_server_cuts_no_stream_off() {
    let (upstream, mut coming) = server(10, true).await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut requests = open(&world, port).await;
    let (first, _) = requests.send_request(post(port, "/a/1"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let mut down = answer.send_response(Response::new(()), false).unwrap();
    let mut body = first.await.unwrap().into_body();
    sleep(Duration::from_millis(200)).await;
    let mut requests = requests.ready().await.unwrap();
    let (second, _) = requests.send_request(post(port, "/a/2"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    answer.send_response(Response::new(()), true).unwrap();
    assert_eq!(second.await.unwrap().status(), 200);
    assert_eq!(upstream.connections(), 2);
    down.send_data(Bytes::from_static(b"whole"), true).unwrap();
    let data = timeout(Duration::from_secs(5), body.data()).await.unwrap();
    assert_eq!(data.unwrap().unwrap(), "whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_streams_that_are_taken_back_do_not_pile_up() {
    // A server that never says a word.
    let upstream = Upstream::serve(|_stream, _| std::future::pending()).await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut requests = open(&world, port).await;
    let mut sent = 0_usize;
    for number in 0..3000 {
        let Ok(ready) = requests.clone().ready().await else { break };
        requests = ready;
        let mut request = post(port, "/a/b");
        request.headers_mut().insert("x-big", "x".repeat(8000).parse().unwrap());
        let Ok((_response, mut up)) = requests.send_request(request, false) else { break };
        sent += 1;
        // Some are judged before they are taken back, some are not.
        if number % 20 == 0 {
            sleep(Duration::from_millis(2)).await;
        }
        up.send_reset(h2::Reason::CANCEL);
    }
    println!("{sent} streams were sent and taken back");
    // Others are served meanwhile.
    let (other, mut coming) = server(10, false).await;
    world.enforce(&format!("{}, {}", rest(port, RULES), rest(other.port, RULES)));
    let mut requests = open(&world, other.port).await;
    let (response, _) = requests.send_request(post(other.port, "/a/1"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    answer.send_response(Response::new(()), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}
