//! Credentials in messages over WebSockets.

use openshell_audit::Outcome;
use tokio::io::AsyncWriteExt;

use super::credentials::{HELD, bound};
use super::credentials_by_policy::bound_by;
use super::websocket::*;
use super::world::*;

const TALK: &str = "protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                    { allow: { method: WEBSOCKET_TEXT } }]";
const HERE: &str = "host.openshell.internal";

#[tokio::test]
async fn i07_a_placeholder_in_a_message_closes_it() {
    let upstream = echo("").await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, TALK)).await;
    let other = bound(1, ("other.example.com", 443), &["authorization"], "real");
    world.authenticate(&endpoint(port, TALK), other);
    let said = format!(r#"{{"text":"{HELD}"}}"#);
    let mut messages = vec![
        text(&said),
        client_frame(0x82, said.as_bytes()),
        client_frame(0x89, HELD.as_bytes()),
        client_frame(0x8a, HELD.as_bytes()),
        client_frame(0x88, &[&1000_u16.to_be_bytes()[..], HELD.as_bytes()].concat()),
    ];
    for split in 0..=said.len() {
        let (one, two) = said.as_bytes().split_at(split);
        let ping = client_frame(0x89, b"p");
        messages.push([client_frame(0x01, one), ping, client_frame(0x80, two)].concat());
    }
    let count = messages.len();
    for message in messages {
        let mut client = open(&world, port, "").await;
        client.write_all(&message).await.unwrap();
        let mut first = frame(&mut client).await;
        if first.0 == 0x8a {
            first = frame(&mut client).await;
        }
        assert_eq!((first.0, &first.1[..2]), (0x88, &1008_u16.to_be_bytes()[..]));
        assert_eq!(read_all(&mut client).await, "");
    }
    assert!(!upstream.bytes().contains("sk-"), "{}", upstream.bytes());
    let events = requests(&world).await;
    let denied = events.iter().filter(|http| http.outcome == Outcome::Denied);
    let reasons: Vec<_> =
        denied.map(|http| http.reason.as_ref().unwrap().predicate.as_str()).collect();
    assert_eq!(reasons, vec!["credential_elsewhere"; count]);
    assert_eq!(events.len(), 2 * count, "an upgrade and a denial each");
}

#[tokio::test]
async fn i07_a_placeholder_in_a_compressed_message_closes_it() {
    let agreed = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let upstream = echo(agreed).await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, TALK)).await;
    let other = bound(1, ("other.example.com", 443), &["authorization"], "real");
    world.authenticate(&endpoint(port, TALK), other);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let mut client = open(&world, port, offer).await;
    let packed = deflated(HELD.as_bytes());
    let (one, two) = packed.split_at(7);
    let frames = [client_frame(0x41, one), client_frame(0x80, two)].concat();
    client.write_all(&frames).await.unwrap();
    closed(&mut client, 1008).await;
    assert!(!upstream.bytes().contains("sk-"), "{}", upstream.bytes());
}

#[tokio::test]
async fn a_value_is_put_into_the_texts_of_its_server() {
    let upstream = echo("").await;
    let port = upstream.port;
    let world = World::new(&endpoint(port, TALK)).await;
    world.authenticate(&endpoint(port, TALK), bound(1, (HERE, port), &["message"], "re\"al"));
    let mut client = open(&world, port, "").await;
    for (said, sent) in [
        (format!(r#"{{"token":"{HELD}"}}"#), r#"{"token":"re\"al"}"#),
        (format!("AUTH {HELD}"), "AUTH re\"al"),
        ("nothing".to_owned(), "nothing"),
    ] {
        let (one, two) = said.as_bytes().split_at(5);
        let frames = [client_frame(0x01, one), client_frame(0x80, two)].concat();
        client.write_all(&frames).await.unwrap();
        assert_eq!(frame(&mut client).await, (0x81, sent.as_bytes().to_vec()));
    }
    // Another value from now on.
    let before =
        world.authenticate(&endpoint(port, TALK), bound(2, (HERE, port), &["message"], "second"));
    assert!(before.is_over());
    client.write_all(&text(HELD)).await.unwrap();
    assert_eq!(frame(&mut client).await, (0x81, b"second".to_vec()));
    // Nothing is put into what is no text.
    client.write_all(&client_frame(0x82, HELD.as_bytes())).await.unwrap();
    closed(&mut client, 1008).await;
    assert!(!upstream.bytes().contains("sk-"), "{}", upstream.bytes());
    // Where it is not bound to bodies it stays what it is.
    let field = bound(3, (HERE, port), &["authorization"], "real");
    world.authenticate(&endpoint(port, TALK), field);
    let mut client = open(&world, port, "").await;
    client.write_all(&text(HELD)).await.unwrap();
    assert_eq!(frame(&mut client).await, (0x81, HELD.as_bytes().to_vec()));
}

#[tokio::test]
async fn i02_a_text_of_a_program_that_the_rule_does_not_name_gets_no_value() {
    const BOUND: &str =
        "credential_binding: { provider: corp }, websocket_credential_rewrite: true";
    let upstream = echo("").await;
    let port = upstream.port;
    let (plain, given) = (endpoint(port, TALK), endpoint(port, &format!("{TALK}, {BOUND}")));
    let world = World::new(&plain).await;
    // Curl may talk there, and the credential is for wget.
    let of_another =
        format!("  web:\n    endpoints: [{given}]\n    binaries: [{{ path: /usr/bin/wget }}]\n");
    let credentials = |epoch, rule| bound_by(epoch, (rule, Some("/ws")), port, &["message"]);
    world.authenticate_beside(&plain, &of_another, credentials(1, "web"));
    for said in [text(HELD), client_frame(0x82, HELD.as_bytes())] {
        let mut client = open(&world, port, "").await;
        client.write_all(&said).await.unwrap();
        closed(&mut client, 1008).await;
    }
    assert!(!upstream.bytes().contains("real") && !upstream.bytes().contains("sk-"));
    let events = requests(&world).await;
    let last = events.last().and_then(|http| http.reason.clone()).unwrap();
    assert_eq!(last.predicate, "credential_program");

    world.authenticate(&given, credentials(2, "api"));
    let mut client = open(&world, port, "").await;
    client.write_all(&text(HELD)).await.unwrap();
    // The server says it again, and the sandbox does not get it.
    assert_eq!(frame(&mut client).await, (0x81, b"**********".to_vec()));
    assert!(upstream.bytes().contains("real-token"), "{}", upstream.bytes());
}
