//! Long answers, whose bodies pass through a pipe: what arrives, what follows, and how they end.

use std::time::Duration;

use openshell_audit::{Event, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::requests::{ask, rest};
use super::world::*;
use crate::limits;

const ALL: &str = "rules: [{ allow: { method: GET, path: '**' } }]";

/// The longest that any of this takes.
const LONGEST: Duration = Duration::from_secs(60);

/// A body in which each byte shows where it belongs.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

/// How a server answers.
#[derive(Clone, Copy)]
enum Manner {
    /// With so many bytes, as the path says.
    Whole,
    /// With more than its head says.
    Excess,
    /// With half of that, and then it ends the connection.
    Half,
    /// With half of that, and then it waits.
    Stuck,
    /// With half of that, and after a while with the rest.
    Slow,
    /// With a head that states no length, and the connection's end.
    UntilClose,
}

/// A server of bodies as long as the path says. It tells of each connection that ended.
async fn server(manner: Manner) -> (Upstream, mpsc::UnboundedReceiver<()>) {
    let (say, said) = mpsc::unbounded_channel();
    let upstream = Upstream::serve(move |stream, seen| {
        let say = say.clone();
        async move {
            let _gone = serve(stream, manner, &seen).await;
            let _unheard = say.send(());
        }
    })
    .await;
    (upstream, said)
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    seen: &std::sync::Mutex<(usize, Vec<u8>)>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head: Vec<u8> = bytes.drain(..end + 4).collect();
        seen.lock().unwrap().1.extend_from_slice(&head);
        let text = String::from_utf8_lossy(&head);
        let path = text.split(' ').nth(1).unwrap();
        let length: usize = path.trim_start_matches('/').parse().unwrap();
        let mut answer = match manner {
            Manner::UntilClose => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
        }
        .into_bytes();
        let body = body(length);
        match manner {
            Manner::Whole | Manner::UntilClose => answer.extend_from_slice(&body),
            Manner::Excess => {
                answer.extend_from_slice(&body);
                answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            }
            Manner::Half | Manner::Stuck | Manner::Slow => {
                answer.extend_from_slice(&body[..length / 2])
            }
        }
        stream.write_all(&answer).await?;
        match manner {
            Manner::Whole | Manner::Excess => {}
            Manner::Slow => {
                tokio::time::sleep(limits::BULK_IDLE * 3 / 2).await;
                stream.write_all(&body[length / 2..]).await?;
            }
            Manner::Half | Manner::UntilClose => return stream.shutdown().await,
            Manner::Stuck => {
                stream.read_buf(&mut bytes).await?;
                return Ok(());
            }
        }
    }
}

fn get(port: u16, length: usize) -> String {
    format!("GET /{length} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n\r\n")
}

