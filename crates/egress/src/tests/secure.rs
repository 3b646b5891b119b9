//! Requests within TLS that is ended here, in both versions of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use openshell_audit::{Event, Network, Outcome};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::world::*;

pub(super) const NAME: &str = "host.openshell.internal";

/// A server's side of TLS with a certificate for [`NAME`] of an authority of its own, whose list in
/// PEM comes with it. It speaks what of `alpn` the client offers, and nothing else.
pub(super) fn acceptor(alpn: &[&str]) -> (TlsAcceptor, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([NAME.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], secret)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), ca.into_bytes())
}

/// A server with such a certificate.
pub(super) async fn server(alpn: &[&str]) -> (Upstream, Vec<u8>) {
    let (acceptor, ca_file) = acceptor(alpn);
    let is_early = alpn.contains(&"early");
    let upstream = Upstream::serve(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let note = move |bytes: &[u8]| seen.lock().unwrap().1.extend_from_slice(bytes);
            if is_early {
                early(stream).await;
            } else if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2(stream, note).await;
            } else {
                http1(stream, note).await;
            }
        }
    })
    .await;
    (upstream, ca_file)
}

/// Answers each request without a body with its own first line.
async fn http1(mut stream: tokio_rustls::server::TlsStream<TcpStream>, note: impl Fn(&[u8])) {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            note(&head);
            let line = head.split(|byte| *byte == b'\r').next().unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(line).await.unwrap();
        }
    }
}

/// Answers the first request when it has its head, and wants no more of it: what is said then is
/// sent at once (RFC 9113, section 8.1).
async fn early(mut stream: tokio_rustls::server::TlsStream<TcpStream>) {
    let settings = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    stream.write_all(settings).await.unwrap();
    let mut bytes = Vec::new();
    // The head of a HEADERS frame of stream 1, with its end, without the stream's.
    while !bytes.windows(6).any(|six| six == b"\x01\x04\0\0\0\x01") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03413";
    let body = b"\0\0\x08\0\x01\0\0\0\x01too long";
    let reset = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0";
    stream.write_all(&[&head[..], body, reset].concat()).await.unwrap();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {}
}

/// Answers each request with its body, and tells its path and authority in trailers.
async fn http2(stream: tokio_rustls::server::TlsStream<TcpStream>, note: impl Fn(&[u8])) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        note(request.uri().to_string().as_bytes());
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-uri", request.uri().to_string().parse().unwrap());
        tokio::spawn(async move {
            let mut body = request.into_body();
            let head = http::Response::builder().header("alt-svc", "h3=\":443\"").body(()).unwrap();
            let Ok(mut down) = answer.send_response(head, false) else { return };
            while let Some(Ok(data)) = body.data().await {
                let length = data.len();
                down.send_data(data, false).unwrap();
                body.flow_control().release_capacity(length).unwrap();
            }
            let _ = down.send_trailers(trailers);
        });
    }
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A client within a tunnel that trusts the sandbox's authority.
pub(super) async fn client(
    world: &World,
    port: u16,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tunnel = world.tunnel(port).await;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tunnel).await
}

pub(super) async fn world(upstream: &Upstream, ca_file: Vec<u8>) -> World {
    let rules = "rules: [{ allow: { method: GET, path: /repos/** } }, \
                 { allow: { method: POST, path: /up } }]";
    let endpoint = super::requests::rest(upstream.port, rules);
    World::with(&endpoint, Options { ca_file: Some(ca_file), ..Options::default() }).await
}

/// The one event of a connection.
async fn network(world: &World) -> Network {
    let found = world.events(1).await.into_iter().find_map(|event| match event {
        Event::Network(network) => Some(network),
        _ => None,
    });
    found.expect("an event of the connection")
}

async fn h1_ask(client: &mut TlsStream<TcpStream>, port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}:{port}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.ends_with("HTTP/1.1") && text.contains("\r\n\r\n") || text.ends_with('}') {
            return text;
        }
        if client.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

#[tokio::test]
async fn requests_within_tls_are_judged() {
    let (upstream, ca) = server(&["http/1.1"]).await;
    let world = world(&upstream, ca).await;
    for offer in [&["http/1.1"][..], &[], &["h2", "http/1.1"]] {
        let mut client = client(&world, upstream.port, NAME, offer).await.unwrap();
        let chosen = client.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(chosen.is_some(), !offer.is_empty(), "{offer:?}");
        for _ in 0..2 {
            let answer = h1_ask(&mut client, upstream.port, "/repos/./a").await;
            assert!(answer.ends_with("GET /repos/a HTTP/1.1"), "{answer}");
        }
        let answer = h1_ask(&mut client, upstream.port, "/users").await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    }
    assert!(!upstream.bytes().contains("users"));
}

