//! Frames of HTTP/2 that no library sends: heads that are malformed, and floods.

use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::requests::rest;
use super::world::*;
use crate::limits;

const RULES: &str = "rules: [{ allow: { method: POST, path: /a/** } }]";

// Kinds of frames, flags and codes (RFC 9113, sections 6 and 7).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Fields in order, names and values as they are put on the wire.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// One that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Debug, Eq, PartialEq)]
enum Fate {
    /// It was answered with one of the statuses that we know in HPACK's spelling, or another (0).
    Answered(u16),
    Reset,
    /// The connection ended, with this code.
    Ended(Option<u32>),
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A number of HPACK behind a prefix of so many bits (RFC 7541, section 5.1).
fn number(prefix: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << prefix) - 1;
    if value < most {
        return vec![u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![u8::try_from(most).unwrap()];
    value -= most;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// Fields as HPACK writes them that has no table; `first` says whether it gets one.
fn literal(first: u8, (name, value): &(Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [&[first][..], &number(7, name.len()), name, &number(7, value.len()), value].concat()
}

fn block(fields: &Fields) -> Vec<u8> {
    fields.iter().flat_map(|one| literal(0, one)).collect()
}

fn headers(stream: u32, flags: u8, fields: &Fields) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

fn field(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// A head that is allowed.
fn good(port: u16) -> Fields {
    let authority = format!("host.openshell.internal:{port}");
    vec![
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", "/a/good"),
        field(":authority", &authority),
    ]
}

/// A client whose frames are written by hand.
struct Client {
    stream: TcpStream,
    bytes: BytesMut,
}

impl Client {
    async fn open(world: &World, port: u16) -> Self {
        let mut stream = world.tunnel(port).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream, bytes: BytesMut::new() }
    }

    /// Sends what is taken of `bytes`: whoever ends the connection takes no more.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame, unless the connection ended.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let read = timeout(Duration::from_secs(30), self.stream.read_buf(&mut self.bytes));
            if !matches!(read.await.expect("neither a frame nor an end"), Ok(1..)) {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let &[a, b, c, kind, flags, d, e, f, g, ..] = &self.bytes[..] else { return None };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([d, e, f, g]);
        if self.bytes.len() < 9 + length {
            return None;
        }
        let payload = self.bytes.split_to(9 + length)[9..].to_vec();
        Some(Frame { kind, flags, stream, payload })
    }

    /// What becomes of a stream.
    async fn fate(&mut self, stream: u32) -> Fate {
        let mut code = None;
        while let Some(frame) = self.next().await {
            match (frame.kind, frame.payload.as_slice()) {
                (HEADERS, [0x88, ..]) if frame.stream == stream => return Fate::Answered(200),
                (HEADERS, [0x8c, ..]) if frame.stream == stream => return Fate::Answered(400),
                // In Huffman's code, which begins with `40`, `43`.
                (HEADERS, [_, _, 0x68, 0x0c, 0xff, ..]) if frame.stream == stream => {
                    return Fate::Answered(403);
                }
                (HEADERS, [_, _, 0x69, 0x90, 0xff, ..]) if frame.stream == stream => {
                    return Fate::Answered(431);
                }
                (HEADERS, other) if frame.stream == stream => {
                    println!("{other:x?}");
                    return Fate::Answered(0);
                }
                (RST_STREAM, _) if frame.stream == stream => return Fate::Reset,
                (GOAWAY, &[_, _, _, _, a, b, c, d, ..]) => {
                    code = Some(u32::from_be_bytes([a, b, c, d]));
                }
                _ => {}
            }
        }
        Fate::Ended(code)
    }

    /// The connection ends; returns the code that was given.
    async fn end(&mut self) -> Option<u32> {
        match self.fate(0).await {
            Fate::Ended(code) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Sends many bytes and reads at the same time, until the connection ends.
    async fn flood(mut self, bytes: Vec<u8>) -> Option<u32> {
        let (read, mut write) = self.stream.into_split();
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&bytes).await;
            // Held until the end: it is not this side that ends.
            write
        });
        let mut all = std::mem::take(&mut self.bytes);
        let mut read = read;
        let ended = timeout(Duration::from_secs(60), async {
            while let Ok(1..) = read.read_buf(&mut all).await {}
        });
        ended.await.expect("the flood was not ended");
        drop(writing.await);
        let mut code = None;
        let mut rest = &all[..];
        while let &[a, b, c, kind, ..] = rest {
            let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            let Some((one, behind)) = rest.split_at_checked(length) else { break };
            if let (GOAWAY, Some(&[a, b, c, d])) = (kind, one.get(13..17)) {
                code = Some(u32::from_be_bytes([a, b, c, d]));
            }
            rest = behind;
        }
        code
    }
}

/// A server that notes each head that it gets, a line each, and answers it.
async fn answering() -> Upstream {
    Upstream::serve(|stream, seen| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut answer))) = connection.accept().await {
            let line = format!("{} {} {:?}\n", request.method(), request.uri(), request.headers());
            seen.lock().unwrap().1.extend_from_slice(line.as_bytes());
            let _ = answer.send_response(Response::new(()), true);
        }
    })
    .await
}

