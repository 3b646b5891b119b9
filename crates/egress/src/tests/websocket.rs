//! WebSockets over connections on which each message is judged.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use flate2::write::DeflateEncoder;
use openshell_audit::{Event, Http, Outcome};
use openshell_codec::http1::RequestHead;
use openshell_codec::websocket::{ClientReader, Message, Upgrade, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::requests::{ask, mirror};
use super::world::*;

const TALK: &str = "protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                    { allow: { method: WEBSOCKET_TEXT } }]";
const QUERIES: &str = "protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                       { allow: { method: WEBSOCKET_TEXT, operation_type: query } }]";

pub(super) fn endpoint(port: u16, rest: &str) -> String {
    format!("{{ host: host.openshell.internal, port: {port}, {rest} }}")
}

/// A server of WebSockets that answers each text with itself, and agrees to `extensions`. What it
/// sees are heads, and messages in brackets.
pub(super) async fn echo(extensions: &'static str) -> Upstream {
    Upstream::serve(move |mut stream, seen| async move {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            if let Some(found) = RequestHead::parse(&bytes).unwrap() {
                break found;
            }
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        };
        seen.lock().unwrap().1.extend_from_slice(&bytes[..length]);
        bytes.drain(..length);
        let fields = head.headers.iter().map(|own| (own.name.as_str(), own.value.as_slice()));
        let upgrade = Upgrade::parse(&head.method, head.version, fields).unwrap().unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{extensions}\r\n",
            upgrade.accept()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        talk(stream, bytes, seen).await;
    })
    .await
}

async fn talk(mut stream: TcpStream, mut bytes: Vec<u8>, seen: Arc<Mutex<(usize, Vec<u8>)>>) {
    let mut reader = ClientReader::new(None);
    loop {
        let fed = reader.feed(&bytes);
        bytes.drain(..fed);
        while let Some(message) = reader.next_message().unwrap() {
            seen.lock().unwrap().1.extend_from_slice(format!("[{message:?}]").as_bytes());
            let answer = match message {
                Message::Text(text) => server_frame(0x81, text.as_bytes()),
                Message::Binary(octets) => server_frame(0x82, &octets),
                Message::Ping(octets) => server_frame(0x8a, &octets),
                Message::Close { .. } => {
                    stream.write_all(&server_frame(0x88, &1000_u16.to_be_bytes())).await.unwrap();
                    return;
                }
                Message::Pong(_) => continue,
            };
            stream.write_all(&answer).await.unwrap();
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// One frame of a client: its first octet, and whether it is masked.
pub(super) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()).unwrap() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

pub(super) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::to_server(&Message::Text(text.to_owned()), [1, 2, 3, 4], &mut out);
    out
}

pub(super) fn upgrade(port: u16, path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\nConnection: \
         keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
    )
}

/// A WebSocket that is open.
pub(super) async fn open(world: &World, port: u16, extra: &str) -> TcpStream {
    let mut client = world.tunnel(port).await;
    let answer = ask(&mut client, &upgrade(port, "/ws", extra)).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: upgrade\r\n"), "{answer}");
    client
}

/// The next frame of the server: its first octet and its payload.
pub(super) async fn frame(client: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    client.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; head[1].into()];
    client.read_exact(&mut payload).await.unwrap();
    (head[0], payload)
}

/// Asserts that the connection is closed with this code, and nothing follows.
pub(super) async fn closed(client: &mut TcpStream, code: u16) {
    let (first, payload) = frame(client).await;
    let told = u16::from_be_bytes([payload[0], payload[1]]);
    assert_eq!((first, told), (0x88, code), "{}", String::from_utf8_lossy(&payload));
    assert_eq!(read_all(client).await, "");
}

pub(super) async fn requests(world: &World) -> Vec<Http> {
    let events = world.some_events().await;
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    events.into_iter().filter_map(http).collect()
}

