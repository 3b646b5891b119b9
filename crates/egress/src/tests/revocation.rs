use std::sync::Arc;
use std::time::Duration;

use openshell_audit::{Event, Outcome};
use openshell_policy::{Caller, Program};
use openshell_types::{Authority, Generation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::world::*;
use crate::authorize::authorize;
use crate::seams::PolicyInForce;
use crate::upstream_proxy::Reached;

#[tokio::test]
async fn e10_a_tunnel_is_closed_when_the_policy_changes_its_mind() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"a").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'a');
    world.enforce("{ host: api.example.com, port: 443 }");
    let end = timeout(Duration::from_millis(500), client.read_u8()).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let events = world.events(2).await;
    let Event::Network(revoked) = &events[1] else { panic!("{events:?}") };
    assert_eq!(revoked.outcome, Outcome::Revoked);
    assert_eq!(revoked.generation, Generation::new(2));
    assert_eq!(revoked.reason.as_ref().unwrap().predicate, "host");
}

#[tokio::test]
async fn a_tunnel_that_is_still_allowed_survives_a_policy_change() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"a").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'a');
    let more = format!("{{ host: x.com, port: 1 }}, {}", host_endpoint(upstream.port));
    for _ in 0..3 {
        world.enforce(&more);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.write_all(b"b").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'b');
    world.events(1).await;
}

#[tokio::test]
async fn e10_a_silent_tunnel_is_revoked_too_and_reported_once() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    world.enforce("");
    assert!(timeout(Duration::from_millis(500), client.read_u8()).await.unwrap().is_err());
    assert_eq!(world.one_network().await.outcome, Outcome::Revoked);
}

#[tokio::test]
async fn e10_a_stale_permit_does_not_relay() {
    let in_force = |endpoints: &str, number| {
        Arc::new(PolicyInForce::new(policy(endpoints), Generation::new(number), Arc::default()))
    };
    let old = in_force(&host_endpoint(80), 1);
    let exe = Program { file: CURL, path: Some("/usr/bin/curl".into()), sha256: None };
    let by = Arc::new(Caller { exe, ancestors: Vec::new() });
    let to = Authority::parse("host.openshell.internal:80").unwrap();
    let mut permit = authorize(Arc::clone(&old), to, by).unwrap();
    let (sender, mut policies) = watch::channel(old);
    let loopback = Reached::Address("127.0.0.1:1".parse().unwrap());
    assert!(permit.refresh(&mut policies, loopback).is_ok());
    sender.send_replace(in_force(&host_endpoint(80), 2));
    assert!(permit.refresh(&mut policies, loopback).is_ok());
    assert_eq!(permit.generation(), Generation::new(2));
    sender.send_replace(in_force(&host_endpoint(81), 3));
    assert!(permit.refresh(&mut policies, loopback).is_err());
}