#[tokio::test]
async fn d01_a_hello_for_another_name_is_refused() {
    let (upstream, ca) = server(&["http/1.1"]).await;
    let world = world(&upstream, ca).await;
    let error = client(&world, upstream.port, "evil.example.com", &[]).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(network(&world).await.reason.unwrap().predicate, "sni_mismatch");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn d04_an_upstream_that_cannot_be_verified_is_never_spoken_to() {
    let (upstream, _) = server(&["http/1.1"]).await;
    let (_, other) = server(&[]).await;
    let world = world(&upstream, other).await;
    let error = client(&world, upstream.port, NAME, &[]).await.unwrap_err();
    assert!(error.to_string().contains("received fatal alert"), "{error}");
    let event = network(&world).await;
    assert_eq!(event.outcome, Outcome::Failed);
    assert_eq!(event.reason.unwrap().predicate, "upstream_certificate");
    assert_eq!(upstream.bytes(), "");
}

#[tokio::test]
async fn d06_nothing_is_downgraded_silently() {
    let (upstream, ca) = server(&["http/1.1"]).await;
    let world = world(&upstream, ca).await;
    let error = client(&world, upstream.port, NAME, &["h2"]).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

/// Opens HTTP/2 with a client that offers it first.
pub(super) async fn open(world: &World, port: u16) -> h2::client::SendRequest<Bytes> {
    let stream = client(world, port, NAME, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

pub(super) struct Answer {
    pub(super) head: http::response::Parts,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<http::HeaderMap>,
}

pub(super) async fn send(
    requests: &h2::client::SendRequest<Bytes>,
    request: http::Request<()>,
    body: &[u8],
) -> Result<Answer, h2::Error> {
    let mut requests = requests.clone().ready().await?;
    let (response, mut up) = requests.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        up.send_data(Bytes::copy_from_slice(body), true)?;
    }
    let (head, mut down) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = down.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        down.flow_control().release_capacity(data.len())?;
    }
    Ok(Answer { head, body, trailers: down.trailers().await? })
}

pub(super) fn request(method: &str, uri: &str) -> http::Request<()> {
    http::Request::builder().method(method).uri(uri).body(()).unwrap()
}

#[tokio::test]
async fn f04_each_stream_is_judged_alone() {
    let (upstream, ca) = server(&["h2", "http/1.1"]).await;
    let world = world(&upstream, ca).await;
    let requests = open(&world, upstream.port).await;
    let site = format!("https://{NAME}:{}", upstream.port);

    let answer = send(&requests, request("GET", &format!("{site}/repos//a")), b"").await.unwrap();
    assert_eq!(answer.head.status, 200);
    assert!(!answer.head.headers.contains_key("alt-svc"));
    assert_eq!(answer.trailers.unwrap()["x-uri"], format!("{site}/repos/a"));

    let denied = send(&requests, request("GET", &format!("{site}/users")), b"").await.unwrap();
    assert_eq!((denied.head.status.as_u16(), denied.trailers.is_none()), (403, true));
    assert_eq!(denied.head.headers["x-openshell-policy"], "denied");
    assert!(String::from_utf8(denied.body).unwrap().contains(r#""layer":"l7""#));

    let big = vec![7; 3_000_000];
    let answer = send(&requests, request("POST", &format!("{site}/up")), &big).await.unwrap();
    assert_eq!((answer.head.status.as_u16(), answer.body.len()), (200, big.len()));

    for other in ["https://evil.example.com/repos/a", &format!("https://{NAME}/repos/a")] {
        let denied = send(&requests, request("GET", other), b"").await.unwrap();
        assert_eq!(denied.head.status, 403, "{other}");
        let body = String::from_utf8(denied.body).unwrap();
        assert!(body.contains("request_authority_mismatch"), "{body}");
    }
    let mut two = request("GET", &format!("{site}/repos/a"));
    two.headers_mut().insert("host", "evil.example.com".parse().unwrap());
    assert_eq!(send(&requests, two, b"").await.unwrap().head.status, 403);
    assert_eq!(upstream.connections(), 1);
    assert!(!upstream.bytes().contains("users") && !upstream.bytes().contains("evil"));
}

#[tokio::test]
async fn an_answer_before_the_end_of_its_request_arrives_whole() {
    let (upstream, ca) = server(&["h2", "early"]).await;
    let world = world(&upstream, ca).await;
    let mut requests = open(&world, upstream.port).await.ready().await.unwrap();
    let early = request("POST", &format!("https://{NAME}:{}/up", upstream.port));
    let (response, mut up) = requests.send_request(early, false).unwrap();
    up.send_data(vec![7; 3_000_000].into(), false).unwrap();
    let (head, mut down) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 413);
    assert_eq!(down.data().await.unwrap().unwrap(), "too long");
    assert!(down.data().await.is_none());
    // Only later does it learn that the rest is not wanted.
    let mut reset = std::pin::pin!(std::future::poll_fn(|context| up.poll_reset(context)));
    let soon = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(soon, &mut reset).await.is_err());
    assert_eq!(reset.await.unwrap(), h2::Reason::NO_ERROR);
}

#[tokio::test]
async fn f06_no_tunnel_hides_in_a_stream() {
    let (upstream, ca) = server(&["h2"]).await;
    let world = world(&upstream, ca).await;
    let requests = open(&world, upstream.port).await;
    let mut tunnel = http::Request::new(());
    *tunnel.method_mut() = http::Method::CONNECT;
    *tunnel.uri_mut() = format!("{NAME}:{}", upstream.port).parse().unwrap();
    assert_eq!(send(&requests, tunnel, b"").await.unwrap().head.status, 403);
    assert_eq!(upstream.bytes(), "");
}

#[tokio::test]
async fn a_denied_call_of_grpc_gets_its_status() {
    let (upstream, ca) = server(&["h2"]).await;
    let world = world(&upstream, ca).await;
    let requests = open(&world, upstream.port).await;
    let mut call = request("POST", &format!("https://{NAME}:{}/a.B/C", upstream.port));
    call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    let answer = send(&requests, call, b"\0\0\0\0\0").await.unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["grpc-status"], "7");
    assert!(!answer.head.headers["grpc-message"].is_empty());
    assert_eq!(upstream.bytes(), "");
}

#[tokio::test]
async fn e10_streams_end_with_what_allowed_them() {
    let (upstream, ca) = server(&["h2"]).await;
    let world = world(&upstream, ca).await;
    let requests = open(&world, upstream.port).await;
    let uri = format!("https://{NAME}:{}/repos/a", upstream.port);
    assert_eq!(send(&requests, request("GET", &uri), b"").await.unwrap().head.status, 200);
    world.enforce("");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(send(&requests, request("GET", &uri), b"").await.is_err());
}
