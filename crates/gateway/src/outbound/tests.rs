//! Real connections, to servers of the test's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use openshell_types::Redacted;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::url::UrlError;
use super::*;

const LONG: Duration = Duration::from_secs(60);
const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A request to `url` with a body.
fn post(url: &str) -> Outgoing {
    Outgoing {
        method: Method::POST,
        url: OutboundUrl::parse(url).unwrap(),
        headers: vec![(http::header::ACCEPT, HeaderValue::from_static("application/json"))],
        body: Redacted::new(b"canary".to_vec()),
        patience: LONG,
        most: 64,
    }
}

/// Reads one request and answers it; what was read comes back.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"canary") {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "the request is cut off");
        read.extend_from_slice(&buffer[..length]);
    }
    // A client that has enough may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    String::from_utf8(read).unwrap()
}

async fn plain(text: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, text).await
    });
    (port, serving)
}

/// A server for `name` whose authority's certificate is in `ca`.
async fn secure(name: &str, ca: &Path) -> (u16, JoinHandle<Option<String>>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(leaf.der().to_vec())],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.ok()?;
        Some(answer(stream, FINE).await)
    });
    (port, serving)
}

#[tokio::test]
async fn a_request_goes_out_whole_and_its_answer_comes_back() {
    let (port, serving) = plain(FINE).await;
    let request = post(&format!("http://127.0.0.1:{port}/token?a=b"));
    let answer = Outbound::default().send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.expose().as_slice()), (200, b"ok".as_slice()));
    let read = serving.await.unwrap();
    assert!(read.starts_with("POST /token?a=b HTTP/1.1\r\n"), "{read}");
    for field in [&format!("host: 127.0.0.1:{port}"), "content-length: 6", "connection: close"] {
        assert!(read.contains(&format!("{field}\r\n")), "{field}: {read}");
    }
}

#[tokio::test]
async fn a_server_with_tls_is_believed_when_an_authority_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let (port, serving) = secure("127.0.0.1", &ca).await;
    let outbound = Outbound::new(Some(ca));
    let answer = outbound.send(post(&format!("https://127.0.0.1:{port}/"))).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(serving.await.unwrap().unwrap().ends_with("canary"));
}

#[tokio::test]
async fn i08_nothing_is_sent_to_a_server_that_nobody_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    // Of another authority, and with another name.
    secure("127.0.0.1", &other).await.1.abort();
    for (name, trusted) in [("127.0.0.1", &other), ("another.test", &ca)] {
        let (port, serving) = secure(name, &ca).await;
        let outbound = Outbound::new(Some(trusted.clone()));
        let refused = outbound.send(post(&format!("https://127.0.0.1:{port}/"))).await;
        assert!(matches!(refused, Err(OutboundError::Tls { .. })), "{refused:?}");
        assert_eq!(serving.await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn a_list_of_authorities_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (port, serving) = secure("127.0.0.1", &folder.path().join("ca.pem")).await;
    let outbound = Outbound::new(Some(folder.path().join("none.pem")));
    let refused = outbound.send(post(&format!("https://127.0.0.1:{port}/"))).await.unwrap_err();
    assert!(refused.to_string().contains("none.pem"), "{refused}");
    assert_eq!(serving.await.unwrap(), None);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    const MOVED: &str =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n";
    let (port, serving) = plain(MOVED).await;
    let answer = Outbound::default().send(post(&format!("http://127.0.0.1:{port}"))).await;
    assert_eq!(answer.unwrap().status, StatusCode::TEMPORARY_REDIRECT);
    serving.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_none_is_an_error() {
    let long: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n{}", "x".repeat(65)).into_boxed_str(),
    );
    let chunk = "20\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";
    let chunked: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(3))
            .into_boxed_str(),
    );
    for text in [long, chunked] {
        let (port, serving) = plain(text).await;
        let answer = Outbound::default().send(post(&format!("http://127.0.0.1:{port}/"))).await;
        assert!(matches!(answer, Err(OutboundError::TooLong { most: 64, .. })), "{answer:?}");
        serving.await.unwrap();
    }
    for text in ["", "canary\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncanary"] {
        let (port, serving) = plain(text).await;
        let answer = Outbound::default().send(post(&format!("http://127.0.0.1:{port}/"))).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, OutboundError::Http { .. }), "{text}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut request = post(&format!("http://127.0.0.1:{port}/"));
    request.patience = Duration::from_millis(50);
    let refused = Outbound::default().send(request).await;
    assert!(matches!(refused, Err(OutboundError::Timeout { .. })), "{refused:?}");
}

#[test]
fn i08_plain_text_goes_to_this_machine_alone() {
    for fine in
        ["https://a.test", "https://a.test:8443/x?y=z", "http://127.0.0.9:1/", "http://[::1]/"]
    {
        assert!(OutboundUrl::parse(fine).is_ok(), "{fine}");
    }
    for (text, error) in [
        ("http://a.test/", UrlError::Plain),
        ("http://10.0.0.1/", UrlError::Plain),
        ("http://localhost/", UrlError::Plain),
        ("http://127.0.0.1@a.test/", UrlError::Authority),
        ("http://2130706433/", UrlError::Authority),
        ("https://user:canary@a.test/", UrlError::Authority),
        ("https://a.test/#x", UrlError::Character),
        ("https://a.test/x\r\ny: z", UrlError::Character),
        ("https:/\\a.test/", UrlError::Character),
        ("ftp://a.test/", UrlError::Scheme),
        ("a.test", UrlError::Scheme),
    ] {
        assert_eq!(OutboundUrl::parse(text).unwrap_err(), error, "{text}");
    }
    let shown = format!("{:?}", post("https://a.test/token?secret=canary"));
    assert!(shown.contains("https://a.test:443/token") && !shown.contains("canary"), "{shown}");
}