/// Others are served, whatever one does.
async fn serves(world: &World, port: u16) {
    let mut client = Client::open(world, port).await;
    client.send(&headers(1, END_STREAM, &good(port))).await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
}

/// A good head with fields changed (those whose name it has), or added.
fn with(port: u16, changes: &[(&str, &str)]) -> Fields {
    let mut fields = good(port);
    for (name, value) in changes {
        match fields.iter_mut().find(|(own, _)| own == name.as_bytes()) {
            Some((_, own)) => *own = value.as_bytes().to_vec(),
            None => fields.push(field(name, value)),
        }
    }
    fields
}

/// Sends each head as a stream of a connection of its own with a good one behind it: none of them
/// goes anywhere, and the connection goes on unless it was ended.
async fn none_passes(cases: impl Fn(u16) -> Vec<(String, Fields)>) {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut passed = Vec::new();
    let mut good_ones = 0;
    for (what, fields) in cases(port) {
        let mut client = Client::open(&world, port).await;
        client.send(&headers(1, END_STREAM, &fields)).await;
        let fate = client.fate(1).await;
        match fate {
            Fate::Reset | Fate::Answered(400 | 403) => {
                client.send(&headers(3, END_STREAM, &good(port))).await;
                assert_eq!(client.fate(3).await, Fate::Answered(200), "{what}");
                good_ones += 1;
            }
            Fate::Ended(Some(_)) => {}
            other => passed.push(format!("{what}: {other:?}")),
        }
    }
    assert!(passed.is_empty(), "{passed:#?}\n{}", upstream.bytes());
    let expected = format!("POST http://host.openshell.internal:{port}/a/good {{}}\n");
    assert_eq!(upstream.bytes(), expected.repeat(good_ones));
}

#[tokio::test]
async fn f01_a_malformed_head_goes_nowhere() {
    none_passes(|port| {
        let good = good(port);
        let mut cases = Vec::new();
        let mut case = |what: &str, fields: Fields| cases.push((what.to_owned(), fields));
        for (index, (name, value)) in good.iter().enumerate() {
            let name = String::from_utf8_lossy(name).into_owned();
            let mut without = good.clone();
            without.remove(index);
            if name != ":authority" {
                case(&format!("no {name}"), without.clone());
            }
            case(&format!("empty {name}"), with(port, &[(&name, "")]));
            let twice = [&good[..], &[(name.clone().into_bytes(), value.clone())]].concat();
            case(&format!("{name} twice"), twice);
            without.push(field("x-regular", "1"));
            without.push((name.clone().into_bytes(), value.clone()));
            case(&format!("{name} behind a field"), without);
            let upper = name.to_uppercase().into_bytes();
            let mut shouted = good.clone();
            shouted[index].0 = upper;
            case(&format!("{name} shouted"), shouted);
        }
        for (name, value) in [
            ("host", "evil.example.com"),
            (":authority", "evil.example.com"),
            (":authority", "user@host.openshell.internal"),
            (":status", "200"),
            (":protocol", "websocket"),
            (":unknown", "x"),
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":scheme", "ftp"),
            (":path", "a/good"),
            (":path", "*"),
            (":path", "http://evil.example.com/a/good"),
            ("X-Upper", "1"),
            ("", "1"),
            ("connection", "close"),
            ("connection", "x-other"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("content-length", "-1"),
            ("content-length", "3"),
        ] {
            case(&format!("{name}: {value}"), with(port, &[(name, value)]));
        }
        let host = format!("host.openshell.internal:{port}");
        let two = [&good[..], &[field("host", &host), field("host", "evil.example.com")]].concat();
        case("two hosts", two);
        cases
    })
    .await;
}

