//! Flows of UDP: one outcome each, bounded, counted, and refused where they may not go.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openshell_audit::{Event, Network, Outcome, Way};
use openshell_types::HostName;
use tokio::net;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::resolving::answer_questions;
use super::world::{Options, World};
use crate::limits;
use crate::names::Pool;
use crate::seams::{Datagram, UdpSocket};

/// A socket of curl, as the world's identification has it.
const CURL: u32 = 1;

/// What the jail's side was sent.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Answer(Vec<u8>, SocketAddr),
    Refused(usize),
}

/// The captured sockets: the kernel's part is tried in `isolation` and end to end.
struct Captured {
    from_jail: Mutex<mpsc::UnboundedReceiver<(Vec<u8>, Datagram)>>,
    to_jail: mpsc::UnboundedSender<Told>,
}

#[async_trait]
impl UdpSocket for Captured {
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        match self.from_jail.lock().await.recv().await {
            Some((payload, datagram)) => {
                buffer[..payload.len()].copy_from_slice(&payload);
                Ok(datagram)
            }
            None => std::future::pending().await,
        }
    }

    fn send(&self, payload: &[u8], (from, _): (SocketAddr, SocketAddr)) -> io::Result<()> {
        self.to_jail.send(Told::Answer(payload.to_vec(), from)).map_err(io::Error::other)
    }

    fn refuse(&self, length: usize, _: (SocketAddr, SocketAddr)) -> io::Result<()> {
        self.to_jail.send(Told::Refused(length)).map_err(io::Error::other)
    }
}

/// A program of the jail, and the server of this host that it speaks with.
struct Jail {
    world: World,
    to_egress: mpsc::UnboundedSender<(Vec<u8>, Datagram)>,
    from_egress: mpsc::UnboundedReceiver<Told>,
    /// What the server heard; it sends each back.
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
    address: SocketAddr,
}

impl Jail {
    /// One whose server is named with these further words.
    async fn new(more: &str, options: Options) -> Self {
        let server = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let world = World::with(&endpoint(port, more), options).await;
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            while let Ok((length, from)) = server.recv_from(&mut buffer).await {
                hears.send(buffer[..length].to_vec()).unwrap();
                server.send_to(&buffer[..length], from).await.unwrap();
            }
        });
        Self::of(world, heard, ("host.openshell.internal", port))
    }

    /// One that speaks with this name.
    fn of(
        world: World,
        heard: mpsc::UnboundedReceiver<Vec<u8>>,
        (name, port): (&str, u16),
    ) -> Self {
        let (to_egress, from_jail) = mpsc::unbounded_channel();
        let (to_jail, from_egress) = mpsc::unbounded_channel();
        let captured = Arc::new(Captured { from_jail: Mutex::new(from_jail), to_jail });
        let (egress, shutdown) = (world.egress.clone(), world.shutdown.clone());
        tokio::spawn(async move { egress.serve_udp(captured, shutdown).await });
        let name = HostName::parse(name).unwrap();
        let synthetic = world.egress.context().names.bind(&name, Pool::Both).unwrap();
        let address = SocketAddr::new(synthetic.v4.into(), port);
        Self { world, to_egress, from_egress, heard, address }
    }

    fn say(&self, payload: &[u8], from: u16, mark: u32) {
        let from = SocketAddr::from((Ipv4Addr::new(198, 18, 0, 1), from));
        let datagram = Datagram { length: payload.len(), from, to: self.address, mark };
        self.to_egress.send((payload.to_vec(), datagram)).unwrap();
    }

    /// The server's next datagram.
    async fn echo(&mut self) -> Vec<u8> {
        timeout(Duration::from_secs(10), self.heard.recv()).await.expect("a datagram").unwrap()
    }

    async fn told(&mut self) -> Told {
        timeout(Duration::from_secs(10), self.from_egress.recv()).await.expect("a word").unwrap()
    }

    /// What is on record about flows once there is so much of it.
    async fn events(&self, count: usize) -> Vec<Network> {
        let network = |event| match event {
            Event::Network(network) => network,
            other => panic!("{other:?}"),
        };
        self.world.events(count).await.into_iter().map(network).collect()
    }
}

fn endpoint(port: u16, more: &str) -> String {
    format!("{{ host: host.openshell.internal, port: {port}, protocol: udp{more} }}")
}

