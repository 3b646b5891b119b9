use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, Error, HandshakeKind, NamedGroup, ServerConfig,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::{client, client_of, host, leaves, name, pair};
use crate::limits;
use crate::tls::{Alpn, Authority, Leaves, accept};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What a client sees.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: HandshakeKind,
    alpn: Option<Vec<u8>>,
    certificate: Vec<u8>,
}

/// A client's whole visit: handshake, a few bytes each way, and the end.
async fn visit(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    to: &'static str,
) -> Result<Seen, Error> {
    let (ours, theirs) = pair().await;
    let server = Arc::clone(server);
    let serving = tokio::spawn(async move {
        // The first bytes are read before it is known what to do with them.
        let mut held = vec![0; 100];
        let mut theirs = theirs;
        theirs.read_exact(&mut held).await.unwrap();
        let mut stream = accept(held, theirs, server).await?;
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await?;
        stream.write_all(&asked).await?;
        stream.shutdown().await
    });
    let mut stream = match TlsConnector::from(Arc::clone(client)).connect(name(to), ours).await {
        Ok(stream) => stream,
        Err(error) => {
            let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>()).cloned();
            return Err(error.expect("a TLS error"));
        }
    };
    stream.write_all(b"ping").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"ping");
    serving.await.unwrap().unwrap();
    let tls = stream.get_ref().1;
    Ok(Seen {
        kind: tls.handshake_kind().unwrap(),
        alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
        certificate: tls.peer_certificates().unwrap()[0].to_vec(),
    })
}