#[tokio::test]
async fn f02_no_line_of_http1_hides_in_a_field() {
    const HIDDEN: &str = "x\r\nhost: evil.example.com";
    none_passes(|port| {
        let mut cases = Vec::new();
        let mut case = |name: &str, value: &str| {
            let what = format!("{}: {}", name.escape_debug(), value.escape_debug());
            cases.push((what, with(port, &[(name, value)])));
        };
        for value in
            [HIDDEN, "x\ry", "x\ny", "x\0y", "x\u{1}y", "x\u{7f}y", " x", "x ", "\tx", "x\t"]
        {
            case("x-field", value);
        }
        for name in [HIDDEN, "x y", "x:y", "x\0", "x\n", "x\u{e9}", "x(", "x\t"] {
            case(name, "1");
        }
        for path in [
            "/a/good HTTP/1.1\r\nX: y",
            "/a/go od",
            "/a/go\tod",
            "/a/go\rod",
            "/a/go\nod",
            "/a/go\0od",
            "/a/good?x= y",
            " /a/good",
        ] {
            case(":path", path);
        }
        for method in ["POST / HTTP/1.1\r\nX: y", "PO ST", "POST\0", "POST\r", " POST"] {
            case(":method", method);
        }
        let host = format!("host.openshell.internal:{port}");
        for end in ["\r\nx: y", "\0", " ", "\t", "/", "?x", "#x", ",evil.example.com"] {
            case(":authority", &format!("{host}{end}"));
            case("host", &format!("{host}{end}"));
        }
        for scheme in ["http\r\n", "http ", "http\0", "http://evil.example.com/?"] {
            case(":scheme", scheme);
        }
        cases
    })
    .await;
}

#[tokio::test]
async fn f05_a_head_without_an_end_ends_the_connection() {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let begin = frame(HEADERS, END_STREAM, 1, &block(&good(port)));
    // Nothing more, a field in each, or one field that never ends.
    let small = literal(0, &field("x", "1"));
    let endless = [&[0, 1, b'x'][..], &number(7, 1 << 27)].concat();
    let letters = [b'x'; 1000];
    for (first, rest) in [(&[][..], &[][..]), (&small, &small), (&endless, &letters)] {
        let mut flood = [&begin[..], &frame(CONTINUATION, 0, 1, first)].concat();
        flood.extend(frame(CONTINUATION, 0, 1, rest).repeat(10_000));
        let code = Client::open(&world, port).await.flood(flood).await;
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
        serves(&world, port).await;
    }
    assert_eq!(upstream.bytes().lines().count(), 3, "{}", upstream.bytes());
}

