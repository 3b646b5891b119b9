use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{host, pair};
use crate::tls::{Alpn, Outward, OutwardError, Protocol, TrustError, negotiated};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    named("An authority of the Internet")
}

fn named(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A server with a certificate of `params`, signed by `issuer` or by itself.
fn server(
    params: &CertificateParams,
    issuer: Option<&CertifiedIssuer<'static, KeyPair>>,
    alpn: &[&[u8]],
) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// What a connection to an upstream came to.
#[derive(Debug)]
struct Met {
    kind: HandshakeKind,
    protocol: Option<Protocol>,
    /// The name that the server was asked for.
    asked: Option<String>,
}

async fn meet(
    outward: &Outward,
    server: &Arc<ServerConfig>,
    (to, offer): (&str, Alpn),
) -> Result<Met, OutwardError> {
    let (ours, theirs) = pair().await;
    let server = Arc::clone(server);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(theirs).await.ok()?;
        stream.write_all(b"hello").await.ok()?;
        stream.shutdown().await.ok()?;
        stream.get_ref().1.server_name().map(str::to_owned)
    });
    let mut stream = outward.connect(ours, &host(to), offer).await?;
    let mut words = Vec::new();
    stream.read_to_end(&mut words).await.unwrap();
    assert_eq!(words, b"hello");
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    Ok(Met { kind, protocol: negotiated(&stream), asked: serving.await.unwrap() })
}

#[tokio::test]
async fn an_upstream_is_verified_by_its_name_or_its_address() {
    let issuer = authority();
    let outward = Outward::without_system(Some(issuer.pem().as_bytes()));
    let config = server(&params(&["api.example.com", "192.0.2.7"]), Some(&issuer), &[]);
    let met = meet(&outward, &config, ("api.example.com", Alpn::Absent)).await.unwrap();
    assert_eq!(met.asked.as_deref(), Some("api.example.com"));
    let met = meet(&outward, &config, ("192.0.2.7", Alpn::Absent)).await.unwrap();
    assert_eq!(met.asked, None);
    let met = meet(&outward, &config, ("api.example.com", Alpn::Absent)).await.unwrap();
    assert_eq!(met.kind, HandshakeKind::Resumed);
}

#[tokio::test]
async fn d04_a_bad_certificate_fails_and_says_why() {
    let issuer = authority();
    let outward = Outward::without_system(Some(issuer.pem().as_bytes()));
    let now = SystemTime::now();
    let good = params(&["a.com"]);
    let mut expired = good.clone();
    expired.not_after = (now - DAY).into();
    let mut early = good.clone();
    early.not_before = (now + DAY).into();
    let mut for_clients = good.clone();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let others = params(&["b.com", "c.com", "d.com", "e.com"]);
    let unknown = named("An unknown authority");
    let impostor = authority();
    for (params, issuer, word, alert) in [
        (&expired, Some(&issuer), "expired on 20", AlertDescription::CertificateExpired),
        (&early, Some(&issuer), "is not valid before 20", AlertDescription::CertificateExpired),
        (
            &others,
            Some(&issuer),
            "another name: b.com, c.com, d.com, and",
            AlertDescription::BadCertificate,
        ),
        (&others, Some(&issuer), "and 1 more", AlertDescription::BadCertificate),
        (
            &for_clients,
            Some(&issuer),
            "is not one for a server",
            AlertDescription::UnsupportedCertificate,
        ),
        (&good, None, "an authority that this machine does not trust", AlertDescription::UnknownCA),
        (&good, Some(&unknown), "does not trust", AlertDescription::UnknownCA),
        (&good, Some(&impostor), "is not signed by", AlertDescription::DecryptError),
    ] {
        let config = server(params, issuer, &[]);
        let error = meet(&outward, &config, ("a.com", Alpn::Absent)).await.unwrap_err();
        assert!(error.to_string().starts_with("the certificate of `a.com` "), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!((error.predicate(), error.alert()), ("upstream_certificate", alert), "{error}");
    }
    assert!(
        meet(&outward, &server(&good, Some(&issuer), &[]), ("a.com", Alpn::Absent)).await.is_ok()
    );
}

#[tokio::test]
async fn d06_an_upstream_is_offered_what_the_client_offered() {
    let issuer = authority();
    let outward = Outward::without_system(Some(issuer.pem().as_bytes()));
    let both = server(&params(&["a.com"]), Some(&issuer), &[b"h2", b"http/1.1"]);
    let only = server(&params(&["a.com"]), Some(&issuer), &[b"h2"]);
    let meet = |config, offer| meet(&outward, config, ("a.com", offer));
    assert_eq!(meet(&both, Alpn::Http2Http1).await.unwrap().protocol, Some(Protocol::Http2));
    assert_eq!(meet(&both, Alpn::Http1).await.unwrap().protocol, Some(Protocol::Http1));
    assert_eq!(meet(&both, Alpn::Absent).await.unwrap().protocol, None);
    let error = meet(&only, Alpn::Http1).await.unwrap_err();
    assert_eq!(error.predicate(), "upstream_tls");
    assert_eq!(error.alert(), AlertDescription::NoApplicationProtocol);
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_or_goes_away_is_told_as_such() {
    let outward = Outward::without_system(Some(authority().pem().as_bytes()));
    for (words, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "something that is not TLS"),
        (b"", "ended the connection"),
        (&[21, 3, 3, 0, 2, 2, 40], "refused the TLS handshake with the alert HandshakeFailure"),
    ] {
        let (ours, mut theirs) = pair().await;
        let serving = tokio::spawn(async move {
            let mut hello = [0; 1024];
            let _ = theirs.read(&mut hello).await;
            theirs.write_all(words).await.unwrap();
            theirs.shutdown().await.unwrap();
            let _ = theirs.read_to_end(&mut Vec::new()).await;
        });
        let error = outward.connect(ours, &host("a.com"), Alpn::Absent).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.predicate(), "upstream_tls");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn the_machines_list_is_read_with_the_first_connection() {
    let outward = Outward::new(None).unwrap();
    assert!(!outward.is_loaded());
    let config = server(&params(&["a.com"]), None, &[]);
    let error = meet(&outward, &config, ("a.com", Alpn::Absent)).await.unwrap_err();
    assert_eq!(error.predicate(), "upstream_certificate");
    let nobody = Outward::without_system(None);
    let error = meet(&nobody, &config, ("a.com", Alpn::Absent)).await.unwrap_err();
    assert!(matches!(error, OutwardError::Trust(_)), "{error:?}");
    assert!(!nobody.is_loaded());
}

#[test]
fn an_operators_file_is_read_whole_or_refused() {
    let good = authority().pem();
    assert!(Outward::new(Some(format!("a comment\n{good}{good}").as_bytes())).is_ok());
    let bad = good.replacen("MII", "AAA", 1);
    let cut = &good[..good.len() / 2];
    for (text, expected) in [("", "no certificate"), (&bad, "certificate 1 in"), (cut, "not PEM")] {
        let error = Outward::new(Some(text.as_bytes())).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let long = vec![b'\n'; crate::limits::CA_FILE + 1];
    assert!(matches!(Outward::new(Some(&long)), Err(TrustError::TooLong)));
}