fn full(kind: HandshakeKind) -> bool {
    matches!(kind, HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
}

#[tokio::test]
async fn the_cipher_is_ours_to_choose_of_those_that_a_client_offers() {
    for (most, chosen) in [
        (usize::MAX, CipherSuite::TLS13_AES_128_GCM_SHA256),
        // The one that is first with clients alone.
        (1, CipherSuite::TLS13_AES_256_GCM_SHA384),
    ] {
        let (authority, leaves) = leaves();
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.truncate(most);
        let config = Arc::new(client_of(provider, authority.pem(), &[&TLS13]));
        let server = leaves.config(&host("a.example.com"), Alpn::Http1).unwrap();
        let (ours, theirs) = pair().await;
        let serving = tokio::spawn(async move { accept(Vec::new(), theirs, server).await.is_ok() });
        let connector = TlsConnector::from(config);
        let stream = connector.connect(name("a.example.com"), ours).await.unwrap();
        let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(chosen));
        assert!(serving.await.unwrap());
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_under_a_name_or_an_address() {
    let (authority, leaves) = leaves();
    let long = "a-label-of-some-length.and-another-label-of-some-length.and-one-more.example.com";
    for to in ["api.example.com", "a_b.example.com", "192.0.2.7", "2001:db8::7", long] {
        let to: &'static str = to;
        let bracketed = if to.contains(':') { format!("[{to}]") } else { to.to_owned() };
        let config = leaves.config(&host(&bracketed), Alpn::Absent).unwrap();
        for versions in [&[&TLS13][..], &[&TLS12]] {
            let client = Arc::new(client(authority.pem(), &[], versions));
            let seen = visit(&client, &config, to).await.unwrap();
            assert!(full(seen.kind) && seen.alpn.is_none(), "{to}");
        }
    }
}

#[tokio::test]
async fn d01_a_certificate_is_for_exactly_one_name() {
    let (authority, leaves) = leaves();
    let config = leaves.config(&host("example.com"), Alpn::Absent).unwrap();
    let client = Arc::new(client(authority.pem(), &[], BOTH));
    // The server shows nothing to a client that asks for another name.
    for to in ["www.example.com", "other.com"] {
        let error = visit(&client, &config, to).await.unwrap_err();
        assert_eq!(error, Error::AlertReceived(AlertDescription::AccessDenied), "{to}");
    }
    let mut silent = (*client).clone();
    silent.enable_sni = false;
    let error = visit(&Arc::new(silent), &config, "www.example.com").await.unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[tokio::test]
async fn d06_protocols_are_exactly_those_given() {
    let (authority, leaves) = leaves();
    let a = host("a.example.com");
    let refused = Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    let (h1, h2) = (&b"http/1.1"[..], &b"h2"[..]);
    for (given, offered, expected) in [
        (Alpn::Http2, &[h2, h1][..], Ok(Some(h2))),
        (Alpn::Http1, &[h2, h1], Ok(Some(h1))),
        (Alpn::Http2Http1, &[h1, h2], Ok(Some(h2))),
        (Alpn::Http1Http2, &[h2, h1], Ok(Some(h1))),
        (Alpn::Absent, &[h2, h1], Ok(None)),
        (Alpn::Http2, &[], Ok(None)),
        (Alpn::Http1, &[h2], refused.clone()),
        (Alpn::Http2, &[h1], refused),
    ] {
        let client = Arc::new(client(authority.pem(), offered, BOTH));
        let config = leaves.config(&a, given).unwrap();
        let seen = visit(&client, &config, "a.example.com").await.map(|seen| seen.alpn);
        assert_eq!(seen, expected.map(|name| name.map(<[u8]>::to_vec)), "{given:?} {offered:?}");
    }
}

#[tokio::test]
async fn d05_a_session_is_resumed_under_its_own_name_only() {
    let (authority, leaves) = leaves();
    for version in [&TLS13, &TLS12] {
        let mut client = client(authority.pem(), &[], &[version]);
        // A client that offers every session to everybody.
        client.resumption = Resumption::store(Arc::new(Forgetful::new()));
        let client = Arc::new(client);
        let to = |text: &str| leaves.config(&host(text), Alpn::Absent).unwrap();
        let first = visit(&client, &to("a.example.com"), "a.example.com").await.unwrap();
        assert!(full(first.kind));
        let again = visit(&client, &to("a.example.com"), "a.example.com").await.unwrap();
        assert_eq!(again.kind, HandshakeKind::Resumed, "{version:?}");
        let other = visit(&client, &to("b.example.com"), "b.example.com").await.unwrap();
        assert!(full(other.kind), "{version:?}: {:?}", other.kind);
        assert_ne!(other.certificate, first.certificate);
        assert_eq!(to("a.example.com").max_early_data_size, 0);
    }
}

#[tokio::test]
async fn d08_another_start_of_the_sandbox_is_another_authority() {
    let (first, _) = leaves();
    let (second, leaves) = leaves();
    assert_ne!(first.pem(), second.pem());
    let config = leaves.config(&host("a.example.com"), Alpn::Absent).unwrap();
    let client = Arc::new(client(first.pem(), &[], BOTH));
    let error = visit(&client, &config, "a.example.com").await.unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn d08_no_key_is_ever_printed() {
    let (authority, leaves) = leaves();
    let config = leaves.config(&host("a.example.com"), Alpn::Http2).unwrap();
    assert_eq!(format!("{authority:?}"), "Authority { .. }");
    assert_eq!(format!("{leaves:?}"), "Leaves { .. }");
    let config = format!("{config:?}");
    assert!(
        config.contains(r#"Exactly { host: Name(HostName("a.example.com")), .. }"#),
        "{config}"
    );
    assert!(!authority.pem().contains("PRIVATE"));
}

#[test]
fn d10_the_leaves_stay_bounded_and_only_the_oldest_goes() {
    let (_, leaves) = leaves();
    let first = leaves.config(&host("first.example.com"), Alpn::Absent).unwrap();
    let second = leaves.config(&host("second.example.com"), Alpn::Absent).unwrap();
    for number in 0..limits::LEAVES {
        leaves.config(&host(&format!("n{number}.example.com")), Alpn::Absent).unwrap();
        let again = leaves.config(&host("first.example.com"), Alpn::Absent).unwrap();
        assert!(Arc::ptr_eq(&again, &first));
        assert!(leaves.count() <= limits::LEAVES);
    }
    let again = leaves.config(&host("second.example.com"), Alpn::Absent).unwrap();
    assert!(!Arc::ptr_eq(&again, &second));
}

#[tokio::test]
async fn a_leaf_is_made_anew_when_half_of_its_time_is_over() {
    let now = SystemTime::now();
    let authority = Arc::new(Authority::at(now).unwrap());
    let leaves = Leaves::new(Arc::clone(&authority)).unwrap();
    let a = host("a.example.com");
    let first = leaves.config_at(&a, Alpn::Absent, now).unwrap();
    let almost = now + limits::LEAF_VALIDITY / 2 - Duration::from_secs(1);
    assert!(Arc::ptr_eq(&first, &leaves.config_at(&a, Alpn::Absent, almost).unwrap()));
    let later = now + limits::LEAF_VALIDITY / 2;
    assert!(!Arc::ptr_eq(&first, &leaves.config_at(&a, Alpn::Absent, later).unwrap()));
    assert_eq!(leaves.count(), 1);
}

/// A client's store of sessions that does not care whose they are.
#[derive(Debug)]
struct Forgetful(ClientSessionMemoryCache, ServerName<'static>);

impl Forgetful {
    fn new() -> Self {
        Self(ClientSessionMemoryCache::new(8), name("anybody"))
    }
}

impl ClientSessionStore for Forgetful {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(self.1.clone(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&self.1)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(self.1.clone(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&self.1)
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&self.1);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(self.1.clone(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&self.1)
    }
}