#[tokio::test]
async fn f05_a_list_of_fields_that_unpacks_to_megabytes_is_refused() {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    // A field of four thousand octets that the table keeps, and then one octet for each copy.
    let kept = literal(0x40, &field("x", &"y".repeat(4000)));
    let bomb = |copies: usize| [block(&good(port)), kept.clone(), vec![0xbe; copies]].concat();
    let mut client = Client::open(&world, port).await;
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb(20))).await;
    assert_eq!(client.fate(1).await, Fate::Answered(431));
    client.send(&headers(3, END_STREAM, &good(port))).await;
    assert_eq!(client.fate(3).await, Fate::Answered(200));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 5, &bomb(12_000))).await;
    assert_eq!(client.end().await, Some(ENHANCE_YOUR_CALM));
    serves(&world, port).await;
    assert_eq!(upstream.bytes().lines().count(), 2, "{}", upstream.bytes());
}

#[tokio::test]
async fn f05_streams_that_are_reset_at_once_end_the_connection() {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut flood = Vec::new();
    for stream in (1..20_000).step_by(2) {
        flood.extend(headers(stream, 0, &good(port)));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let code = Client::open(&world, port).await.flood(flood).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    let passed = upstream.bytes().lines().count();
    assert!(passed <= limits::STREAMS as usize, "{passed}");
    serves(&world, port).await;
}

#[tokio::test]
async fn f05_streams_that_we_are_made_to_reset_end_the_connection() {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    // Streams that begin well and then break the protocol; and malformed heads.
    let most = i32::MAX.unsigned_abs().to_be_bytes();
    let mut late = Vec::new();
    let mut malformed = Vec::new();
    for stream in (1..20_000).step_by(2) {
        late.extend(headers(stream, 0, &good(port)));
        late.extend(frame(WINDOW_UPDATE, 0, stream, &most));
        malformed.extend(headers(stream, 0, &with(port, &[("connection", "close")])));
    }
    for flood in [late, malformed] {
        let before = upstream.bytes().lines().count();
        let code = Client::open(&world, port).await.flood(flood).await;
        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
        let passed = upstream.bytes().lines().count() - before;
        assert!(passed <= limits::STREAMS as usize, "{passed}");
        serves(&world, port).await;
    }
}

#[tokio::test]
async fn f05_data_without_octets_ends_the_connection() {
    // A server that never says a word.
    let upstream = Upstream::serve(|_stream, _| std::future::pending()).await;
    let other = answering().await;
    let (port, other) = (upstream.port, other.port);
    let world = World::new(&format!("{}, {}", rest(port, RULES), rest(other, RULES))).await;
    let mut flood = headers(1, 0, &good(port));
    for _ in 0..200_000 {
        flood.extend(frame(DATA, 0, 1, &[]));
    }
    let code = Client::open(&world, port).await.flood(flood).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    serves(&world, other).await;
}

#[tokio::test]
async fn f05_data_beyond_the_window_is_not_taken() {
    let upstream = Upstream::serve(|_stream, _| std::future::pending()).await;
    let other = answering().await;
    let (port, other) = (upstream.port, other.port);
    let world = World::new(&format!("{}, {}", rest(port, RULES), rest(other, RULES))).await;
    let mut client = Client::open(&world, port).await;
    client.send(&headers(1, 0, &good(port))).await;
    for _ in 0..limits::STREAM_WINDOW / 16_384 + 1 {
        client.send(&frame(DATA, 0, 1, &[0; 16_384])).await;
    }
    assert!(matches!(client.fate(1).await, Fate::Reset | Fate::Ended(Some(3))));
    serves(&world, other).await;
}

#[tokio::test]
async fn f05_who_reads_no_answers_is_not_read_from() {
    const MOST: usize = 64 * 1024 * 1024;
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    for (kind, payload) in [(PING, &[7; 8][..]), (SETTINGS, &[0, 4, 0, 0, 0, 9])] {
        let one = frame(kind, 0, 0, payload);
        let batch = one.repeat(10_000);
        let mut client = Client::open(&world, port).await;
        let mut taken = 0;
        // Each is to be answered. Once the answers find no room, nothing more is taken.
        while let Ok(Ok(octets)) =
            timeout(Duration::from_secs(1), client.stream.write(&batch[taken % one.len()..])).await
        {
            taken += octets;
            assert!(taken < MOST, "answers pile up");
        }
        serves(&world, port).await;
        // None was lost, and nothing else happened.
        let mut answers = 0;
        while answers < taken / one.len() {
            let frame = client.next().await.expect("the connection goes on");
            let is_answer = frame.kind == kind && frame.flags == ACK;
            answers += usize::from(is_answer);
        }
    }
}

#[tokio::test]
async fn f05_who_takes_no_answer_holds_no_more_than_windows() {
    const MOST: usize = 16 * 1024 * 1024;
    let (told, mut sent) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::serve(move |stream, _| {
        let told = told.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut answer))) = connection.accept().await {
                let is_good = request.uri().path() == "/a/good";
                let mut down = answer.send_response(Response::new(()), is_good).unwrap();
                if is_good {
                    continue;
                }
                let told = told.clone();
                tokio::spawn(async move {
                    loop {
                        down.reserve_capacity(16_384);
                        let room = poll_fn(|context| down.poll_capacity(context)).await;
                        let Some(Ok(room)) = room else { return };
                        down.send_data(vec![0; room].into(), false).unwrap();
                        let _ = told.send(room);
                    }
                });
            }
        }
    })
    .await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let mut client = Client::open(&world, port).await;
    // A window of nothing.
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    client.send(&headers(1, END_STREAM, &with(port, &[(":path", "/a/large")]))).await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    let mut held = 0;
    while let Ok(Some(more)) = timeout(Duration::from_secs(1), sent.recv()).await {
        held += more;
        assert!(held < MOST, "what nobody takes piles up");
    }
    println!("{held} octets are held");
    assert!(held > 0);
    serves(&world, port).await;
}

