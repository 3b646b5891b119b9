//! Credentials in the bodies of HTTP/1: where a placeholder is denied, where it passes, and where a
//! value takes its place.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use flate2::write::GzEncoder;
use openshell_audit::{Event, Http, Outcome};
use openshell_codec::http1::{Body, ChunkedReader, RequestHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, pause, timeout};

use super::credentials::{ALL, HELD, bound};
use super::requests::{mirror, rest};
use super::world::*;
use crate::limits;

const HERE: &str = "host.openshell.internal";
const OTHER: (&str, u16) = ("other.example.com", 443);

/// A server that reads, and says nothing.
async fn silent() -> Upstream {
    Upstream::serve(|mut stream, seen| async move {
        let mut bytes = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut bytes).await {
            seen.lock().unwrap().1.append(&mut bytes);
        }
    })
    .await
}

/// A server that answers when what it read ends so.
async fn until(end: &'static [u8]) -> Upstream {
    Upstream::serve(move |mut stream, seen| async move {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) && matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {}
        seen.lock().unwrap().1.append(&mut bytes);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    })
    .await
}

/// The body of a request that came in chunks.
fn dechunked(bytes: &[u8]) -> Vec<u8> {
    let (head, length) = RequestHead::parse(bytes).unwrap().unwrap();
    assert_eq!(head.body, Body::Chunked);
    let (mut reader, mut rest, mut out) = (ChunkedReader::new(), &bytes[length..], Vec::new());
    loop {
        let chunk = reader.read(rest).unwrap();
        out.extend_from_slice(chunk.data);
        rest = &rest[chunk.consumed..];
        if chunk.done {
            return out;
        }
    }
}

