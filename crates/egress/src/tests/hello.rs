use openshell_audit::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

fn block16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &block16(content)].concat()
}

/// A TLS hello with these extensions, in records of at most `size` octets.
pub(super) fn hello(extensions: &[Vec<u8>], size: usize) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &block16(&[0x13, 0x01]),
        &[1, 0],
        &block16(&extensions.concat()),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &block16(part)].concat()).collect()
}

pub(super) fn sni(name: &str) -> Vec<u8> {
    extension(0, &block16(&[&[0][..], &block16(name.as_bytes())].concat()))
}

/// Sends `bytes` through a tunnel: what came upstream, the predicate of a denial, what came back.
async fn send(pieces: &[&[u8]]) -> (usize, Option<String>, Vec<u8>) {
    let upstream = Upstream::echo("").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    for piece in pieces {
        client.write_all(piece).await.unwrap();
        client.flush().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    let _ = client.shutdown().await;
    let mut back = Vec::new();
    read_to_its_end(&mut client, &mut back).await;
    let event = world.one_network().await;
    let predicate = event.reason.map(|reason| reason.predicate);
    assert_eq!(predicate.is_some(), event.outcome == Outcome::Denied);
    (upstream.bytes().len(), predicate, back)
}

#[tokio::test]
async fn a_hello_for_the_permitted_name_passes_unchanged() {
    let hello = hello(&[sni("host.openshell.internal")], 16_384);
    let (came, predicate, back) = send(&[&hello]).await;
    assert_eq!(predicate, None);
    assert!(came > 0);
    assert!(back.starts_with(&hello));
}

#[tokio::test]
async fn d01_a_hello_for_another_name_is_denied_with_an_alert_and_no_bytes() {
    let (came, predicate, back) = send(&[&hello(&[sni("evil.com")], 16_384)]).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("sni_mismatch")));
    assert_eq!(back, [21, 3, 3, 0, 2, 2, 112]);
}

#[tokio::test]
async fn d01_a_hello_for_another_name_behind_a_greeting_revokes_what_was_allowed() {
    let upstream = Upstream::echo("220 ready\r\n").await;
    let world = World::new(&host_endpoint(upstream.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.read_exact(&mut [0; 11]).await.unwrap();
    client.write_all(&hello(&[sni("evil.com")], 16_384)).await.unwrap();
    read_to_its_end(&mut client, &mut Vec::new()).await;
    let outcomes: Vec<Outcome> = world
        .events(2)
        .await
        .into_iter()
        .map(|event| match event {
            openshell_audit::Event::Network(network) => network.outcome,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        (outcomes, upstream.bytes().as_str()),
        (vec![Outcome::Allowed, Outcome::Revoked], "")
    );
}

#[tokio::test]
async fn d02_a_hello_without_a_name_or_with_a_hidden_one_is_denied() {
    let (came, predicate, _) = send(&[&hello(&[], 16_384)]).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("sni_missing")));
    let hidden = [sni("host.openshell.internal"), extension(0xfe0d, &[0; 8])];
    let (came, predicate, _) = send(&[&hello(&hidden, 16_384)]).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("sni_hidden")));
}

#[tokio::test]
async fn d02_an_alert_before_the_hello_does_not_hide_it() {
    let alert = [&[21, 3, 1, 0, 2, 1, 0][..], &hello(&[sni("evil.com")], 16_384)].concat();
    let (came, predicate, _) = send(&[&alert]).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("tls_malformed")));
}

#[tokio::test]
async fn c07_a_hello_in_drops_is_put_together_first() {
    let evil = hello(&[sni("evil.com")], 5);
    let pieces: Vec<&[u8]> = evil.chunks(1).collect();
    let (came, predicate, _) = send(&pieces).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("sni_mismatch")));
    let good = hello(&[sni("host.openshell.internal")], 5);
    let pieces: Vec<&[u8]> = good.chunks(7).collect();
    let (came, predicate, _) = send(&pieces).await;
    assert_eq!((came, predicate), (good.len(), None));
    let (came, predicate, _) = send(&[&good[..20]]).await;
    assert_eq!((came, predicate.as_deref()), (0, Some("tls_incomplete")));
}