fn predicate(event: &Network) -> (Outcome, Option<&str>) {
    (event.outcome, event.reason.as_ref().map(|reason| reason.predicate.as_str()))
}

#[tokio::test]
async fn a_flow_is_judged_once_and_carries_both_ways() {
    let mut jail = Jail::new("", Options::default()).await;
    for payload in [&b"one"[..], b"", b"three"] {
        jail.say(payload, 5000, CURL);
        assert_eq!(jail.echo().await, payload);
        assert_eq!(jail.told().await, Told::Answer(payload.to_vec(), jail.address));
    }
    let events = jail.events(1).await;
    assert_eq!(predicate(&events[0]), (Outcome::Allowed, None));
}

#[tokio::test]
async fn what_is_refused_is_told_each_time_and_on_record_once() {
    let mut jail = Jail::new("", Options::default()).await;
    for mark in [0, 99] {
        for length in [4, 5, 6] {
            jail.say(&vec![0; length], 5000, mark);
            assert_eq!(jail.told().await, Told::Refused(length));
        }
    }
    let events = jail.events(2).await;
    for event in &events {
        assert_eq!(predicate(event), (Outcome::Denied, Some("unidentified")));
    }
    // SECURITY: the mark is whose it is, not the address: curl is heard from the same one.
    jail.say(b"mine", 5000, CURL);
    assert_eq!(jail.echo().await, b"mine");
    assert_eq!(jail.told().await, Told::Answer(b"mine".to_vec(), jail.address));
}

#[tokio::test]
async fn another_policy_judges_a_refused_flow_anew_and_ends_an_allowed_one() {
    let mut jail = Jail::new("", Options::default()).await;
    let port = jail.address.port();
    jail.say(b"one", 5000, CURL);
    assert_eq!(jail.echo().await, b"one");
    assert_eq!(jail.told().await, Told::Answer(b"one".to_vec(), jail.address));
    jail.world.enforce("{ host: other.example.com, port: 1 }");
    assert_eq!(predicate(&jail.events(2).await[1]), (Outcome::Revoked, Some("host")));
    jail.say(b"two", 5000, CURL);
    assert_eq!(jail.told().await, Told::Refused(3));
    jail.world.enforce(&endpoint(port, ""));
    // The refused flow ends by itself: until then its datagrams are refused.
    let answer = loop {
        jail.say(b"three", 5000, CURL);
        match jail.told().await {
            Told::Refused(5) => {}
            other => break other,
        }
    };
    assert_eq!(answer, Told::Answer(b"three".to_vec(), jail.address));
    assert_eq!(jail.echo().await, b"three");
}

#[tokio::test]
async fn tcp_and_udp_are_permitted_apart() {
    let mut jail = Jail::new("", Options::default()).await;
    let port = jail.address.port();
    let to = format!("host.openshell.internal:{port}");
    let answer = jail.world.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    jail.world.enforce(&format!("{{ host: host.openshell.internal, port: {port} }}"));
    jail.say(b"one", 5000, CURL);
    assert_eq!(jail.told().await, Told::Refused(3));
    assert_eq!(predicate(&jail.events(2).await[1]), (Outcome::Denied, Some("port")));
}

#[tokio::test]
async fn a_budget_counts_both_ways_and_ends_the_flow() {
    let mut jail = Jail::new(", budget: { bytes: 10 }", Options::default()).await;
    jail.say(b"five!", 5000, CURL);
    assert_eq!(jail.echo().await, b"five!");
    assert_eq!(jail.told().await, Told::Answer(b"five!".to_vec(), jail.address));
    jail.say(b"more", 5000, CURL);
    assert_eq!(jail.told().await, Told::Refused(4));
    // Of another socket, too: it is the endpoint's.
    jail.say(b"again", 5001, CURL);
    assert_eq!(jail.told().await, Told::Refused(5));
    let events = jail.events(3).await;
    assert_eq!(predicate(&events[1]), (Outcome::Revoked, Some("budget")));
    assert_eq!(predicate(&events[2]), (Outcome::Denied, Some("budget")));
}

