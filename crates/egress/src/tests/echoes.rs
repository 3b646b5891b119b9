//! What servers answer over HTTP/1 has no value in it, however it comes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openshell_audit::{Event, Http, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::credentials::{ALL, HELD, bound};
use super::credentials_in_bodies::gzip;
use super::requests::rest;
use super::world::*;

pub(super) const HERE: &str = "host.openshell.internal";
/// As long as [`HELD`].
pub(super) const SECRET: &str = "sk-live-0123456789abcdefghijklmnopqrstuvw";
const PLACES: [&str; 2] = ["authorization", "header:x-api-key"];

/// A server that says to each request, of which it is shown the head, these parts one by one, and
/// ends the connection.
pub(super) async fn speaker(
    say: impl Fn(&str) -> Vec<Vec<u8>> + Clone + Send + Sync + 'static,
) -> Upstream {
    Upstream::serve(move |mut stream, seen| {
        let say = say.clone();
        async move {
            let mut bytes = Vec::new();
            while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
                if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                    return;
                }
            }
            seen.lock().unwrap().1.extend_from_slice(&bytes);
            for part in say(&String::from_utf8(bytes).unwrap()) {
                if stream.write_all(&part).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
    .await
}

/// A world in which [`SECRET`] is bound to this server.
pub(super) async fn world(port: u16, placements: &[&str]) -> World {
    let world = World::new(&rest(port, ALL)).await;
    world.authenticate(&rest(port, ALL), bound(1, (HERE, port), placements, SECRET));
    world
}

fn get(port: u16, fields: &str) -> String {
    format!("GET /echo HTTP/1.1\r\nHost: {HERE}:{port}\r\nConnection: close\r\n{fields}\r\n")
}

/// All that a client gets, and whether that was a regular end.
async fn asked(world: &World, port: u16, request: &str) -> (Vec<u8>, bool) {
    let mut client = world.tunnel(port).await;
    client.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let longest = Duration::from_secs(30);
    let end = timeout(longest, client.read_to_end(&mut bytes)).await.unwrap();
    (bytes, end.is_ok())
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn stated(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The events about answers.
pub(super) async fn alarms(world: &World) -> Vec<Http> {
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    let events = world.some_events().await.into_iter().filter_map(http);
    events
        .filter(|http| {
            http.reason.as_ref().is_some_and(|own| own.predicate.starts_with("credential_"))
        })
        .collect()
}

/// That of one request whose answer told [`SECRET`].
pub(super) async fn one_alarm(world: &World) {
    let alarms = alarms(world).await;
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert_eq!(alarms[0].outcome, Outcome::Denied);
    let reason = alarms[0].reason.as_ref().unwrap();
    assert_eq!(reason.predicate, "credential_echoed");
    assert!(reason.detail.contains("`model/KEY`"), "{}", reason.detail);
    assert!(!format!("{alarms:?}").contains("live"), "{alarms:?}");
}

#[tokio::test]
async fn i03_a_head_that_comes_back_has_the_placeholder_in_it() {
    assert_eq!(SECRET.len(), HELD.len());
    let upstream = speaker(|head| vec![stated(head)]).await;
    let port = upstream.port;
    let world = world(port, &PLACES).await;
    let fields = format!("Authorization: Bearer {HELD}\r\nX-Api-Key: {HELD}\r\n");
    let (answer, is_whole) = asked(&world, port, &get(port, &fields)).await;
    let answer = text(&answer);
    assert!(is_whole && answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(answer.matches(HELD).count(), 2, "{answer}");
    assert!(!answer.contains("live"), "{answer}");
    assert!(upstream.bytes().contains(&format!("Bearer {SECRET}")));
    one_alarm(&world).await;
}

#[tokio::test]
async fn i03_a_pair_that_comes_back_is_masked() {
    let upstream = speaker(|head| vec![stated(head)]).await;
    let port = upstream.port;
    let world = world(port, &PLACES).await;
    for user in ["x", "me", "git"] {
        let pair = |secret: &str| BASE64_STANDARD.encode(format!("{user}:{secret}"));
        let fields = format!("Authorization: Basic {}\r\n", pair(HELD));
        let (answer, _) = asked(&world, port, &get(port, &fields)).await;
        let answer = text(&answer);
        assert!(upstream.bytes().contains(&pair(SECRET)), "{}", upstream.bytes());
        let told = answer.split("basic ").nth(1).or(answer.split("Basic ").nth(1)).unwrap();
        let told = BASE64_STANDARD.decode(told.split("\r\n").next().unwrap()).unwrap();
        let told = text(&told);
        assert!(told.contains(&HELD[1..HELD.len() - 1]) && !told.contains("live"), "{told}");
    }
    assert_eq!(alarms(&world).await.len(), 3, "one of each request");
}

#[tokio::test]
async fn i03_a_value_is_masked_however_its_chunks_are_cut() {
    let said = format!("<{SECRET}>");
    for cuts in [vec![1], vec![2], vec![20], vec![41], (1..said.len()).collect()] {
        let body = said.clone();
        let upstream = speaker(move |_| {
            let mut parts = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
            let mut begin = 0;
            for end in cuts.iter().copied().chain([body.len()]) {
                let part = &body[begin..end];
                parts.push(format!("{:x}\r\n{part}\r\n", part.len()).into_bytes());
                begin = end;
            }
            parts.push(b"0\r\n\r\n".to_vec());
            parts
        })
        .await;
        let world = world(upstream.port, &PLACES).await;
        let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
        let answer = text(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(is_whole && head.contains("chunked"), "{answer}");
        let lines = body.split("\r\n").collect::<Vec<_>>();
        let told: String = lines.chunks(2).map(|pair| *pair.get(1).unwrap_or(&"")).collect();
        assert_eq!(told, format!("<{HELD}>"), "{answer}");
        one_alarm(&world).await;
    }
}

#[tokio::test]
async fn i03_what_waited_of_a_body_is_given_at_its_end() {
    // The end of the connection is that of the body, which ends like a value begins.
    for tail in ["x", &SECRET[..20], &format!("{SECRET}{}", &SECRET[..3])] {
        let said = format!("HTTP/1.1 200 OK\r\n\r\n{tail}");
        let upstream = speaker(move |_| vec![said.clone().into_bytes()]).await;
        let port = upstream.port;
        let world = world(port, &PLACES).await;
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let request = get(port, "").replace("HTTP/1.1", version);
            let (answer, is_whole) = asked(&world, port, &request).await;
            let answer = text(&answer);
            let told = tail.replace(SECRET, HELD);
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            // Between the lines that say how long chunks are.
            let lines: Vec<&str> = body.split("\r\n").collect();
            let is_chunked = answer.contains("chunked");
            let body: String = if is_chunked {
                lines.chunks(2).filter_map(|pair| pair.get(1).copied()).collect()
            } else {
                body.to_owned()
            };
            assert!(is_whole && body == told, "{answer}");
        }
    }
}

#[tokio::test]
async fn i03_fields_and_interim_answers_are_masked() {
    let upstream = speaker(|_| {
        let early = format!("HTTP/1.1 103 Early Hints\r\nLink: </{SECRET}>\r\n\r\n");
        let head = format!(
            "HTTP/1.1 302 {SECRET}\r\nX-Echo: Bearer {SECRET}\r\nLocation: /a?key={SECRET}\r\n\
             Set-Cookie: a={SECRET}; HttpOnly\r\nContent-Length: 0\r\n\r\n"
        );
        vec![early.into_bytes(), head.into_bytes()]
    })
    .await;
    let world = world(upstream.port, &PLACES).await;
    let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
    let answer = text(&answer);
    assert!(is_whole && answer.contains("HTTP/1.1 302"), "{answer}");
    assert_eq!(answer.matches(HELD).count(), 5, "{answer}");
    assert!(!answer.contains("live"), "{answer}");
    one_alarm(&world).await;
}

#[tokio::test]
async fn i03_a_field_whose_name_is_a_value_does_not_pass() {
    let upstream = speaker(|_| {
        let upper = SECRET.to_uppercase();
        let fields = format!("{SECRET}: 1\r\nX-{upper}: 2\r\nX-Other: 3\r\n");
        vec![format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()]
    })
    .await;
    let world = world(upstream.port, &PLACES).await;
    let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
    let answer = text(&answer);
    assert!(is_whole && answer.contains("x-other: 3"), "{answer}");
    assert!(!answer.to_lowercase().contains("live"), "{answer}");
    one_alarm(&world).await;
}

#[tokio::test]
async fn i03_a_coded_answer_is_broken_off_before_the_value_is_whole() {
    let body = format!("{}{SECRET}{}", "before ".repeat(2000), "behind ".repeat(2000));
    let packed = gzip(body.as_bytes());
    for size in [1000, 50] {
        let (whole, parts) = (packed.clone(), packed.clone());
        let upstream = speaker(move |_| {
            let length = whole.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            );
            let parts = parts.chunks(size).map(<[u8]>::to_vec);
            [head.into_bytes()].into_iter().chain(parts).collect()
        })
        .await;
        let world = world(upstream.port, &PLACES).await;
        let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
        assert!(!is_whole, "it must not look like an end");
        let begin = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let mut told = Vec::new();
        let mut decoder = openshell_codec::content::Decoder::new(&["gzip"]).unwrap().unwrap();
        decoder.push(&answer[begin..], &mut |part| told.extend_from_slice(part)).unwrap();
        assert!(body.starts_with(&text(&told)), "{}", text(&told));
        assert!(!text(&told).contains(&SECRET[..8]), "{}", text(&told));
        one_alarm(&world).await;
    }
}

#[tokio::test]
async fn i03_a_coded_answer_without_a_value_passes_as_it_came() {
    let body = "nothing ".repeat(5000);
    let members = [gzip(body.as_bytes()), gzip(b""), gzip(body.as_bytes())].concat();
    let plain = body.clone().into_bytes();
    for (coding, packed) in [
        ("gzip", gzip(body.as_bytes())),
        ("X-GZIP", members),
        ("gzip, aws-chunked", gzip(b"")),
        ("gzip", Vec::new()),
        ("br", Vec::new()),
        ("identity", plain.clone()),
        ("", plain.clone()),
        ("utf-8", plain.clone()),
        ("aws-chunked,", plain),
    ] {
        let told = packed.clone();
        let upstream = speaker(move |_| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
                packed.len()
            );
            vec![[head.as_bytes(), &packed].concat()]
        })
        .await;
        let world = world(upstream.port, &PLACES).await;
        let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
        assert!(is_whole && answer.ends_with(&told), "{coding}");
        assert!(alarms(&world).await.is_empty());
    }
}

#[tokio::test]
async fn i03_a_coding_that_cannot_be_undone_does_not_pass() {
    for fields in ["Content-Encoding: compress\r\n", "Content-Encoding: gzip, gzip, gzip\r\n"] {
        let upstream = speaker(move |_| {
            vec![format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 3\r\n\r\nabc").into_bytes()]
        })
        .await;
        let port = upstream.port;
        let world = world(port, &PLACES).await;
        let (answer, _) = asked(&world, port, &get(port, "")).await;
        let answer = text(&answer);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("identity"), "{answer}");
        let alarms = alarms(&world).await;
        assert_eq!(alarms[0].reason.as_ref().unwrap().predicate, "credential_unsearched");
        // Where nothing is bound it does.
        world.authenticate(&rest(port, ALL), bound(2, ("other.example.com", 443), &PLACES, SECRET));
        let (answer, is_whole) = asked(&world, port, &get(port, "")).await;
        assert!(is_whole && answer.ends_with(b"abc"), "{}", text(&answer));
    }
    // What says to be coded and is not is told from what is.
    let upstream = speaker(|_| {
        vec![
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 41\r\n\r\n".to_vec(),
            SECRET.as_bytes().to_vec(),
        ]
    })
    .await;
    let world = world(upstream.port, &PLACES).await;
    let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
    assert!(!is_whole && !text(&answer).contains("live"), "{}", text(&answer));
}

#[tokio::test]
async fn i03_a_long_answer_is_searched_where_a_value_is_bound_and_nowhere_else() {
    const LENGTH: usize = 3_000_000;
    let upstream = speaker(|_| {
        let body = format!("{}{SECRET}{}", "a".repeat(LENGTH / 2), "b".repeat(LENGTH / 2));
        vec![stated(&body)]
    })
    .await;
    let port = upstream.port;
    let world = world(port, &PLACES).await;
    let (answer, is_whole) = asked(&world, port, &get(port, "")).await;
    let answer = text(&answer);
    assert!(is_whole && answer.contains(&format!("a{HELD}b")) && answer.len() > LENGTH);
    let other = bound(2, ("other.example.com", 443), &PLACES, SECRET);
    world.authenticate(&rest(port, ALL), other);
    let (answer, is_whole) = asked(&world, port, &get(port, "")).await;
    assert!(is_whole && text(&answer).contains(&format!("a{SECRET}b")));
    one_alarm(&world).await;
}

/// A server that says what the test tells it to.
pub(super) async fn told() -> (Upstream, mpsc::UnboundedSender<Vec<u8>>) {
    let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
    let said = std::sync::Arc::new(tokio::sync::Mutex::new(said));
    let upstream = Upstream::serve(move |mut stream, _| {
        let said = std::sync::Arc::clone(&said);
        async move {
            let mut head = [0; 1];
            stream.read_exact(&mut head).await.unwrap();
            let mut said = said.lock().await;
            while let Some(part) = said.recv().await {
                stream.write_all(&part).await.unwrap();
            }
        }
    })
    .await;
    (upstream, say)
}

/// Reads until this stands at the end.
async fn until(client: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let read = timeout(Duration::from_secs(5), client.read_buf(&mut bytes)).await;
        assert!(matches!(read, Ok(Ok(1..))), "{}", text(&bytes));
    }
    text(&bytes)
}

#[tokio::test]
async fn i03_events_pass_at_once_and_values_in_them_are_those_in_force() {
    let (upstream, say) = told().await;
    let port = upstream.port;
    let world = world(port, &PLACES).await;
    let mut client = world.tunnel(port).await;
    client.write_all(get(port, "").as_bytes()).await.unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    say.send(head.as_bytes().to_vec()).unwrap();
    let event = |text: &str| format!("data: {text}\n\n").into_bytes();
    for _ in 0..3 {
        say.send(event("one")).unwrap();
        until(&mut client, "data: one\n\n\r\n").await;
    }
    say.send(event(SECRET)).unwrap();
    let told = until(&mut client, "\n\n\r\n").await;
    assert!(told.contains(HELD) && !told.contains("live"), "{told}");
    // A value that is bound since.
    let second = SECRET.replace("live", "next");
    let given = bound(2, (HERE, port), &PLACES, &second);
    world.authenticate(&rest(port, ALL), given);
    say.send(event(&second)).unwrap();
    let told = until(&mut client, "\n\n\r\n").await;
    assert!(told.contains(HELD) && !told.contains("next"), "{told}");
    one_alarm(&world).await;
}

#[tokio::test]
async fn i03_what_looks_like_the_beginning_of_a_value_does_not_wait_for_long() {
    for coding in ["", "Content-Encoding: gzip\r\n"] {
        let (upstream, say) = told().await;
        let port = upstream.port;
        let world = world(port, &PLACES).await;
        let mut client = world.tunnel(port).await;
        client.write_all(get(port, "").replace("1.1", "1.0").as_bytes()).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{coding}\r\n");
        say.send(head.into_bytes()).unwrap();
        let packed = |part: &str| {
            if coding.is_empty() { part.as_bytes().to_vec() } else { gzip(part.as_bytes()) }
        };
        let mut came = Vec::new();
        for part in ["yes", "it goes on with sk", "and with sk-live"].map(packed) {
            say.send(part.clone()).unwrap();
            while !came.ends_with(&part) {
                let read = timeout(Duration::from_secs(5), client.read_buf(&mut came)).await;
                assert!(matches!(read, Ok(Ok(1..))), "{coding}{}", text(&came));
            }
        }
        // What follows is looked at as if that had not passed.
        let rest = packed(&SECRET[7..]);
        say.send(rest.clone()).unwrap();
        drop(say);
        let end = timeout(Duration::from_secs(5), client.read_to_end(&mut came)).await;
        let told = if coding.is_empty() { &HELD.as_bytes()[7..] } else { b"" };
        assert!(came.ends_with(told) && !came.ends_with(&rest), "{}", text(&came));
        assert!(end.is_ok(), "it ends in some way");
    }
}

#[tokio::test]
async fn i03_an_answer_that_began_before_a_value_was_bound_is_broken_off() {
    let none = bound(1, ("other.example.com", 443), &PLACES, SECRET);
    for endpoint in [ALL, ""] {
        let (upstream, say) = told().await;
        let port = upstream.port;
        let endpoint = if endpoint.is_empty() { host_endpoint(port) } else { rest(port, endpoint) };
        let world = World::new(&endpoint).await;
        world.authenticate(&endpoint, Arc::clone(&none));
        let mut client = world.tunnel(port).await;
        client.write_all(get(port, "").as_bytes()).await.unwrap();
        say.send(b"HTTP/1.1 200 OK\r\n\r\ndata: one\n\n".to_vec()).unwrap();
        let mut came = Vec::new();
        while !text(&came).contains("one\n\n") {
            assert!(client.read_buf(&mut came).await.unwrap() > 0);
        }
        world.authenticate(&endpoint, bound(2, (HERE, port), &PLACES, SECRET));
        // At once, and not when the server says more: that may be the value.
        let end = timeout(Duration::from_secs(5), client.read_to_end(&mut came)).await.unwrap();
        assert!(end.is_err(), "{}", text(&came));
        assert!(!came.ends_with(b"0\r\n\r\n"), "{}", text(&came));
        drop(say);
    }
}

#[tokio::test]
async fn i03_what_a_coding_has_beside_the_body_is_searched() {
    // A member of gzip with a file's name in it (RFC 1952, section 2.3), and nothing else.
    let begin = [0x1f, 0x8b, 8, 0b1000, 0, 0, 0, 0, 0, 3];
    let member = [&begin[..], SECRET.as_bytes(), b"\0", &gzip(b"")[10..]].concat();
    for size in [member.len(), 7] {
        let member = member.clone();
        let upstream = speaker(move |_| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
            [head].into_iter().chain(member.chunks(size).map(<[u8]>::to_vec)).collect()
        })
        .await;
        let world = world(upstream.port, &PLACES).await;
        let (answer, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
        assert!(!is_whole && !text(&answer).contains("live"), "{}", text(&answer));
        one_alarm(&world).await;
    }
}

#[tokio::test]
async fn i03_a_coded_answer_that_ends_within_a_value_is_broken_off() {
    for length in [SECRET.len() - 10, SECRET.len() - 1] {
        let packed = gzip(&SECRET.as_bytes()[..length]);
        for size in [packed.len(), 1] {
            let packed = packed.clone();
            let upstream = speaker(move |_| {
                let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
                [head].into_iter().chain(packed.chunks(size).map(<[u8]>::to_vec)).collect()
            })
            .await;
            let world = world(upstream.port, &PLACES).await;
            let (_, is_whole) = asked(&world, upstream.port, &get(upstream.port, "")).await;
            assert!(!is_whole, "{length}");
            one_alarm(&world).await;
        }
    }
}
