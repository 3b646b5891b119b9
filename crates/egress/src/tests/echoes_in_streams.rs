//! The same over HTTP/2, in messages over WebSockets, and in answers of the router's backends.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use openshell_audit::Outcome;
use openshell_types::ModelProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::credentials::{ALL, HELD, bound};
use super::credentials_in_bodies::gzip;
use super::echoes::{HERE, SECRET, alarms, one_alarm, speaker, text, told, world};
use super::inference;
use super::requests::rest;
use super::secure;
use super::streams::{next, open, post, server};
use super::websocket;
use super::world::*;

/// What comes of a body, its trailers, and whether that was its end.
async fn body(mut stream: h2::RecvStream) -> (String, Option<HeaderMap>, bool) {
    let mut all = Vec::new();
    while let Some(data) = stream.data().await {
        let Ok(data) = data else { return (text(&all), None, false) };
        let _ = stream.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    match stream.trailers().await {
        Ok(trailers) => (text(&all), trailers, true),
        Err(_) => (text(&all), None, false),
    }
}

#[tokio::test]
async fn i03_in_tls_over_http2_a_value_that_comes_back_is_masked() {
    let (upstream, ca) = secure::server(&["h2"]).await;
    let port = upstream.port;
    let world = secure::world(&upstream, ca).await;
    let given = bound(1, (HERE, port), &["query:key", "body"], SECRET);
    world.authenticate(&rest(port, ALL), given);
    let requests = secure::open(&world, port).await;
    let uri = format!("https://{HERE}:{port}/repos/a?key={HELD}");
    let mut asked = secure::request("POST", &uri);
    asked.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let said = format!(r#"{{"token":"{HELD}"}}"#);
    let answer = secure::send(&requests, asked, said.as_bytes()).await.unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(text(&answer.body), said);
    let told = answer.trailers.unwrap()["x-uri"].to_str().unwrap().to_owned();
    assert!(told.ends_with(&format!("key={}", HELD.replace('-', "%2D"))), "{told}");
    assert!(upstream.bytes().contains("live"), "{}", upstream.bytes());
    one_alarm(&world).await;
}

#[tokio::test]
async fn i03_fields_frames_and_trailers_of_a_stream_are_masked() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = world(port, &["authorization"]).await;
    let mut requests = open(&world, port).await;
    let said = format!("<{SECRET}>");
    for split in 0..=said.len() {
        let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
        let (_request, mut answer) = next(&mut coming).await;
        let head = Response::builder().header("x-echo", SECRET).header(SECRET, "");
        let head = head.body(()).unwrap();
        let mut down = answer.send_response(head, false).unwrap();
        let (one, two) = said.split_at(split);
        let has_trailers = split % 2 == 0;
        down.send_data(one.to_owned().into(), false).unwrap();
        down.send_data(two.to_owned().into(), !has_trailers).unwrap();
        if has_trailers {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-echo", SECRET.parse().unwrap());
            trailers.insert(SECRET, "1".parse().unwrap());
            down.send_trailers(trailers).unwrap();
        }
        let answer = response.await.unwrap();
        assert_eq!(answer.headers()["x-echo"], HELD);
        assert!(!answer.headers().contains_key(SECRET));
        let (told, trailers, is_whole) = body(answer.into_body()).await;
        assert!(is_whole && told == format!("<{HELD}>"), "{split}: {told}");
        assert_eq!(trailers.is_some(), has_trailers);
        assert!(trailers.is_none_or(|own| own["x-echo"] == HELD && own.len() == 1));
    }
    assert_eq!(alarms(&world).await.len(), said.len() + 1);
}

#[tokio::test]
async fn i03_a_coded_answer_of_a_stream_is_reset_before_the_value_is_whole() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = world(port, &["authorization"]).await;
    let mut requests = open(&world, port).await;
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let head = Response::builder().header("content-encoding", "gzip").body(()).unwrap();
    let mut down = answer.send_response(head, false).unwrap();
    let packed = gzip(SECRET.as_bytes());
    for part in packed.chunks(7) {
        let _ = down.send_data(Bytes::copy_from_slice(part), false);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let _ = down.send_data(Bytes::new(), true);
    let (came, _, is_whole) = body(response.await.unwrap().into_body()).await;
    assert!(!is_whole && came.len() < packed.len());
    one_alarm(&world).await;
    // And one that cannot be searched is none.
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let head = Response::builder().header("content-encoding", "compress").body(()).unwrap();
    let _down = answer.send_response(head, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 403);
}

#[tokio::test]
async fn i03_a_message_of_grpc_does_not_wait_for_the_next() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = world(port, &["authorization"]).await;
    let mut requests = open(&world, port).await;
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut down = answer.send_response(head, false).unwrap();
    let mut came = response.await.unwrap().into_body();
    for message in ["ends with s", "and sk", "and sk-"] {
        down.send_data(message.into(), false).unwrap();
        assert_eq!(came.data().await.unwrap().unwrap(), message);
    }
    down.send_data(SECRET[3..].to_owned().into(), true).unwrap();
    assert_eq!(came.data().await.unwrap().unwrap(), HELD[3..]);
    // What is longer waits for a second, in a body of any kind.
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let mut down = answer.send_response(Response::new(()), false).unwrap();
    let mut came = response.await.unwrap().into_body();
    let begun = std::time::Instant::now();
    down.send_data("and sk-live".into(), false).unwrap();
    assert_eq!(came.data().await.unwrap().unwrap(), "and ");
    assert_eq!(came.data().await.unwrap().unwrap(), "sk-live");
    assert!(begun.elapsed() >= crate::limits::ANSWER_WAITS);
    down.send_data(SECRET[7..].to_owned().into(), true).unwrap();
    assert_eq!(came.data().await.unwrap().unwrap(), HELD[7..]);
}