#[tokio::test]
async fn a_websocket_carries_messages_both_ways_and_ends_for_both() {
    let upstream = echo("").await;
    let world = World::new(&endpoint(upstream.port, TALK)).await;
    let offer = "Sec-WebSocket-Extensions: x-unknown\r\n";
    let mut client = open(&world, upstream.port, offer).await;
    for word in ["one", "two"] {
        client.write_all(&text(word)).await.unwrap();
        assert_eq!(frame(&mut client).await, (0x81, word.as_bytes().to_vec()));
    }
    // A message in two frames, with a ping between them.
    let parts =
        [client_frame(0x01, b"thr"), client_frame(0x89, b"p"), client_frame(0x80, b"ee")].concat();
    client.write_all(&parts).await.unwrap();
    assert_eq!(frame(&mut client).await, (0x8a, b"p".to_vec()));
    assert_eq!(frame(&mut client).await, (0x81, b"three".to_vec()));
    client.write_all(&client_frame(0x82, b"\0\x01")).await.unwrap();
    assert_eq!(frame(&mut client).await, (0x82, vec![0, 1]));
    client.write_all(&client_frame(0x88, &1000_u16.to_be_bytes())).await.unwrap();
    closed(&mut client, 1000).await;
    let seen = upstream.bytes();
    let head = seen.to_lowercase();
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{seen}");
    assert!(head.contains("\r\nupgrade: websocket\r\n") && !head.contains("x-unknown"), "{seen}");
    let told: Vec<_> =
        requests(&world).await.into_iter().map(|http| (http.method, http.outcome)).collect();
    let allowed = |method: &str| (method.to_owned(), Outcome::Allowed);
    assert_eq!(told, [allowed("GET"), allowed("WEBSOCKET_TEXT")]);
}