/// Reads a head to its end.
async fn head(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(timeout(LONGEST, client.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads one answer of this length, and no byte of the next.
async fn expect(client: &mut TcpStream, length: usize) {
    let head = head(client).await;
    assert!(head.to_lowercase().contains(&format!("content-length: {length}\r\n")), "{head}");
    let mut got = vec![0; length];
    timeout(LONGEST, client.read_exact(&mut got)).await.unwrap().unwrap();
    assert!(got == body(length), "other bytes arrived: {length}");
}

/// What comes until the end, and whether that was a reset.
async fn to_the_end(client: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let ended = timeout(LONGEST, client.read_to_end(&mut bytes)).await.unwrap();
    (bytes, ended.is_err())
}

/// The outcomes of requests that are on record, and why.
fn told(world: &World) -> Vec<(Outcome, Option<String>)> {
    let http = |event| if let Event::Http(http) = event { Some(http) } else { None };
    let requests = world.seen().into_iter().filter_map(http);
    requests.map(|http| (http.outcome, http.reason.map(|reason| reason.predicate))).collect()
}

#[tokio::test]
async fn answers_of_every_length_follow_each_other_on_one_connection() {
    let (upstream, _) = server(Manner::Whole).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let (pipe, bulk) = (limits::PIPE, usize::try_from(limits::BULK).unwrap());
    let mut lengths = vec![0, 1, limits::RELAY_BUFFER, bulk - 1, bulk, bulk + 1];
    lengths.extend([pipe - 1, pipe + 1, 2 * pipe - 1, 2 * pipe, 2 * pipe + 1, 5_000_001, 0, 1]);
    let mut client = world.tunnel(port).await;
    for length in &lengths {
        client.write_all(get(port, *length).as_bytes()).await.unwrap();
        expect(&mut client, *length).await;
    }
    // All at once.
    let all: String = lengths.iter().map(|length| get(port, *length)).collect();
    client.write_all(all.as_bytes()).await.unwrap();
    for length in &lengths {
        expect(&mut client, *length).await;
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.bytes().matches("GET /").count(), 2 * lengths.len());
}

#[tokio::test]
async fn a_proxys_client_gets_long_answers_as_well() {
    let (upstream, _) = server(Manner::Whole).await;
    let to = format!("host.openshell.internal:{}", upstream.port);
    let world = World::new(&rest(upstream.port, ALL)).await;
    let mut client = world.connect().await;
    for length in [3_000_000, 7, 1_000_000] {
        let request = format!("GET http://{to}/{length} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        expect(&mut client, length).await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn e11_bytes_behind_a_long_answer_are_no_part_of_it() {
    let (upstream, _) = server(Manner::Excess).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let mut client = world.tunnel(port).await;
    for round in 1..=2 {
        client.write_all(get(port, 2_000_000).as_bytes()).await.unwrap();
        expect(&mut client, 2_000_000).await;
        // The connection over which something came unasked is not used again.
        assert_eq!(upstream.connections(), round);
    }
}

#[tokio::test]
async fn a_slow_client_gets_all_of_it() {
    let (upstream, _) = server(Manner::Whole).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(world.proxy).await.unwrap();
    let to = format!("host.openshell.internal:{port}");
    let length = 2_000_000;
    let request = format!("GET http://{to}/{length} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let _head = head(&mut client).await;
    let mut got = Vec::new();
    let mut part = [0; 3001];
    while got.len() < length {
        let read = timeout(LONGEST, client.read(&mut part)).await.unwrap().unwrap();
        assert!(read > 0, "cut after {}", got.len());
        got.extend_from_slice(&part[..read]);
        tokio::task::yield_now().await;
    }
    assert!(got == body(length), "other bytes arrived");
    assert!(ask(&mut client, &request.replace("/2000000", "/1")).await.ends_with('\0'));
}

#[tokio::test]
async fn a_server_may_rest_in_the_middle() {
    let (upstream, _) = server(Manner::Slow).await;
    let world = World::new(&rest(upstream.port, ALL)).await;
    let mut client = world.tunnel(upstream.port).await;
    for length in [4_000_000, 1] {
        client.write_all(get(upstream.port, length).as_bytes()).await.unwrap();
        expect(&mut client, length).await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn n02_when_a_client_goes_away_its_server_is_left() {
    for length in [5_000_000, 50_000_000] {
        for manner in [Manner::Whole, Manner::Stuck] {
            let (upstream, mut ended) = server(manner).await;
            let port = upstream.port;
            let world = World::new(&rest(port, ALL)).await;
            let mut client = world.tunnel(port).await;
            client.write_all(get(port, length).as_bytes()).await.unwrap();
            let mut first = vec![0; 1_000_000];
            timeout(LONGEST, client.read_exact(&mut first)).await.unwrap().unwrap();
            drop(client);
            timeout(LONGEST, ended.recv()).await.unwrap().unwrap();
            // Nothing of it is there for the next.
            let mut next = world.tunnel(port).await;
            next.write_all(get(port, 2).as_bytes()).await.unwrap();
            let (_, two) = (head(&mut next).await, next.read_u8().await.unwrap());
            assert_eq!((two, upstream.connections()), (0, 2));
        }
    }
}

#[tokio::test]
async fn e12_a_long_answer_that_is_cut_short_does_not_look_whole() {
    let (upstream, _) = server(Manner::Half).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    for round in 1..=2 {
        let mut client = world.tunnel(port).await;
        client.write_all(get(port, 3_000_000).as_bytes()).await.unwrap();
        let (bytes, is_reset) = to_the_end(&mut client).await;
        assert!(is_reset, "a cut must not look like an end");
        assert!(bytes.len() < 1_500_200, "{}", bytes.len());
        assert_eq!(upstream.connections(), round);
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_arrives_whole() {
    let (upstream, _) = server(Manner::UntilClose).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    for length in [0, 1, limits::PIPE, 3_000_000] {
        let mut client = world.tunnel(port).await;
        let request = get(port, length).replace("HTTP/1.1", "HTTP/1.0");
        client.write_all(request.as_bytes()).await.unwrap();
        let _head = head(&mut client).await;
        let (bytes, is_reset) = to_the_end(&mut client).await;
        assert!(!is_reset && bytes == body(length), "{length}: {}", bytes.len());
    }
}

#[tokio::test]
async fn h12_a_budget_has_room_for_a_long_answer_or_cuts_it_at_the_byte() {
    const LENGTH: usize = 1_500_000;
    let (upstream, _) = server(Manner::Whole).await;
    let port = upstream.port;
    let free = World::new(&rest(port, ALL)).await;
    let mut client = free.tunnel(port).await;
    client.write_all(get(port, LENGTH).as_bytes()).await.unwrap();
    expect(&mut client, LENGTH).await;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
    let total = upstream.bytes().len() + answer.len() + LENGTH;
    for room in [total, total - 1, total - LENGTH / 2] {
        let world = World::new(&rest(port, &format!("{ALL}, budget: {{ bytes: {room} }}"))).await;
        let mut client = world.tunnel(port).await;
        client.write_all(get(port, LENGTH).as_bytes()).await.unwrap();
        if room == total {
            expect(&mut client, LENGTH).await;
            // Not a byte is left.
            let denied = ask(&mut world.tunnel(port).await, &get(port, 0)).await;
            assert!(denied.starts_with("HTTP/1.1 403 "), "{denied}");
            assert_eq!(told(&world)[0], (Outcome::Allowed, None));
        } else {
            let (bytes, is_reset) = to_the_end(&mut client).await;
            assert!(is_reset, "a cut must not look like an end");
            // Our head has other fields than the server's.
            assert!(bytes.len() < room, "{}", bytes.len());
            let cut = (Outcome::Revoked, Some("budget".to_owned()));
            assert_eq!(told(&world), [(Outcome::Allowed, None), cut]);
        }
    }
}

#[tokio::test]
async fn e10_a_long_answer_ends_when_its_connection_is_no_longer_allowed() {
    let (upstream, mut ended) = server(Manner::Stuck).await;
    let port = upstream.port;
    let world = World::new(&rest(port, ALL)).await;
    let mut client = world.tunnel(port).await;
    client.write_all(get(port, 4_000_000).as_bytes()).await.unwrap();
    let mut first = vec![0; 1_000_000];
    timeout(LONGEST, client.read_exact(&mut first)).await.unwrap().unwrap();
    // Another rule for the same server changes nothing.
    world.enforce(&rest(port, "rules: [{ allow: { method: POST, path: '**' } }]"));
    timeout(LONGEST, client.read_exact(&mut first[..500_000])).await.unwrap().unwrap();
    world.enforce("{ host: other.example.com, port: 443 }");
    let (_, is_reset) = to_the_end(&mut client).await;
    assert!(is_reset, "a cut must not look like an end");
    timeout(LONGEST, ended.recv()).await.unwrap().unwrap();
}