async fn world(port: u16) -> World {
    World::new(&rest(port, ALL)).await
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn head(port: u16, fields: &str) -> String {
    format!("POST /up HTTP/1.1\r\nHost: {HERE}:{port}\r\nConnection: close\r\n{fields}\r\n")
}

fn whole(port: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("{fields}Content-Length: {}\r\n", body.len());
    [head(port, &length).as_bytes(), body].concat()
}

fn chunked(port: u16, fields: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = head(port, &format!("{fields}Transfer-Encoding: chunked\r\n")).into_bytes();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Sends a request over a connection of its own, and reads all that comes.
async fn answer(world: &World, port: u16, request: &[u8]) -> String {
    let mut client = world.tunnel(port).await;
    client.write_all(request).await.unwrap();
    read_all(&mut client).await
}

fn is_denied(answer: &str, predicate: &str) {
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains(predicate), "{answer}");
}

async fn told(world: &World) -> Vec<(Outcome, String)> {
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    let events = world.some_events().await.into_iter().filter_map(http);
    let predicate = |http: &Http| {
        http.reason.as_ref().map(|reason| reason.predicate.clone()).unwrap_or_default()
    };
    events.map(|http| (http.outcome, predicate(&http))).collect()
}

#[tokio::test]
async fn i07_a_placeholder_is_found_however_its_chunks_are_cut() {
    let upstream = silent().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let body = format!("a={HELD}&b=c");
    for split in 0..=body.len() {
        let (one, two) = body.as_bytes().split_at(split);
        let answer = answer(&world, port, &chunked(port, "", &[one, two])).await;
        is_denied(&answer, "credential_endpoint_mismatch");
    }
    let each: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    is_denied(&answer(&world, port, &chunked(port, "", &each)).await, "the body");
    is_denied(&answer(&world, port, &whole(port, "", body.as_bytes())).await, "the body");
    let packed = base64::prelude::BASE64_STANDARD.encode(&body);
    is_denied(&answer(&world, port, &whole(port, "", packed.as_bytes())).await, "the body");
    let told = told(&world).await;
    let seen = upstream.bytes();
    assert!(!seen.contains("sk-") && !seen.contains("0\r\n\r\n"), "{seen}");
    assert!(seen.contains("POST /up"), "{seen}");
    let denied = (Outcome::Denied, "credential_elsewhere".to_owned());
    assert_eq!(told.len(), 2 * (body.len() + 4));
    let pair = [(Outcome::Allowed, String::new()), denied];
    assert!(told.chunks(2).all(|own| own == pair), "{told:?}");
}

#[tokio::test]
async fn i07_a_body_that_was_read_to_be_judged_is_searched_before_anything_is_sent() {
    let upstream = silent().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let request = whole(port, form, format!("a={HELD}").as_bytes());
    is_denied(&answer(&world, port, &request).await, "credential_endpoint_mismatch");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(told(&world).await, [(Outcome::Denied, "credential_elsewhere".to_owned())]);
}

#[tokio::test]
async fn i02_to_the_server_of_its_credential_a_placeholder_passes_as_it_is() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["header:x-api-key"], "real"));
    let body = format!(r#"{{"messages":["KEY={HELD}"]}}"#);
    let fields = "Content-Type: application/json\r\n";
    let answer = answer(&world, port, &whole(port, fields, body.as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(upstream.bytes().ends_with(&format!("\r\n\r\n{body}")), "{}", upstream.bytes());
}

#[tokio::test]
async fn what_has_no_placeholder_passes_as_it_came() {
    let mut body = format!("{} {} sk-", &HELD[..20], &HELD[..HELD.len() - 1]).into_bytes();
    body.extend((0..300_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]));
    body.extend_from_slice(b"sk-test");
    let upstream = until(b"0\r\n\r\n").await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let (one, two) = body.split_at(25);
    let (one, two) = (one, two.split_at(100_000));
    let sent = chunked(port, "", &[one, two.0, two.1]);
    let answered = answer(&world, port, &sent).await;
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    assert_eq!(dechunked(&upstream.raw()), body);
    let upstream = until(b"sk-test").await;
    let port = upstream.port;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let answered = answer(&world, port, &whole(port, "", &body)).await;
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    assert!(upstream.raw().ends_with(&body));
}

#[tokio::test]
async fn i07_a_coded_body_is_searched_decoded() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = world(port).await;
    let coded = |body: &[u8]| whole(port, "Content-Encoding: gzip\r\n", body);
    let found = gzip(format!("a={HELD}").as_bytes());
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    is_denied(&answer(&world, port, &coded(&found)).await, "credential_endpoint_mismatch");
    let (one, two) = found.split_at(20);
    let parts = chunked(port, "Content-Encoding: gzip\r\n", &[one, two]);
    is_denied(&answer(&world, port, &parts).await, "credential_endpoint_mismatch");
    // One that says to be coded, and is not.
    is_denied(&answer(&world, port, &coded(HELD.as_bytes())).await, "credential_endpoint_mismatch");
    assert!(!upstream.raw().windows(4).any(|four| four == &found[..4]), "{}", upstream.bytes());
    // What nobody can decode goes to a server without credentials as it came.
    let bomb = gzip(&vec![0; 1 << 20]);
    for body in [&b"no gzip"[..], &bomb, &gzip(b"nothing")] {
        let answer = answer(&world, port, &coded(body)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(upstream.raw().ends_with(body));
    }
    // And not to one with a credential, where its own placeholder passes.
    world.authenticate(&rest(port, ALL), bound(2, (HERE, port), &["header:x-api-key"], "real"));
    for body in [&b"no gzip"[..], &bomb] {
        is_denied(&answer(&world, port, &coded(body)).await, "cannot be searched");
    }
    let answer = answer(&world, port, &coded(&found)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(upstream.raw().ends_with(&found));
}

#[tokio::test]
async fn i07_a_coded_body_that_is_too_long_goes_to_servers_without_credentials_alone() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = world(port).await;
    let noise = noise(limits::SEARCHED + 4);
    let request = whole(port, "Content-Encoding: br\r\n", &noise);
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["header:x-api-key"], "real"));
    let mut client = world.tunnel(port).await;
    // The end may not be taken any more; what comes of that is looked at.
    drop(client.write_all(&request).await);
    let answered = read_all(&mut client).await;
    assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 403 "), "{answered}");
    assert_eq!(told(&world).await[1], (Outcome::Denied, "credential_unread".to_owned()));
    world.authenticate(&rest(port, ALL), bound(2, OTHER, &["authorization"], "real"));
    let answered = answer(&world, port, &request).await;
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    assert!(upstream.raw().ends_with(&noise));
}

/// Octets that no coding makes shorter.
fn noise(octets: usize) -> Vec<u8> {
    let words =
        (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes());
    words.take(octets).collect()
}

/// Waits until no body takes room.
pub(super) async fn all_room_is_back(world: &World) {
    let all = u32::try_from(limits::BODIES).unwrap();
    let room = world.egress.context().bodies.acquire_many(all);
    drop(timeout(Duration::from_secs(600), room).await.unwrap().unwrap());
}

