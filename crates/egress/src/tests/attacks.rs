//! What a hostile client, or server, tries over connections on which requests are judged.

use std::sync::Arc;
use std::time::Duration;

use openshell_audit::{Event, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::requests::{ask, mirror, rest};
use super::world::*;

const READ: &str = "rules: [{ allow: { method: GET, path: /a/** } }, \
                    { allow: { method: POST, path: /a/** } }]";

fn request(port: u16, line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n{fields}\r\n")
}

/// Waits until a server got this.
async fn has_seen(upstream: &Upstream, text: &str) {
    let seen = async {
        while !upstream.bytes().contains(text) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), seen).await.expect("the server got it");
}

#[tokio::test]
async fn c09_no_rule_is_held_against_a_field_that_is_not_sent() {
    let upstream = mirror().await;
    let rules = "rules: [{ allow: { method: GET, path: /**, headers: { x-mode: safe } } }]";
    let world = World::new(&rest(upstream.port, rules)).await;
    let mut client = world.tunnel(upstream.port).await;
    let plain = request(upstream.port, "GET /a", "X-Mode: safe\r\n");
    assert!(ask(&mut client, &plain).await.starts_with("HTTP/1.1 200"));
    let hidden = request(upstream.port, "GET /a", "X-Mode: safe\r\nConnection: x-mode\r\n");
    assert!(ask(&mut client, &hidden).await.starts_with("HTTP/1.1 403"));
    assert_eq!(upstream.bytes().matches("GET ").count(), 1, "{}", upstream.bytes());
}

#[tokio::test]
async fn c09_connection_cannot_take_what_is_needed_and_is_not_told_as_allowed() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ)).await;
    let mut client = world.tunnel(upstream.port).await;
    let strips = request(upstream.port, "GET /a/b", "Connection: close, Host\r\n");
    assert!(ask(&mut client, &strips).await.starts_with("HTTP/1.1 400"));
    let outcomes: Vec<_> = world
        .events(2)
        .await
        .into_iter()
        .filter_map(|event| if let Event::Http(http) = event { Some(http.outcome) } else { None })
        .collect();
    assert_ne!(outcomes, [Outcome::Allowed]);
    assert_eq!((outcomes.len(), upstream.connections()), (1, 0));
}

#[tokio::test]
async fn e10_a_request_is_not_sent_again_under_another_policy() {
    // Answers one request of the first connection, and resets it in the second when it is told to.
    let told = Arc::new(Notify::new());
    let hears = Arc::clone(&told);
    let upstream = Upstream::serve(move |mut stream, seen| {
        let hears = Arc::clone(&hears);
        async move {
            let is_first = seen.lock().unwrap().0 == 1;
            for number in 0.. {
                let mut bytes = vec![0; 4096];
                let Ok(read @ 1..) = stream.read(&mut bytes).await else { return };
                seen.lock().unwrap().1.extend_from_slice(&bytes[..read]);
                if is_first && number == 1 {
                    hears.notified().await;
                    return stream.set_zero_linger().unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let port = upstream.port;
    let world = World::new(&rest(port, READ)).await;
    let mut client = world.tunnel(port).await;
    assert!(ask(&mut client, &request(port, "GET /a/1", "")).await.starts_with("HTTP/1.1 200"));
    client.write_all(request(port, "GET /a/2", "").as_bytes()).await.unwrap();
    has_seen(&upstream, "/a/2").await;
    world.enforce(&rest(port, "rules: [{ allow: { method: GET, path: /b/** } }]"));
    told.notify_one();
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(upstream.bytes().matches("/a/2").count(), 1, "{}", upstream.bytes());
}

#[tokio::test]
async fn n02_nobody_waits_for_the_answer_of_a_client_that_is_gone() {
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::serve(move |mut stream, seen| {
        let said = said.clone();
        async move {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                seen.lock().unwrap().1.extend_from_slice(&bytes[..read]);
            }
            said.send(()).unwrap();
        }
    })
    .await;
    let world = World::new(&rest(upstream.port, READ)).await;
    let mut client = world.tunnel(upstream.port).await;
    let post = request(upstream.port, "POST /a/b", "Content-Length: 3\r\n") + "abc";
    client.write_all(post.as_bytes()).await.unwrap();
    has_seen(&upstream, "abc").await;
    client.set_zero_linger().unwrap();
    drop(client);
    timeout(Duration::from_secs(5), heard.recv()).await.unwrap().unwrap();
    assert!(upstream.bytes().ends_with("abc"), "{}", upstream.bytes());
}

#[tokio::test]
async fn a_connection_that_a_request_authenticated_is_not_shared() {
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ)).await;
    for fields in ["Authorization: Negotiate abc\r\n", "Authorization: Bearer abc\r\n", ""] {
        let mut client = world.tunnel(upstream.port).await;
        let answer = ask(&mut client, &request(upstream.port, "GET /a/b", fields)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
    }
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn e11_what_a_server_says_unasked_is_nobodys_answer() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    // Says a second answer with the first, or when that was read.
    for is_later in [false, true] {
        let (read, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (hears, says) = (Arc::clone(&read), Arc::clone(&said));
        let upstream = Upstream::serve(move |mut stream, _| {
            let (read, said) = (Arc::clone(&hears), Arc::clone(&says));
            async move {
                let mut bytes = vec![0; 4096];
                while let Ok(1..) = stream.read(&mut bytes).await {
                    if is_later {
                        let _ = stream.write_all(ANSWER).await;
                        read.notified().await;
                        let _ = stream.write_all(UNASKED).await;
                    } else {
                        let _ = stream.write_all(&[ANSWER, UNASKED].concat()).await;
                    }
                    said.notify_one();
                }
            }
        })
        .await;
        let world = World::new(&rest(upstream.port, READ)).await;
        for _ in 0..3 {
            let mut client = world.tunnel(upstream.port).await;
            for _ in 0..3 {
                let answer = ask(&mut client, &request(upstream.port, "GET /a/b", "")).await;
                assert!(answer.ends_with("\r\n\r\na"), "{answer}");
                if is_later {
                    read.notify_one();
                }
                said.notified().await;
            }
        }
        assert_eq!(upstream.connections(), 9);
    }
}

#[tokio::test]
async fn n02_an_idle_connection_costs_little() {
    const COUNT: usize = 1000;
    let upstream = mirror().await;
    let world = World::new(&rest(upstream.port, READ)).await;
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let mut clients = Vec::new();
    let before = resident();
    for _ in 0..COUNT - 1 {
        let mut client = world.tunnel(upstream.port).await;
        client.write_all(b"GET /a/b HT").await.unwrap();
        clients.push(client);
    }
    sleep(Duration::from_millis(300)).await;
    let each = resident().saturating_sub(before) / COUNT;
    println!("{each} bytes for each connection with half a head");
    assert!(each < 64 * 1024, "{each}");
    // Others are served meanwhile.
    let mut client = world.tunnel(upstream.port).await;
    let answer = ask(&mut client, &request(upstream.port, "GET /a/b", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
