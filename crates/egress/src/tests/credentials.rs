//! Credentials in requests: what arrives, and when a state of them is over.

use std::sync::Arc;
use std::time::Duration;

use openshell_audit::{Event, Outcome};
use openshell_credential::Credentials;
use openshell_types::{Binding, Credential, CredentialSet, Host, Placement, Port, Redacted};
use tokio::net::UdpSocket;

use super::requests::{ask, mirror, rest};
use super::world::*;

pub(super) const HELD: &str = "sk-test-PLACEHOLDERPLACEHOLDERPLACEHOLDER";
pub(super) const ALL: &str = "access: full";

/// One credential, bound to `x-api-key` at a host's port.
fn credentials(epoch: u64, host: &str, port: u16, secret: &str) -> Arc<Credentials> {
    bound(epoch, (host, port), &["header:x-api-key"], secret)
}

/// One credential, bound so at a host's port.
pub(super) fn bound(
    epoch: u64,
    (host, port): (&str, u16),
    placements: &[&str],
    secret: &str,
) -> Arc<Credentials> {
    let binding = |placement: &&str| Binding {
        host: Host::parse(host).unwrap(),
        port: Port::new(port).unwrap(),
        path: None,
        placement: Placement::parse(placement).unwrap(),
        rule: None,
    };
    let credential = Credential {
        name: "model/KEY".to_owned(),
        placeholder: HELD.to_owned(),
        secret: Redacted::new(secret.to_owned()),
        expires_ms: None,
        bindings: placements.iter().map(binding).collect(),
    };
    let mark = Redacted::new([7; 32]);
    Arc::new(Credentials::new(CredentialSet { epoch, mark, all: vec![credential] }))
}

fn request(path: &str, port: u16, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: host.openshell.internal:{port}\r\n{fields}\r\n")
}

#[tokio::test]
async fn i13_the_value_in_force_arrives_and_one_that_is_gone_does_not() {
    let upstream = mirror().await;
    let port = upstream.port;
    let endpoint = rest(port, ALL);
    let world = World::new(&endpoint).await;
    let one = credentials(1, "host.openshell.internal", port, "first");
    world.authenticate(&endpoint, one);
    let mut client = world.tunnel(port).await;
    let key = format!("X-Api-Key: {HELD}\r\n");
    for (epoch, secret) in [(1, "first"), (2, "second")] {
        let given = credentials(epoch, "host.openshell.internal", port, secret);
        let before = world.authenticate(&endpoint, given);
        assert!(before.is_over());
        // Over the connection that was there before.
        let answer = ask(&mut client, &request("/a", port, &key)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(upstream.bytes().to_lowercase().ends_with(&format!("x-api-key: {secret}\r\n\r\n")));
    }
    let seen = upstream.bytes().len();
    world.authenticate(&endpoint, credentials(3, "other.example.com", 443, "third"));
    let answer = ask(&mut client, &request("/a", port, &key)).await;
    assert!(answer.contains("credential_endpoint_mismatch"), "{answer}");
    assert_eq!(upstream.bytes().len(), seen);
    let Some(Event::Http(last)) = world.some_events().await.pop() else { panic!() };
    assert_eq!(last.outcome, Outcome::Denied);
    assert!(last.reason.unwrap().detail.contains("`model/KEY`"));
}

#[tokio::test]
async fn i09_a_connection_that_nobody_judged_is_read_where_a_credential_is_bound() {
    let upstream = mirror().await;
    let port = upstream.port;
    let endpoint = host_endpoint(port);
    let world = World::new(&endpoint).await;
    world.authenticate(&endpoint, credentials(1, "host.openshell.internal", port, "real"));
    let mut client = world.tunnel(port).await;
    let key = format!("X-Api-Key: {HELD}\r\n");
    let answer = ask(&mut client, &request("/a", port, &key)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let sent = upstream.bytes();
    assert!(sent.contains("real") && !sent.contains(HELD), "{sent}");
}

#[tokio::test]
async fn i13_a_state_is_over_when_nothing_is_sent_with_it() {
    // A name server that says nothing keeps the request from being sent.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = vec![silent.local_addr().unwrap()];
    let endpoint = "{ host: slow.example.com, port: 80, protocol: rest, access: full }";
    let world = World::with(endpoint, Options { resolver, ..Options::default() }).await;
    world.authenticate(endpoint, credentials(1, "slow.example.com", 80, "real"));
    let mut client = world.connect().await;
    let asked = format!(
        "GET http://slow.example.com/ HTTP/1.1\r\nHost: slow.example.com\r\nX-Api-Key: {HELD}\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut client, asked.as_bytes()).await.unwrap();
    let mut question = [0; 512];
    silent.recv_from(&mut question).await.unwrap();
    let before = world.authenticate(endpoint, credentials(2, "slow.example.com", 80, "other"));
    assert!(!before.is_over());
    drop(client);
    tokio::time::timeout(Duration::from_secs(30), before.over()).await.unwrap();
}
