use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use openshell_audit::{Event, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_one_event_whatever_the_client_does() {
    const ATTEMPTS: usize = 500;
    let upstream = Upstream::echo("").await;
    let world = Arc::new(World::new(&host_endpoint(upstream.port)).await);
    let port = upstream.port;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..ATTEMPTS {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            let allowed = format!("host.openshell.internal:{port}");
            let denied = "evil.example.com:443";
            let to = if number % 2 == 0 { allowed.as_str() } else { denied };
            let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
            let mut client = world.connect().await;
            match number % 5 {
                // Gone before a word, in the middle of the head, or right after it.
                0 => client.set_zero_linger().unwrap(),
                1 => {
                    client.write_all(&request.as_bytes()[..20]).await.unwrap();
                    client.set_zero_linger().unwrap();
                }
                2 => {
                    client.write_all(request.as_bytes()).await.unwrap();
                    client.set_zero_linger().unwrap();
                }
                3 => {
                    let mut client = world.transparent("203.0.113.1:9".parse().unwrap()).await;
                    client.set_zero_linger().unwrap();
                    let _ = client.write_all(b"x").await;
                    return 1;
                }
                _ => {
                    client.write_all(request.as_bytes()).await.unwrap();
                    client.shutdown().await.unwrap();
                    let mut answer = Vec::new();
                    let _ = client.read_to_end(&mut answer).await;
                    assert!(answer.starts_with(b"HTTP/1.1 "));
                }
            }
            0
        });
    }
    // Every fifth attempt also opened a proxy connection and dropped it.
    let extra: usize = tasks.join_all().await.into_iter().sum();
    let events = world.events(ATTEMPTS + extra).await;
    let mut outcomes: HashMap<_, usize> = HashMap::new();
    for event in &events {
        let Event::Network(network) = event else { panic!("{event:?}") };
        assert_ne!(network.reason.as_ref().map(|r| r.predicate.as_str()), Some("internal"));
        *outcomes.entry(network.outcome).or_default() += 1;
    }
    assert!(outcomes[&Outcome::Allowed] >= 50 && outcomes[&Outcome::Denied] >= 150, "{outcomes:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_reset_and_counted() {
    let upstream = Upstream::echo("").await;
    let options = Options { max_connections: 2, ..Options::default() };
    let world = World::with(&host_endpoint(upstream.port), options).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = world.tunnel(upstream.port).await;
        client.write_all(b"x").await.unwrap();
        held.push(client);
    }
    for _ in 0..5 {
        let mut client = world.connect().await;
        assert!(client.read_u8().await.is_err());
    }
    // One event, or two when the clock ticked in between.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let refused: u64 = world
        .seen()
        .iter()
        .filter_map(|event| match event {
            Event::Network(network) => network.reason.as_ref(),
            other => panic!("{other:?}"),
        })
        .inspect(|reason| assert_eq!(reason.predicate, "too_many_connections"))
        .map(|reason| reason.detail.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(refused, 5);
    drop(held);
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.tunnel(upstream.port).await;
}

#[tokio::test]
async fn shutdown_ends_live_connections() {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    world.shutdown.cancel();
    let end = tokio::time::timeout(Duration::from_secs(1), client.read_u8()).await.unwrap();
    assert!(end.is_err());
}