#[tokio::test]
async fn f07_an_upgrade_passes_only_where_messages_are_judged() {
    let upstream = echo("").await;
    let (port, rest) = (upstream.port, "protocol: rest, access: full");
    for (endpoints, path) in [
        (endpoint(port, rest), "/ws"),
        (format!("{}, {}", endpoint(port, rest), endpoint(port, TALK)), "/other"),
    ] {
        let world = World::new(&endpoints).await;
        let mut client = world.tunnel(port).await;
        let answer = ask(&mut client, &upgrade(port, path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("unsupported_l7_protocol"), "{answer}");
        assert_eq!(requests(&world).await[0].outcome, Outcome::Denied);
    }
    assert_eq!(upstream.connections(), 0);
    let world = World::new(&endpoint(port, TALK)).await;
    for (from, to) in [
        ("Version: 13", "Version: 8"),
        ("Upgrade: websocket", "Upgrade: websocket, h2c"),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive"),
        ("GET /ws", "GET /ws/../x"),
        ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"),
    ] {
        let mut client = world.tunnel(port).await;
        let answer = ask(&mut client, &upgrade(port, "/ws", "").replace(from, to)).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{to}: {answer}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn f07_a_switch_that_was_not_asked_for_does_not_pass() {
    const UNASKED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
                           Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\nsecret";
    let upstream = Upstream::http(20, UNASKED).await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, TALK)).await;
    let plain = format!("GET /ws HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n\r\n");
    for request in [plain, upgrade(port, "/ws", "")] {
        let mut client = world.tunnel(port).await;
        let answer = ask(&mut client, &request).await;
        assert!(answer.starts_with("HTTP/1.1 502") && !answer.contains("secret"), "{answer}");
    }
    // Another answer than the switch is one like any other.
    let other = mirror().await;
    let world = World::new(&endpoint(other.port, TALK)).await;
    let mut client = world.tunnel(other.port).await;
    let answer = ask(&mut client, &upgrade(other.port, "/ws", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn f08_a_message_that_is_denied_ends_both_sides() {
    let upstream = echo("").await;
    let world = World::new(&endpoint(upstream.port, QUERIES)).await;
    let operation =
        |query: &str| format!(r#"{{"id":"1","type":"subscribe","payload":{{"query":"{query}"}}}}"#);
    let bad = operation("mutation { drop }");
    let (begin, end) = bad.as_bytes().split_at(50);
    for message in [
        text(&bad),
        [client_frame(0x01, begin), client_frame(0x80, end)].concat(),
        text("no operation"),
        // What is in a binary message is not known.
        client_frame(0x82, operation("{ a }").as_bytes()),
    ] {
        let mut client = open(&world, upstream.port, "").await;
        client.write_all(&text(&operation("{ a }"))).await.unwrap();
        frame(&mut client).await;
        client.write_all(&message).await.unwrap();
        closed(&mut client, 1008).await;
    }
    assert!(!upstream.bytes().contains("drop"), "{}", upstream.bytes());
    let events = requests(&world).await;
    let denied: Vec<_> = events.iter().filter(|http| http.outcome == Outcome::Denied).collect();
    assert_eq!(denied.len(), 4, "{events:#?}");
    assert_eq!((denied[0].method.as_str(), denied[0].path.as_str()), ("WEBSOCKET_TEXT", "/ws"));
    assert_eq!(denied[0].operations, ["mutation drop"]);
    assert_eq!(denied[0].reason.as_ref().unwrap().predicate, "rule");
}

#[tokio::test]
async fn f08_frames_that_break_the_protocol_close_it() {
    let upstream = echo("").await;
    let world = World::new(&endpoint(upstream.port, TALK)).await;
    for (frames, code) in [
        (vec![0x81, 1, b'a'], 1002),
        (client_frame(0xc1, b"a"), 1002),
        (client_frame(0x09, b"a"), 1002),
        (client_frame(0x80, b"a"), 1002),
        (client_frame(0x81, b"\xff"), 1007),
    ] {
        let mut client = open(&world, upstream.port, "").await;
        client.write_all(&frames).await.unwrap();
        closed(&mut client, code).await;
    }
    assert!(!upstream.bytes().contains('['), "{}", upstream.bytes());
}

#[tokio::test]
async fn f08_compressed_messages_are_judged_inflated() {
    let agreed = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let upstream = echo(agreed).await;
    let world = World::new(&endpoint(upstream.port, TALK)).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; \
                 client_no_context_takeover\r\n";
    let mut client = open(&world, upstream.port, offer).await;
    client.write_all(&client_frame(0xc1, &deflated(b"hello"))).await.unwrap();
    assert_eq!(frame(&mut client).await, (0x81, b"hello".to_vec()));
    assert!(upstream.bytes().ends_with(r#"[Text("hello")]"#), "{}", upstream.bytes());
    let bomb = deflated(&vec![b' '; 5 << 20]);
    client.write_all(&client_frame(0xc1, &bomb)).await.unwrap();
    closed(&mut client, 1009).await;
}

#[tokio::test]
async fn e10_a_message_is_judged_by_the_policy_of_its_time() {
    let upstream = echo("").await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, TALK)).await;
    let mut client = open(&world, port, "").await;
    client.write_all(&text("one")).await.unwrap();
    frame(&mut client).await;
    world.enforce(&endpoint(port, QUERIES));
    client.write_all(&text("two")).await.unwrap();
    closed(&mut client, 1008).await;
    world.enforce(&endpoint(port, TALK));
    let mut client = open(&world, port, "").await;
    // Also without a message.
    let other = TALK.replace("/ws", "/elsewhere");
    world.enforce(&endpoint(port, &other));
    closed(&mut client, 1012).await;
    assert!(!upstream.bytes().contains("two"), "{}", upstream.bytes());
}

/// The payload of a compressed message (RFC 7692, section 7.2.1).
pub(super) fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.flush().unwrap();
    let mut out = encoder.get_ref().clone();
    out.truncate(out.len() - 4);
    out
}

#[tokio::test]
async fn n06_a_message_that_the_server_does_not_take_keeps_its_place() {
    // Agrees, and reads no more.
    let upstream = Upstream::serve(|mut stream, _| async move {
        let mut bytes = Vec::new();
        while RequestHead::parse(&bytes).unwrap().is_none() {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let (head, _) = RequestHead::parse(&bytes).unwrap().unwrap();
        let fields = head.headers.iter().map(|own| (own.name.as_str(), own.value.as_slice()));
        let upgrade = Upgrade::parse(&head.method, head.version, fields).unwrap().unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            upgrade.accept()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let world = World::new(&endpoint(upstream.port, TALK)).await;
    let mut client = open(&world, upstream.port, "").await;
    let mut large = Vec::new();
    encode::to_server(&Message::Binary(vec![7; 15 << 20]), [1, 2, 3, 4], &mut large);
    if client.write_all(&large).await.is_err() {
        panic!("{:?}", read_all(&mut client).await);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let places = world.egress.context().assemblies.available_permits();
    assert_eq!(places, crate::limits::WEBSOCKET_ASSEMBLIES - 1);
}