#[tokio::test]
async fn f05_frames_that_break_the_protocol_end_the_connection() {
    let upstream = answering().await;
    let port = upstream.port;
    let world = World::new(&rest(port, RULES)).await;
    let head = block(&good(port));
    let most = i32::MAX.unsigned_abs().to_be_bytes();
    let beyond = [&[0, 4][..], &u32::MAX.to_be_bytes()].concat();
    let cases = [
        ("DATA of no stream", frame(DATA, 0, 1, b"x")),
        ("DATA of the connection", frame(DATA, 0, 0, b"x")),
        ("HEADERS of the connection", frame(HEADERS, 5, 0, &head)),
        ("a stream of the server's", frame(HEADERS, 5, 2, &head)),
        ("more padding than there is", frame(HEADERS, 5 | 8, 1, &[255, 0x83])),
        ("HEADERS of a table entry that is not there", frame(HEADERS, 5, 1, &[0xff, 0x7f])),
        ("a table beyond its size", frame(HEADERS, 5, 1, &[0x3f, 0xff, 0xff, 0x03])),
        ("RST_STREAM of no stream", frame(RST_STREAM, 0, 1, &[0; 4])),
        ("SETTINGS of a stream", frame(SETTINGS, 0, 1, &[])),
        ("SETTINGS of an odd length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("ACK with settings", frame(SETTINGS, ACK, 0, &[0; 6])),
        ("a window beyond all", frame(SETTINGS, 0, 0, &beyond)),
        ("a promise of the client's", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("PING of an odd length", frame(PING, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("WINDOW_UPDATE beyond all", frame(WINDOW_UPDATE, 0, 0, &most).repeat(2)),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &head)),
        ("a frame between", [frame(HEADERS, 1, 1, &head), frame(PING, 0, 0, &[0; 8])].concat()),
        ("a frame beyond its size", frame(PRIORITY, 0, 1, &[0; 16_385])),
    ];
    for (what, bytes) in cases {
        let mut client = Client::open(&world, port).await;
        client.send(&bytes).await;
        client.send(&headers(3, END_STREAM, &good(port))).await;
        let fate = client.fate(3).await;
        assert!(matches!(fate, Fate::Ended(Some(1..))), "{what}: {fate:?}");
    }
    assert_eq!(upstream.bytes(), "");
    serves(&world, port).await;
}
