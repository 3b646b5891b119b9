//! What the programs of a sandbox believe, of names and of authorities, decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use openshell_audit::{Event, Outcome};
use openshell_types::HostName;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::hello::{hello, sni};
use super::resolving::{name_server, outer_address};
use super::secure;
use super::world::*;
use crate::names::Pool;

fn greeting(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The destination and the predicate of the last connection.
async fn last(world: &World) -> (Outcome, Option<String>, Option<String>) {
    let Some(Event::Network(last)) = world.some_events().await.pop() else { panic!() };
    (last.outcome, last.destination.name, last.reason.map(|reason| reason.predicate))
}

#[tokio::test]
async fn a13_what_a_program_takes_for_the_address_of_a_name_decides_nothing() {
    let upstream = Upstream::http(1, ANSWER).await;
    let port = upstream.port;
    let (resolver, _) = name_server(vec![vec![outer_address()]]).await;
    let endpoint = format!("{{ host: api.example.com, port: {port} }}");
    let options = Options { resolver: vec![resolver], ..Options::default() };
    let world = World::with(&endpoint, options).await;
    let name = HostName::parse("api.example.com").unwrap();
    world.egress.context().names.bind(&name, Pool::Tcp).unwrap();
    // The name that is allowed, at an address from a hosts file of the program's own: where the name
    // leads outside, and another.
    for address in [outer_address(), [203, 0, 113, 9].into()] {
        let said =
            [greeting("api.example.com").into_bytes(), hello(&[sni("api.example.com")], 16_384)];
        for said in said {
            let mut client = world.transparent(SocketAddr::new(address.into(), port)).await;
            let _ = client.write_all(&said).await;
            let mut answer = Vec::new();
            read_to_its_end(&mut client, &mut answer).await;
            assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
            let (outcome, name, predicate) = last(&world).await;
            assert_eq!((outcome, name), (Outcome::Denied, None));
            assert_eq!(predicate.as_deref(), Some("host"));
        }
    }
    assert_eq!(upstream.connections(), 0);
    // Another name, at the address that stands for the allowed one: it is the allowed one's.
    let mut client = world.transparent_to("api.example.com", port).await;
    client.write_all(&hello(&[sni("evil.example.com")], 16_384)).await.unwrap();
    let mut answer = Vec::new();
    read_to_its_end(&mut client, &mut answer).await;
    let (outcome, _, predicate) = last(&world).await;
    assert_eq!((outcome, predicate.as_deref()), (Outcome::Denied, Some("sni_mismatch")));
    assert_eq!(upstream.bytes(), "");
    let mut client = world.transparent_to("api.example.com", port).await;
    client.write_all(greeting("evil.example.com").as_bytes()).await.unwrap();
    assert!(read_all(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    let (outcome, name, _) = last(&world).await;
    assert_eq!((outcome, name.as_deref()), (Outcome::Allowed, Some("api.example.com")));
}

#[tokio::test]
async fn a14_one_address_names_in_each_sandbox_its_own_name() {
    let upstream = Upstream::http(1, ANSWER).await;
    let port = upstream.port;
    let mut worlds = Vec::new();
    for host in ["one.example.com", "two.example.com"] {
        let (resolver, _) = name_server(vec![vec![outer_address()]]).await;
        let endpoint = format!("{{ host: {host}, port: {port} }}");
        let options = Options { resolver: vec![resolver], ..Options::default() };
        worlds.push((host, World::with(&endpoint, options).await));
    }
    let bind = |world: &World, host: &str| {
        world.egress.context().names.bind(&HostName::parse(host).unwrap(), Pool::Tcp).unwrap()
    };
    let addresses: Vec<_> = worlds.iter().map(|(host, world)| bind(world, host)).collect();
    assert_eq!(addresses[0], addresses[1]);
    for (host, world) in &worlds {
        let dialled = SocketAddr::new(addresses[0].v4.into(), port);
        let mut client = world.transparent(dialled).await;
        client.write_all(greeting(host).as_bytes()).await.unwrap();
        assert!(read_all(&mut client).await.starts_with("HTTP/1.1 200 OK"), "{host}");
        let (outcome, name, _) = last(world).await;
        assert_eq!((outcome, name.as_deref()), (Outcome::Allowed, Some(*host)));
    }
    // What one sandbox asked for is not there in the other.
    let more = bind(&worlds[0].1, "more.example.com");
    let mut client = worlds[1].1.transparent(SocketAddr::new(more.v4.into(), port)).await;
    assert_eq!(read_all(&mut client).await, "");
    let (outcome, name, _) = last(&worlds[1].1).await;
    assert_eq!((outcome, name), (Outcome::Denied, None));
    assert_eq!(upstream.connections(), 2);
}

/// An authority of the sandbox's own, and who answers by it for a name.
fn own_authority(name: &str) -> (rcgen::Certificate, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(secure::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], secret)
        .unwrap();
    (authority, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn d09_a_sandboxs_own_authority_and_who_answers_by_it_change_no_decision() {
    let (upstream, ca) = secure::server(&["http/1.1"]).await;
    let port = upstream.port;
    let world = secure::world(&upstream, ca).await;
    let (authority, acceptor) = own_authority(secure::NAME);
    // One program answers another in a server's place, and passes on what it reads.
    let (inner, outer) = duplex(64 * 1024);
    let mut onward = secure::client(&world, port, secure::NAME, &["http/1.1"]).await.unwrap();
    tokio::spawn(async move {
        let mut read = acceptor.accept(outer).await.unwrap();
        let _ = copy_bidirectional(&mut read, &mut onward).await;
    });
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(secure::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(secure::NAME).unwrap();
    let mut client = TlsConnector::from(Arc::new(config)).connect(name, inner).await.unwrap();
    for (path, status) in [("/repos/a", "200"), ("/users", "403")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}:{port}\r\n\r\n", secure::NAME);
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"HTTP/1.1") && !answer.ends_with(b"}") {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "{path}");
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    assert!(!upstream.bytes().contains("users"));
    // Who has a certificate of the sandbox's authority is no server to us.
    let (_, acceptor) = own_authority(secure::NAME);
    let theirs = Upstream::serve(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            seen.lock().unwrap().1.extend_from_slice(&bytes);
        }
    })
    .await;
    let (_, ca) = secure::server(&[]).await;
    let world = secure::world(&theirs, ca).await;
    assert!(secure::client(&world, theirs.port, secure::NAME, &[]).await.is_err());
    let (outcome, _, predicate) = last(&world).await;
    assert_eq!((outcome, predicate.as_deref()), (Outcome::Failed, Some("upstream_certificate")));
    assert_eq!(theirs.bytes(), "");
}