#[tokio::test]
async fn i03_what_a_server_says_with_its_goodbye_is_not_told() {
    let upstream = Upstream::serve(|mut stream, _| async move {
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        stream.write_all(settings).await.unwrap();
        let mut bytes = Vec::new();
        // A HEADERS frame of stream 1, with its end and the stream's.
        while !bytes.windows(6).any(|six| six == b"\x01\x05\0\0\0\x01") {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        let length = u8::try_from(8 + SECRET.len()).unwrap();
        let goodbye =
            [&[0, 0, length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], SECRET.as_bytes()];
        stream.write_all(&goodbye.concat()).await.unwrap();
        while let Ok(1..) = stream.read_buf(&mut bytes).await {}
    })
    .await;
    let port = upstream.port;
    let world = world(port, &["authorization"]).await;
    let mut requests = open(&world, port).await;
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let answer = response.await.unwrap();
    assert_eq!(answer.status(), 502);
    let (told, _, _) = body(answer.into_body()).await;
    assert!(told.contains("ended the connection") && !told.contains("live"), "{told}");
    assert!(!format!("{:?}", world.some_events().await).contains("live"));
}

#[tokio::test]
async fn i03_a_stream_that_began_before_a_value_was_bound_is_reset() {
    let (upstream, mut coming) = server(10, false).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let mut requests = open(&world, port).await;
    let (response, _) = requests.send_request(post(port, "/a"), true).unwrap();
    let (_request, mut answer) = next(&mut coming).await;
    let mut down = answer.send_response(Response::new(()), false).unwrap();
    let answer = response.await.unwrap();
    let (waiting, _) = requests.send_request(post(port, "/b"), true).unwrap();
    let (_other, _waits) = next(&mut coming).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["authorization"], SECRET));
    assert_eq!(waiting.await.unwrap().status(), 502);
    let _ = down.send_data(SECRET.into(), false);
    let (told, _, is_whole) = body(answer.into_body()).await;
    assert!(!is_whole && told.is_empty(), "{told}");
}

const TALK: &str = "protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                    { allow: { method: WEBSOCKET_TEXT } }]";