#[tokio::test]
async fn an_empty_datagram_does_not_pass_a_budget_that_is_used_up() {
    let mut jail = Jail::new(", budget: { bytes: 10 }", Options::default()).await;
    jail.say(b"five!", 5000, CURL);
    assert_eq!(jail.echo().await, b"five!");
    assert_eq!(jail.told().await, Told::Answer(b"five!".to_vec(), jail.address));
    jail.say(b"", 5000, CURL);
    assert_eq!(jail.told().await, Told::Refused(0));
    assert_eq!(predicate(&jail.events(2).await[1]), (Outcome::Revoked, Some("budget")));
    assert!(jail.heard.try_recv().is_err());
}

#[tokio::test]
async fn m04_flows_take_the_places_of_connections_and_one_more_is_refused() {
    let options = Options { max_connections: 2, ..Options::default() };
    let mut jail = Jail::new("", options).await;
    for from in [5000, 5001] {
        jail.say(b"in", from, CURL);
        assert_eq!(jail.echo().await, b"in");
        assert_eq!(jail.told().await, Told::Answer(b"in".to_vec(), jail.address));
    }
    jail.say(b"out", 5002, CURL);
    assert_eq!(jail.told().await, Told::Refused(3));
    let events = jail.events(3).await;
    assert_eq!(predicate(&events[2]), (Outcome::Denied, Some("too_many_connections")));
    assert_eq!(events[2].way, Way::Datagram);
    assert!(events[2].reason.as_ref().unwrap().detail.starts_with("1 datagrams "));
}

#[tokio::test]
async fn n02_a_server_alone_does_not_keep_a_flow() {
    let server = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    let options = Options { max_connections: 1, ..Options::default() };
    let world = World::with(&endpoint(port, ""), options).await;
    let mut jail = Jail::of(world, mpsc::unbounded_channel().1, ("host.openshell.internal", port));
    let mut buffer = [0; 16];
    jail.say(b"one", 5000, CURL);
    let (_, first) = server.recv_from(&mut buffer).await.unwrap();
    for _ in 0..2 {
        server.send_to(b"still here", first).await.unwrap();
        assert_eq!(jail.told().await, Told::Answer(b"still here".to_vec(), jail.address));
        tokio::time::pause();
        tokio::time::advance(limits::FLOW_IDLE.mul_f32(0.6)).await;
        tokio::time::resume();
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(jail.world.egress.context().place().is_some(), "the flow is still there");
    jail.say(b"two", 5000, CURL);
    let (_, second) = server.recv_from(&mut buffer).await.unwrap();
    assert_ne!(first, second);
    let events = jail.events(2).await;
    assert_eq!(predicate(&events[1]), (Outcome::Allowed, None));
}

#[tokio::test]
async fn n01_what_waits_for_a_slow_name_server_is_bounded_over_all_flows() {
    const LONG: usize = 60 * 1024;
    let silent = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let resolver = vec![silent.local_addr().unwrap()];
    let options = Options { resolver, ..Options::default() };
    let world = World::with("{ host: slow.example.com, port: 9, protocol: udp }", options).await;
    let mut jail = Jail::of(world, mpsc::unbounded_channel().1, ("slow.example.com", 9));
    for from in 5000..5012 {
        for _ in 0..limits::FLOW_WAITING {
            jail.say(&[0; LONG], from, CURL);
        }
    }
    let most = limits::DATAGRAMS * 1024 / LONG;
    // A flow that waits for no name: it is refused once all before it were taken.
    jail.say(b"!", 6000, 0);
    assert_eq!(jail.told().await, Told::Refused(1));
    let room = jail.world.egress.context().datagrams.available_permits();
    assert!(room < LONG / 1024, "{room}");
    tokio::spawn(answer_questions(silent, vec![Vec::new()], Arc::default()));
    for at in 0..most {
        assert_eq!(jail.told().await, Told::Refused(LONG), "{at}");
    }
    assert!(jail.from_egress.try_recv().is_err());
}

#[tokio::test]
async fn m13_nothing_leaves_that_cannot_be_recorded() {
    let mut jail = Jail::new("", Options::default()).await;
    jail.world.fill_the_log(true);
    jail.say(b"unseen", 5000, CURL);
    assert_eq!(jail.told().await, Told::Refused(6));
    jail.world.fill_the_log(false);
    jail.say(b"seen", 5001, CURL);
    assert_eq!(jail.echo().await, b"seen");
}
