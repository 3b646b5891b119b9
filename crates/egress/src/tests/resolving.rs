use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openshell_audit::Outcome;
use openshell_codec::dns::{Query, RecordType};
use tokio::net::UdpSocket;

use super::world::*;

/// A name server that gives the answers of `sets` in turn to questions for A, with TTL 0, and
/// counts them.
pub(super) async fn name_server(sets: Vec<Vec<Ipv4Addr>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    tokio::spawn(answer_questions(socket, sets, Arc::clone(&asked)));
    (address, asked)
}

pub(super) async fn answer_questions(
    socket: UdpSocket,
    sets: Vec<Vec<Ipv4Addr>>,
    counter: Arc<AtomicUsize>,
) {
    let mut buffer = [0; 1024];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let query = Query::parse(&buffer[..length]).unwrap();
        let set = if query.record_type == RecordType::A {
            let turn = counter.fetch_add(1, Ordering::SeqCst);
            sets[turn.min(sets.len() - 1)].clone()
        } else {
            Vec::new()
        };
        let name: usize = query.labels.iter().map(|label| label.len() + 1).sum();
        let mut answer = buffer[..12 + name + 5].to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[6..12].copy_from_slice(&[0, u8::try_from(set.len()).unwrap(), 0, 0, 0, 0]);
        for address in set {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend_from_slice(&address.octets());
        }
        socket.send_to(&answer, client).await.unwrap();
    }
}

fn options(server: SocketAddr) -> Options {
    Options { resolver: vec![server], ..Options::default() }
}

pub(super) fn connect_to(to: &str) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
}

/// An address of this host that is not loopback.
pub(super) fn outer_address() -> Ipv4Addr {
    let socket = StdUdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    match socket.local_addr().unwrap().ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!(),
    }
}

#[tokio::test]
async fn b02_one_bad_answer_refuses_the_whole_set() {
    let set = vec![Ipv4Addr::new(203, 0, 113, 9), Ipv4Addr::new(169, 254, 169, 254)];
    let (server, _) = name_server(vec![set]).await;
    let world = World::with("{ host: api.example.com, port: 443 }", options(server)).await;
    let answer = world.ask(&connect_to("api.example.com:443")).await;
    assert!(answer.contains(r#""error":"ssrf_denied""#), "{answer}");
    let event = world.one_network().await;
    assert_eq!(event.outcome, Outcome::Denied);
    assert_eq!(event.reason.unwrap().predicate, "never_reachable");
}

#[tokio::test]
async fn b02_a_wildcard_never_leads_to_a_private_address() {
    let (server, _) = name_server(vec![vec![Ipv4Addr::new(10, 0, 0, 1)]]).await;
    let world = World::with("{ host: \"*.example.com\", port: 443 }", options(server)).await;
    let answer = world.ask(&connect_to("api.example.com:443")).await;
    assert!(answer.contains(r#""error":"ssrf_denied""#), "{answer}");
    assert_eq!(world.one_network().await.outcome, Outcome::Denied);
}

#[tokio::test]
async fn b01_a_rebinding_name_is_resolved_once_and_every_dial_is_checked() {
    let upstream = Upstream::http(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let good = vec![outer_address()];
    let (server, asked) = name_server(vec![good, vec![Ipv4Addr::LOCALHOST]]).await;
    let endpoint = format!("{{ host: api.example.com, port: {} }}", upstream.port);
    let world = World::with(&endpoint, options(server)).await;
    let to = format!("api.example.com:{}", upstream.port);
    let get = format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    let answer = world.ask(&get).await;
    assert!(answer.ends_with("ok"), "{answer}");
    assert_eq!((asked.load(Ordering::SeqCst), upstream.connections()), (1, 1));
    let answer = world.ask(&get).await;
    assert!(answer.contains(r#""error":"ssrf_denied""#), "{answer}");
    assert_eq!(upstream.connections(), 1);
    world.events(2).await;
}

#[tokio::test]
async fn b09_a_name_that_leads_to_this_host_is_refused() {
    let upstream = Upstream::echo("").await;
    let own = outer_address();
    let (server, _) = name_server(vec![vec![own]]).await;
    let endpoint = format!("{{ host: api.example.com, port: {} }}", upstream.port);
    let options = Options { own: vec![own.into()], ..options(server) };
    let world = World::with(&endpoint, options).await;
    let answer = world.ask(&connect_to(&format!("api.example.com:{}", upstream.port))).await;
    assert!(answer.contains(r#""reason":"never_reachable""#), "{answer}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a07_a_denied_name_is_never_resolved() {
    let (server, asked) = name_server(vec![vec![Ipv4Addr::new(203, 0, 113, 9)]]).await;
    let world = World::with("{ host: api.example.com, port: 443 }", options(server)).await;
    let answer = world.ask(&connect_to("secret.evil.com:443")).await;
    assert!(answer.contains(r#""reason":"host""#), "{answer}");
    let answer = world.ask(&connect_to("api.example.com:444")).await;
    assert!(answer.contains(r#""reason":"port""#), "{answer}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure() {
    let (server, _) = name_server(vec![Vec::new()]).await;
    let world = World::with("{ host: api.example.com, port: 443 }", options(server)).await;
    let answer = world.ask(&connect_to("api.example.com:443")).await;
    assert!(answer.contains(r#""error":"upstream_unreachable""#), "{answer}");
    assert_eq!(world.one_network().await.reason.unwrap().predicate, "unresolved");
}
