//! Credentials over HTTP/2: in heads, and in bodies.

use bytes::Bytes;
use http::{Request, Response};
use openshell_audit::{Event, Outcome};
use tokio::sync::mpsc;

use super::credentials::{ALL, HELD, bound};
use super::credentials_in_bodies::{all_room_is_back, gzip};
use super::requests::rest;
use super::streams::{Came, next, open, post, server};
use super::world::*;

const HERE: &str = "host.openshell.internal";
const OTHER: (&str, u16) = ("other.example.com", 443);

/// Answers a request without a body, and gives it.
async fn answered_head(coming: &mut mpsc::UnboundedReceiver<Came>) -> Request<()> {
    let (request, mut answer) = next(coming).await;
    answer.send_response(Response::new(()), true).unwrap();
    request.map(|_| ())
}

/// What comes of a body, and whether that was its end.
async fn body(request: Request<h2::RecvStream>) -> (Vec<u8>, bool) {
    let mut stream = request.into_body();
    let mut all = Vec::new();
    while let Some(data) = stream.data().await {
        let Ok(data) = data else { return (all, false) };
        let _ = stream.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    let is_whole = stream.trailers().await.is_ok();
    (all, is_whole)
}

fn with(mut request: Request<()>, name: &'static str, value: &str) -> Request<()> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_value_is_put_into_the_head_of_a_stream() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let placements = ["header:x-api-key", "authorization", "query:key", "path:/bot{credential}/**"];
    let all = bound(1, (HERE, port), &placements, "re/al");
    world.authenticate(&rest(port, ALL), all);
    let mut requests = open(&world, port).await;
    let query = format!("/a?x=1&key={HELD}&y=2");
    for (request, name, value, target) in [
        (with(post(port, "/a"), "x-api-key", HELD), "x-api-key", "re/al", "/a"),
        (
            with(post(port, "/a"), "authorization", &format!("Bearer {HELD}")),
            "authorization",
            "Bearer re/al",
            "/a",
        ),
        (post(port, &query), "", "", "/a?x=1&key=re%2Fal&y=2"),
        (post(port, &format!("/bot{HELD}/say")), "", "", "/botre%2Fal/say"),
    ] {
        let (response, _) = requests.send_request(request, true).unwrap();
        let came = answered_head(&mut coming).await;
        assert_eq!(response.await.unwrap().status(), 200);
        assert_eq!(came.uri().path_and_query().unwrap(), target);
        if !name.is_empty() {
            assert_eq!(came.headers()[name], value);
        }
        assert!(!format!("{came:?}").contains("sk-"), "{came:?}");
    }
    // And where it does not belong it is denied.
    for request in [
        with(post(port, "/a"), "x-other", HELD),
        post(port, &format!("/a?other={HELD}")),
        post(port, &format!("/{HELD}")),
    ] {
        let (response, _) = requests.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 403);
    }
    assert!(coming.try_recv().is_err());
}

#[tokio::test]
async fn i07_a_placeholder_is_found_however_its_frames_are_cut() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut requests = open(&world, port).await;
    let said = format!("a={HELD}!");
    let mut cases: Vec<(Request<()>, Vec<Bytes>)> = (0..=said.len())
        .map(|split| {
            let (one, two) = said.split_at(split);
            (post(port, "/a"), [one, two].map(|part| part.to_owned().into()).to_vec())
        })
        .collect();
    cases.push((post(port, "/a"), said.bytes().map(|byte| vec![byte].into()).collect()));
    cases.push((with(post(port, "/a"), "content-encoding", "gzip"), {
        let packed = gzip(said.as_bytes());
        packed.chunks(9).map(Bytes::copy_from_slice).collect()
    }));
    let count = cases.len();
    for (at, (request, parts)) in cases.into_iter().enumerate() {
        let (response, mut up) = requests.send_request(request, false).unwrap();
        let last = parts.len() - 1;
        for (number, part) in parts.into_iter().enumerate() {
            // Half of them end with an empty frame, the others with trailers.
            let _ = up.send_data(part, at % 2 == 0 && number == last);
        }
        if at % 2 == 1 {
            let _ = up.send_trailers(http::HeaderMap::new());
        }
        let (request, _answer) = next(&mut coming).await;
        let (seen, is_whole) = body(request).await;
        assert!(!is_whole && b"a=".starts_with(&seen), "{at}: {}", String::from_utf8_lossy(&seen));
        assert_eq!(response.await.unwrap().status(), 403, "{at}");
    }
    let events = world.some_events().await;
    let denied = events.iter().filter(|event| {
        matches!(event, Event::Http(http) if http.outcome == Outcome::Denied
            && http.reason.as_ref().unwrap().predicate == "credential_elsewhere")
    });
    assert_eq!(denied.count(), count);
}