#[tokio::test]
async fn i03_messages_that_come_back_are_masked() {
    let upstream = websocket::echo("").await;
    let port = upstream.port;
    let endpoint = websocket::endpoint(port, TALK);
    let world = World::new(&endpoint).await;
    world.authenticate(&endpoint, bound(1, (HERE, port), &["message"], SECRET));
    // It would be compressed, and is not offered to be.
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut client = websocket::open(&world, port, offer).await;
    assert!(!upstream.bytes().to_lowercase().contains("deflate"), "{}", upstream.bytes());
    for said in [format!(r#"{{"token":"{HELD}"}}"#), "grün".to_owned(), String::new()] {
        client.write_all(&websocket::text(&said)).await.unwrap();
        assert_eq!(websocket::frame(&mut client).await, (0x81, said.into_bytes()));
    }
    assert!(upstream.bytes().contains("live"), "{}", upstream.bytes());
    client.write_all(&websocket::client_frame(0x82, b"\xff\0sk-l")).await.unwrap();
    assert_eq!(websocket::frame(&mut client).await, (0x82, b"\xff\0sk-l".to_vec()));
    // A server that cuts what it says into messages.
    for cut in [7, 20, 39] {
        let (one, two) = SECRET.split_at(cut);
        client.write_all(&websocket::text(one)).await.unwrap();
        let (_, first) = websocket::frame(&mut client).await;
        assert_eq!(first.len(), cut);
        client.write_all(&websocket::text(two)).await.unwrap();
        let (_, second) = websocket::frame(&mut client).await;
        assert_eq!(second.len(), two.len());
        assert!(!text(&second).contains(&two[..2]), "{cut}: {}", text(&second));
    }
    // Its value changes.
    let second = SECRET.replace("live", "next");
    world.authenticate(&endpoint, bound(2, (HERE, port), &["message"], &second));
    client.write_all(&websocket::text(HELD)).await.unwrap();
    assert_eq!(websocket::frame(&mut client).await, (0x81, HELD.as_bytes().to_vec()));
    assert!(upstream.bytes().contains("next"), "{}", upstream.bytes());
    client.write_all(&websocket::client_frame(0x89, b"p")).await.unwrap();
    assert_eq!(websocket::frame(&mut client).await, (0x8a, b"p".to_vec()));
    client.write_all(&websocket::client_frame(0x88, &1000_u16.to_be_bytes())).await.unwrap();
    websocket::closed(&mut client, 1000).await;
    one_alarm(&world).await;
}

/// A server's frames, and the text of them.
fn fragments(parts: &[&[u8]], between: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let last = if at + 1 == parts.len() { 0x80 } else { 0 };
        let opcode = if at == 0 { 1 } else { 0 };
        out.extend_from_slice(&[last | opcode, part.len().try_into().unwrap()]);
        out.extend_from_slice(part);
        out.extend_from_slice(between);
    }
    out
}

#[tokio::test]
async fn i03_a_value_over_fragments_of_a_message_is_masked() {
    let said = format!("<{SECRET}>");
    let mut cuts: Vec<Vec<usize>> = (0..=said.len()).step_by(5).map(|at| vec![at]).collect();
    cuts.push((1..said.len()).collect());
    for cut in cuts {
        let (upstream, say) = told().await;
        let port = upstream.port;
        let endpoint = websocket::endpoint(port, TALK);
        let world = World::new(&endpoint).await;
        world.authenticate(&endpoint, bound(1, (HERE, port), &["authorization"], SECRET));
        let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
                        Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        say.send(accepted.as_bytes().to_vec()).unwrap();
        let mut client = websocket::open(&world, port, "").await;
        let mut parts = Vec::new();
        let mut begin = 0;
        for end in cut.iter().copied().chain([said.len()]) {
            parts.push(&said.as_bytes()[begin..end]);
            begin = end;
        }
        let ping = [&[0x89, 41][..], SECRET.as_bytes()].concat();
        for part in fragments(&parts, &ping).chunks(11) {
            say.send(part.to_vec()).unwrap();
        }
        let (mut told, mut pings) = (Vec::new(), 0);
        loop {
            let (first, payload) = websocket::frame(&mut client).await;
            if first == 0x89 {
                assert_eq!(payload, HELD.as_bytes());
                pings += 1;
                continue;
            }
            assert_eq!(first & 0x0f, u8::from(told.is_empty()), "{cut:?}");
            told.extend_from_slice(&payload);
            if first & 0x80 != 0 {
                break;
            }
        }
        assert_eq!(text(&told), format!("<{HELD}>"), "{cut:?}");
        assert_eq!(pings, parts.len() - 1);
    }
}