/// How much room bodies take, as soon as they take some, in KiB.
async fn room_taken(world: &World) -> usize {
    loop {
        let taken = limits::BODIES - world.egress.context().bodies.available_permits();
        if taken > 0 {
            return taken;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn n06_a_coded_body_gives_its_room_back_when_it_was_sent() {
    let upstream = silent().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut client = world.tunnel(port).await;
    let body = gzip(b"nothing");
    client.write_all(&whole(port, "Content-Encoding: gzip\r\n", &body)).await.unwrap();
    while !upstream.raw().ends_with(&body) {
        tokio::task::yield_now().await;
    }
    // The server says nothing to it, and the client waits.
    timeout(Duration::from_secs(10), all_room_is_back(&world)).await.unwrap();
    client.write_all(b"").await.unwrap();
}

#[tokio::test]
async fn n06_a_coded_body_that_does_not_come_in_time_is_broken_off() {
    let upstream = silent().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut client = world.tunnel(port).await;
    let request = whole(port, "Content-Encoding: gzip\r\n", &gzip(b"nothing"));
    client.write_all(&request[..request.len() - 1]).await.unwrap();
    assert!(room_taken(&world).await >= limits::SEARCHED / 1024);
    let begun = Instant::now();
    pause();
    // It is reset, and nothing is said.
    let mut said = Vec::new();
    drop(client.read_to_end(&mut said).await);
    assert!(said.is_empty(), "{said:?}");
    assert!(begun.elapsed() < 2 * limits::BODY_TIMEOUT, "{:?}", begun.elapsed());
    all_room_is_back(&world).await;
}

#[tokio::test]
async fn n06_a_server_that_does_not_read_keeps_no_room_for_long() {
    let upstream = Upstream::serve(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut client = world.tunnel(port).await;
    let body = noise(limits::SEARCHED - 1);
    client.write_all(&whole(port, "Content-Encoding: gzip\r\n", &body)).await.unwrap();
    assert!(room_taken(&world).await >= limits::SEARCHED / 1024);
    let begun = Instant::now();
    pause();
    all_room_is_back(&world).await;
    assert!(begun.elapsed() < 3 * limits::BODY_TIMEOUT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_value_is_put_into_a_body_that_says_what_it_is() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["body"], "re\"al&"));
    let json = format!(r#"{{"token":"{HELD}"}}"#);
    let (one, two) = json.as_bytes().split_at(15);
    let coded = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let plain = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let sent = r#"{"token":"re\"al&"}"#;
    for (request, sent) in [
        (whole(port, plain, json.as_bytes()), sent),
        (chunked(port, plain, &[one, two]), sent),
        (whole(port, coded, &gzip(json.as_bytes())), sent),
        (whole(port, form, format!("a=b&token={HELD}").as_bytes()), "a=b&token=re%22al%26"),
        (whole(port, "Content-Type: text/plain\r\n", HELD.as_bytes()), "re\"al&"),
        (whole(port, plain, b"[1, 2]"), "[1, 2]"),
    ] {
        let answer = answer(&world, port, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let seen = upstream.bytes();
        let (head, body) = seen.rsplit_once("\r\n\r\n").unwrap();
        assert_eq!(body, sent);
        let head = head.rsplit("POST ").next().unwrap().to_lowercase();
        assert!(head.contains(&format!("content-length: {}", sent.len())), "{head}");
        assert!(!head.contains("encoding"), "{head}");
    }
}

#[tokio::test]
async fn i02_a_value_is_put_into_no_other_body() {
    let upstream = mirror().await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), &["body"], "real"));
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\n";
    let json = "Content-Type: application/json\r\n";
    let name = format!(r#"{{"{HELD}":1}}"#);
    for request in [
        whole(port, multipart, format!("--x\r\n\r\n{HELD}\r\n--x--").as_bytes()),
        whole(port, "", HELD.as_bytes()),
        whole(port, json, name.as_bytes()),
    ] {
        is_denied(&answer(&world, port, &request).await, "cannot be put into this body");
    }
    let long = format!("Content-Length: {}\r\n", crate::limits::FILLED + 1);
    let answered = answer(&world, port, head(port, &format!("{json}{long}")).as_bytes()).await;
    assert!(answered.starts_with("HTTP/1.1 413 "), "{answered}");
    let seen = upstream.bytes();
    assert!(!seen.contains("sk-") && !seen.contains("real"), "{seen}");
    // Where nothing is put into bodies, the value stays out of them.
    world.authenticate(&rest(port, ALL), bound(2, (HERE, port), &["authorization"], "real"));
    let request = whole(port, json, format!(r#"["{HELD}"]"#).as_bytes());
    answer(&world, port, &request).await;
    assert!(!upstream.bytes().contains("real"), "{}", upstream.bytes());
}

#[tokio::test]
async fn i07_an_answer_that_has_begun_is_broken_off() {
    let upstream = Upstream::serve(|mut stream, seen| async move {
        let mut bytes = Vec::new();
        let mut has_answered = false;
        while let Ok(1..) = stream.read_buf(&mut bytes).await {
            if !has_answered {
                let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
                stream.write_all(begun).await.unwrap();
                has_answered = true;
            }
            seen.lock().unwrap().1.append(&mut bytes);
        }
    })
    .await;
    let port = upstream.port;
    let world = world(port).await;
    world.authenticate(&rest(port, ALL), bound(1, OTHER, &["authorization"], "real"));
    let mut client: TcpStream = world.tunnel(port).await;
    let request = chunked(port, "", &[HELD.as_bytes()]);
    let (begin, rest) = request.split_at(head(port, "Transfer-Encoding: chunked\r\n").len());
    client.write_all(begin).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n1\r\nx\r\n") {
        assert_ne!(client.read_buf(&mut seen).await.unwrap(), 0);
    }
    client.write_all(rest).await.unwrap();
    let mut more = Vec::new();
    assert!(client.read_to_end(&mut more).await.is_err(), "{more:?}");
    assert!(!upstream.bytes().contains("sk-"), "{}", upstream.bytes());
    assert_eq!(told(&world).await[1], (Outcome::Denied, "credential_elsewhere".to_owned()));
}