#[tokio::test]
async fn i07_an_answer_of_a_stream_that_has_begun_is_broken_off() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut requests = open(&world, port).await;
    let (response, mut up) = requests.send_request(post(port, "/a"), false).unwrap();
    let (request, mut answer) = next(&mut coming).await;
    let mut down = answer.send_response(Response::new(()), false).unwrap();
    down.send_data(Bytes::from_static(b"begun"), false).unwrap();
    let mut answered = response.await.unwrap().into_body();
    assert_eq!(answered.data().await.unwrap().unwrap(), "begun");
    up.send_data(HELD.into(), true).unwrap();
    let (seen, is_whole) = body(request).await;
    assert!(seen.is_empty() && !is_whole, "{}", String::from_utf8_lossy(&seen));
    assert!(answered.data().await.unwrap().is_err());
    let events = world.some_events().await;
    let Some(Event::Http(last)) = events.last() else { panic!("{events:?}") };
    assert_eq!(last.outcome, Outcome::Denied);
    // The connection goes on.
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    answered_head(&mut coming).await;
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn messages_of_a_stream_are_not_held_back() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut requests = open(&world, port).await;
    let call = with(post(port, "/a.B/C"), "content-type", "application/grpc");
    let (_response, mut up) = requests.send_request(call, false).unwrap();
    // Its last letters are the first of a placeholder, and no more of it comes.
    up.send_data(Bytes::from_static(b"a task-"), false).unwrap();
    let (request, _answer) = next(&mut coming).await;
    let mut body = request.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "a task-");
    up.send_data(Bytes::from_static(b"sk-test-PLACE"), false).unwrap();
    up.send_data(Bytes::from_static(b" and"), true).unwrap();
    let mut rest = Vec::new();
    while let Some(data) = body.data().await {
        rest.extend_from_slice(&data.unwrap());
    }
    assert_eq!(rest, b"sk-test-PLACE and");
}

#[tokio::test]
async fn a_value_is_put_into_the_body_of_a_stream() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["body"], "re\"al"));
    let mut requests = open(&world, port).await;
    let json = format!(r#"{{"token":"{HELD}"}}"#);
    let plain = || with(post(port, "/a"), "content-type", "application/json");
    let coded = with(plain(), "content-encoding", "gzip");
    let stated = with(plain(), "content-length", &json.len().to_string());
    for (request, said) in [
        (plain(), json.clone().into_bytes()),
        (stated, json.clone().into_bytes()),
        (coded, gzip(json.as_bytes())),
    ] {
        let (response, mut up) = requests.send_request(request, false).unwrap();
        up.send_data(said[..12].to_vec().into(), false).unwrap();
        up.send_data(said[12..].to_vec().into(), true).unwrap();
        let (request, mut answer) = next(&mut coming).await;
        assert!(!request.headers().contains_key("content-encoding"));
        let length = request.headers()["content-length"].clone();
        let (seen, is_whole) = body(request).await;
        assert_eq!((seen.as_slice(), is_whole), (&br#"{"token":"re\"al"}"#[..], true));
        assert_eq!(length, seen.len().to_string());
        answer.send_response(Response::new(()), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    }
    let (response, mut up) = requests.send_request(post(port, "/a"), false).unwrap();
    up.send_data(HELD.into(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 403);
    // The head goes up, and nothing that it announces.
    let (seen, is_whole) = body(next(&mut coming).await.0).await;
    assert!(seen.is_empty() && !is_whole, "{}", String::from_utf8_lossy(&seen));
    // What was sent is soon over, and can be replaced.
    let before = world.authenticate(&rest(port, ALL), bound(2, (HERE, port), &["body"], "second"));
    tokio::time::timeout(std::time::Duration::from_secs(30), before.over()).await.unwrap();
}

#[tokio::test]
async fn n06_a_coded_body_of_a_stream_gives_its_room_back_when_it_was_sent() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut requests = open(&world, port).await;
    let request = with(post(port, "/a"), "content-encoding", "gzip");
    let (_response, mut up) = requests.send_request(request, false).unwrap();
    let packed = gzip(b"nothing");
    up.send_data(packed.clone().into(), true).unwrap();
    let (request, _answer) = next(&mut coming).await;
    assert_eq!(body(request).await, (packed, true));
    // The server says nothing to it.
    let back = all_room_is_back(&world);
    tokio::time::timeout(std::time::Duration::from_secs(10), back).await.unwrap();
}