/// What an agent gets of a backend that answers so.
async fn called(
    answer: impl Fn(&str) -> Vec<Vec<u8>> + Clone + Send + Sync + 'static,
) -> (World, String, String) {
    let backend = speaker(answer).await;
    let world = World::new("").await;
    let auth =
        ("authorization".to_owned(), openshell_types::Redacted::new(format!("Bearer {SECRET}")));
    let route = openshell_types::Route {
        auth: Some(auth),
        ..inference::route(ModelProtocol::OpenAi, backend.port, "")
    };
    world.route("", 1, vec![route]);
    let mut client = inference::tls(&world, "inference.local", "http/1.1").await;
    let request = inference::post("inference.local", "/v1/chat/completions", "{}");
    let request = request.replace("\r\nHost:", "\r\nConnection: close\r\nHost:");
    let told = inference::ask(&mut client, &request).await;
    (world, told, backend.bytes())
}

#[tokio::test]
async fn i03_the_key_of_a_route_is_masked_in_what_its_backend_says() {
    let (world, told, sent) = called(|head| {
        let key = head.split("authorization: Bearer ").nth(1).unwrap();
        let body = format!(r#"{{"error":"bad key {}"}}"#, key.split("\r\n").next().unwrap());
        let length = body.len();
        let head = format!(
            "HTTP/1.1 401 No\r\nX-Echo: Bearer {SECRET}\r\nContent-Length: {length}\r\n\r\n"
        );
        let (one, two) = body.split_at(30);
        vec![head.into_bytes(), one.as_bytes().to_vec(), two.as_bytes().to_vec()]
    })
    .await;
    assert!(sent.contains(SECRET) && sent.contains("accept-encoding: identity"), "{sent}");
    let stars = "*".repeat(SECRET.len());
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    assert!(told.contains(&format!("x-echo: Bearer {stars}")), "{told}");
    assert!(told.ends_with(&format!(r#"{{"error":"bad key {stars}"}}"#)), "{told}");
    let calls = inference::calls(&world.events(2).await);
    assert_eq!((calls[0].outcome, calls[0].status), (Outcome::Noted, Some(401)));
    let reason = calls[0].reason.as_ref().unwrap();
    assert_eq!(reason.predicate, "credential_echoed");
    assert!(reason.detail.contains("`own`") && !reason.detail.contains("live"));
}

#[tokio::test]
async fn i03_streamed_and_coded_answers_of_a_backend_are_searched() {
    let (_world, told, _) = called(|_| {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let mut parts = vec![head.as_bytes().to_vec(), b"data: ".to_vec()];
        parts.extend(SECRET.as_bytes().chunks(5).map(<[u8]>::to_vec));
        parts.push(b"\n\ndata: sk-".to_vec());
        parts
    })
    .await;
    assert!(!told.contains("live") && told.contains("***"), "{told}");
    assert!(told.contains("data: sk-") || told.contains("sk-\r\n"), "{told}");
    let packed = Arc::new(gzip(SECRET.as_bytes()));
    let (world, told, _) = called(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            packed.len()
        );
        vec![[head.as_bytes(), &packed].concat()]
    })
    .await;
    // The head may have passed, and nothing of the body.
    assert!(told.is_empty() || told.ends_with("\r\n\r\n"), "{told}");
    let calls = inference::calls(&world.events(2).await);
    assert_eq!(calls[0].outcome, Outcome::Denied);
    let (_, told, _) = called(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\nContent-Length: 1\r\n\r\nx";
        vec![head.as_bytes().to_vec()]
    })
    .await;
    assert!(told.starts_with("HTTP/1.1 403"), "{told}");
}
