use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use openshell_audit::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::world::*;
use crate::dns;
use crate::limits;
use crate::seams::DnsSocket;

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, u8::try_from(kind).unwrap(), 0, 1]);
    out
}

/// The response code, the number of answers, and the last four octets.
fn ask(world: &World, name: &str, kind: u16) -> (u8, u8, [u8; 4]) {
    let answer = dns::answer(world.egress.context(), &question(name, kind)).unwrap();
    let last: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
    (answer[3] & 0x0f, answer[7], last)
}

const A: u16 = 1;
const AAAA: u16 = 28;
const POLICY: &str = "{ host: api.example.com, port: 443 }, { host: \"*.wild.com\", port: 443 }";

#[tokio::test]
async fn a_permitted_name_gets_one_address_of_each_family_for_ever() {
    let world = World::new(POLICY).await;
    assert_eq!(ask(&world, "api.example.com", A), (0, 1, [198, 18, 1, 0]));
    assert_eq!(ask(&world, "X.wild.com", A), (0, 1, [198, 18, 1, 1]));
    assert_eq!(ask(&world, "API.example.com", A), (0, 1, [198, 18, 1, 0]));
    let (code, count, _) = ask(&world, "api.example.com", AAAA);
    assert_eq!((code, count), (0, 1));
    world.events(0).await;
}

#[tokio::test]
async fn a07_a_name_outside_of_the_policy_does_not_exist() {
    let world = World::new(POLICY).await;
    for name in ["c2VjcmV0.evil.com", "evilapi.example.com", "api.example.com.evil.com"] {
        assert_eq!(ask(&world, name, A).0, 3, "{name}");
    }
    let events = world.events(3).await;
    let Event::Dns(dns) = &events[0] else { panic!("{events:?}") };
    assert_eq!((dns.name.as_str(), dns.record_type.as_str()), ("c2vjcmv0.evil.com", "A"));
    assert_eq!((dns.predicate.as_str(), dns.count), ("not_in_policy", 1));
}

#[tokio::test]
async fn a10_other_types_have_no_data() {
    let world = World::new(POLICY).await;
    for kind in [16, 33, 65, 255, 10, 5] {
        let (code, count, _) = ask(&world, "api.example.com", kind);
        assert_eq!((code, count), (0, 0), "{kind}");
    }
    assert_eq!(ask(&world, "1.0.0.127.in-addr.arpa", 12).0, 3);
    // All but HTTPS, which ordinary clients ask for, and the question for a name of an address.
    world.events(5 + 1).await;
}

#[tokio::test]
async fn localhost_is_this_jail_itself() {
    let world = World::new("").await;
    assert_eq!(ask(&world, "localhost", A), (0, 1, [127, 0, 0, 1]));
    assert_eq!(ask(&world, "x.localhost", AAAA), (0, 1, [0, 0, 0, 1]));
    assert_eq!(ask(&world, "localhost", 16).1, 0);
    world.events(0).await;
}

#[tokio::test]
async fn the_host_has_a_name_only_when_the_policy_declares_it() {
    let world = World::new(POLICY).await;
    assert_eq!(ask(&world, "host.openshell.internal", A).0, 3);
    world.enforce(&host_endpoint(80));
    assert_eq!(ask(&world, "host.openshell.internal", A).0, 0);
}

#[tokio::test]
async fn a11_a_flood_is_a_few_events_and_counts_everything() {
    let world = World::new(POLICY).await;
    for _ in 0..1000 {
        ask(&world, "evil.com", A);
    }
    for number in 0..1000 {
        ask(&world, &format!("n{number}.evil.com"), A);
    }
    for _ in 0..1000 {
        assert!(dns::answer(world.egress.context(), &[0; 12]).is_some());
        assert!(dns::answer(world.egress.context(), b"x").is_none());
    }
    world.egress.context().refused.flush_all();
    let events = world.events(limits::DNS_FOLDS + 3).await;
    let total: u64 = events
        .iter()
        .map(|event| match event {
            Event::Dns(dns) => dns.count,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(total, 4000);
}

#[tokio::test]
async fn dns_is_answered_over_tcp_whatever_server_was_dialled() {
    let world = World::new(POLICY).await;
    let mut client = world.transparent("8.8.8.8:53".parse().unwrap()).await;
    for name in ["api.example.com", "evil.com"] {
        let question = question(name, A);
        client.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
        client.write_all(&question).await.unwrap();
        let length = client.read_u16().await.unwrap();
        let mut answer = vec![0; usize::from(length)];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[3] & 0x0f, if name == "evil.com" { 3 } else { 0 });
    }
    client.write_u16(u16::MAX).await.unwrap();
    client.write_all(&[0; 8192]).await.unwrap();
    assert!(client.read_u8().await.is_err());
}

/// An ordinary socket in the place of the captured one.
struct Loopback {
    socket: Arc<UdpSocket>,
    asked: SocketAddr,
}

#[async_trait]
impl DnsSocket for Loopback {
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        let (length, client) = self.socket.recv_from(buffer).await?;
        Ok((length, client, self.asked))
    }

    async fn send(&self, datagram: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<()> {
        assert_eq!(from, self.asked);
        self.socket.send_to(datagram, to).await.map(drop)
    }
}

#[tokio::test]
async fn dns_is_answered_over_udp_as_if_by_the_server_that_was_asked() {
    let world = World::new(POLICY).await;
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let server = socket.local_addr().unwrap();
    let captured = Loopback { socket, asked: "1.1.1.1:53".parse().unwrap() };
    let (egress, token) = (world.egress.clone(), world.shutdown.clone());
    tokio::spawn(async move { egress.serve_dns(captured, token).await });
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(&[7; 5000], server).await.unwrap();
    client.send_to(&question("api.example.com", A), server).await.unwrap();
    let mut answer = [0; 512];
    loop {
        let (length, _) = client.recv_from(&mut answer).await.unwrap();
        if answer[..2] == [0x12, 0x34] {
            assert_eq!(answer[length - 4..length], [198, 18, 1, 0]);
            break;
        }
    }
}
