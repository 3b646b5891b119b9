//! Upstreams that are reached through the operator's proxy. The proxy is a small one of the test's
//! own, which writes down what it is asked; squid takes its place in `squid`.

mod forward;
mod hostile;
mod squid;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use openshell_audit::{Event, Outcome};
use openshell_types::{ConnectBy, PlainHttp, ProxyException, ProxyUrl, Redacted};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::requests::{ask, mirror};
use super::resolving::{connect_to, name_server, outer_address};
use super::websocket;
use super::world::*;
use crate::upstream_proxy::{Credentials, UpstreamProxy};

const NAME: &str = "api.example.com";

/// Whom a proxy or a server is certified by.
struct Certifier {
    pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Certifier {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A key and a certificate for `name`, both in PEM.
    fn certify(&self, name: &str) -> (KeyPair, rcgen::Certificate) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (key, certificate)
    }

    fn acceptor(&self, name: &str, alpn: &[&str]) -> TlsAcceptor {
        let (key, certificate) = self.certify(name);
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Reads one head; `None` at the end.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A proxy that writes down the heads that it gets, and finds every server on this host.
async fn proxy() -> Upstream {
    Upstream::serve(pass).await
}

/// The same within TLS.
async fn tls_proxy(acceptor: TlsAcceptor) -> Upstream {
    Upstream::serve(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                pass(stream, seen).await;
            }
        }
    })
    .await
}

async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: Arc<Mutex<(usize, Vec<u8>)>>,
) {
    while let Some(head) = read_head(&mut stream).await {
        seen.lock().unwrap().1.extend_from_slice(head.as_bytes());
        let target = head.split(' ').nth(1).unwrap();
        let origin = target.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap());
        let authority = origin.unwrap_or(target);
        let port = authority.rsplit(':').next().unwrap().parse().unwrap();
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        if origin.is_none() {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut server).await;
            return;
        }
        // The server of these tests answers with a length, and requests have no body.
        let head = head.replacen(&format!("http://{authority}"), "", 1);
        let answer = ask(&mut server, &head).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

fn through(url: &str) -> UpstreamProxy {
    UpstreamProxy {
        url: ProxyUrl::parse(url).unwrap(),
        exceptions: Vec::new(),
        connect_by: ConnectBy::Address,
        plain: PlainHttp::Connect,
        credentials: None,
    }
}

fn at(port: u16) -> UpstreamProxy {
    through(&format!("http://127.0.0.1:{port}"))
}

/// A world in which [`NAME`] leads to this host, by an address that a direct dial would reach, too.
async fn world_with(endpoints: &str, proxy: UpstreamProxy, ca_file: Option<Vec<u8>>) -> World {
    let (resolver, _) = name_server(vec![vec![outer_address()]]).await;
    let (resolver, proxy) = (vec![resolver], Some(proxy));
    World::with(endpoints, Options { resolver, proxy, ca_file, ..Options::default() }).await
}

async fn world(endpoints: &str, proxy: UpstreamProxy) -> World {
    world_with(endpoints, proxy, None).await
}

fn endpoint(port: u16, rest: &str) -> String {
    format!("{{ host: {NAME}, port: {port}{rest} }}")
}

/// An endpoint where requests are judged.
fn judged(port: u16) -> String {
    endpoint(port, ", protocol: rest, access: full")
}

/// A tunnel of the client's, with our answer read.
async fn tunnel(world: &World, to: &str) -> TcpStream {
    let mut client = world.connect().await;
    client.write_all(connect_to(to).as_bytes()).await.unwrap();
    let answer = read_head(&mut client).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    client
}

async fn tls_within(stream: TcpStream, trusted: &[u8], alpn: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// A server within TLS that answers each message with itself.
async fn tls_echo(acceptor: TlsAcceptor) -> Upstream {
    Upstream::serve(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return http2(stream).await;
            }
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                seen.lock().unwrap().1.extend_from_slice(&buffer[..read]);
                let is_request = buffer.starts_with(b"GET ");
                let answer = if is_request {
                    &b"HTTP/1.1 204 No Content\r\n\r\n"[..]
                } else {
                    &buffer[..read]
                };
                stream.write_all(answer).await.unwrap();
            }
            let _ = stream.shutdown().await;
        }
    })
    .await
}

async fn http2(stream: tokio_rustls::server::TlsStream<TcpStream>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        answer.send_response(http::Response::new(()), true).unwrap();
    }
}

fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {NAME}:{port}\r\n\r\n")
}

/// Where events say that connections and requests were let through to.
fn allowed(events: &[Event]) -> Vec<Option<IpAddr>> {
    let found = events.iter().filter_map(|event| match event {
        Event::Network(network) => Some((network.outcome, network.destination.address)),
        Event::Http(http) => Some((http.outcome, http.destination.address)),
        _ => None,
    });
    found.filter(|(outcome, _)| *outcome == Outcome::Allowed).map(|(_, address)| address).collect()
}

/// Each way in, to a server behind `proxy`; what each answers is checked, if there is to be an
/// answer. Says how many connections they were.
struct Ways {
    plain: Upstream,
    socket: Upstream,
    secure: Upstream,
    spliced: Upstream,
    raw: Upstream,
}

impl Ways {
    async fn new(certifier: &Certifier) -> Self {
        Self {
            plain: mirror().await,
            socket: websocket::echo("").await,
            secure: tls_echo(certifier.acceptor(NAME, &["h2", "http/1.1"])).await,
            spliced: tls_echo(certifier.acceptor(NAME, &[])).await,
            raw: Upstream::echo("welcome").await,
        }
    }

    fn all(&self) -> [&Upstream; 5] {
        [&self.plain, &self.socket, &self.secure, &self.spliced, &self.raw]
    }

    fn endpoints(&self) -> String {
        let talk = ", protocol: websocket, path: /ws, rules: [{ allow: { method: GET } }, \
                    { allow: { method: WEBSOCKET_TEXT } }]";
        [
            judged(self.plain.port),
            endpoint(self.socket.port, talk),
            judged(self.secure.port),
            endpoint(self.spliced.port, ""),
            format!("{{ allowed_ips: [{}], port: {} }}", outer_address(), self.raw.port),
        ]
        .join(", ")
    }

    async fn go(&self, world: &World, certifier: &Certifier) {
        let port = self.plain.port;
        let mut client = tunnel(world, &format!("{NAME}:{port}")).await;
        let answer = ask(&mut client, &get(port, "/one")).await;
        assert!(answer.ends_with("get /one http/1.1"), "{answer}");
        let absolute = get(port, &format!("http://{NAME}:{port}/two"));
        let answer = ask(&mut world.connect().await, &absolute).await;
        assert!(answer.ends_with("get /two http/1.1"), "{answer}");

        let port = self.socket.port;
        let mut client = tunnel(world, &format!("{NAME}:{port}")).await;
        let upgrade = websocket::upgrade(port, "/ws", "").replace("host.openshell.internal", NAME);
        let answer = ask(&mut client, &upgrade).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        client.write_all(&websocket::text("hi")).await.unwrap();
        assert_eq!(websocket::frame(&mut client).await, (0x81, b"hi".to_vec()));

        let to = format!("{NAME}:{}", self.secure.port);
        let ours = world.authority.pem();
        let mut client = tls_within(tunnel(world, &to).await, ours.as_bytes(), &["http/1.1"]).await;
        client.write_all(get(self.secure.port, "/").as_bytes()).await.unwrap();
        let answer = read_head(&mut client).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        let client = tls_within(tunnel(world, &to).await, ours.as_bytes(), &["h2"]).await;
        let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("https://{to}/")).body(()).unwrap();
        let answer = requests.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), 200);

        let to = format!("{NAME}:{}", self.spliced.port);
        let mut client = tls_within(tunnel(world, &to).await, &certifier.pem, &[]).await;
        client.write_all(b"opaque").await.unwrap();
        let mut echoed = [0; 6];
        client.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"opaque");

        let dialled = SocketAddr::new(outer_address().into(), self.raw.port);
        let mut client = world.transparent(dialled).await;
        client.write_all(b"bytes").await.unwrap();
        // Squid ends a tunnel when one side of it does, so nothing is expected after an end.
        let mut echoed = [0; 12];
        client.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"welcomebytes");
    }
}

#[tokio::test]
async fn every_way_in_leads_through_the_proxy_and_nothing_around_it() {
    let certifier = Certifier::new();
    for (scheme, is_secure) in [("http", false), ("https", true)] {
        let ways = Ways::new(&certifier).await;
        let proxy = if is_secure {
            tls_proxy(certifier.acceptor("localhost", &["http/1.1"])).await
        } else {
            proxy().await
        };
        let url = format!("{scheme}://localhost:{}", proxy.port);
        let trusted = Some(certifier.pem.clone());
        let world = world_with(&ways.endpoints(), through(&url), trusted).await;
        ways.go(&world, &certifier).await;
        let asked = proxy.bytes();
        for upstream in ways.all() {
            // The proxy was told the address that was checked, for each connection that came.
            let to = format!("{}:{}", outer_address(), upstream.port);
            let connect = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
            let connects = asked.matches(&connect).count();
            assert!(connects > 0 && connects == upstream.connections(), "{scheme} {to}: {asked}");
        }
        assert_eq!(asked.matches("CONNECT ").count(), proxy.connections());
        assert!(!asked.contains(NAME), "{asked}");
        // The record has the server's address, and never the proxy's.
        let addresses = allowed(&world.seen());
        assert!(addresses.contains(&Some(outer_address().into())), "{addresses:?}");
        assert!(!addresses.contains(&Some(Ipv4Addr::LOCALHOST.into())), "{addresses:?}");
    }
}

#[tokio::test]
async fn without_the_proxy_nothing_is_reached() {
    let certifier = Certifier::new();
    let ways = Ways::new(&certifier).await;
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = world(&ways.endpoints(), at(gone)).await;
    let reason = r#""reason":"upstream_proxy_unreachable""#;
    let answer = world.ask(&connect_to(&format!("{NAME}:{}", ways.spliced.port))).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains(reason), "{answer}");
    let mut client = tunnel(&world, &format!("{NAME}:{}", ways.plain.port)).await;
    let answer = ask(&mut client, &get(ways.plain.port, "/")).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains(reason), "{answer}");
    let dialled = SocketAddr::new(outer_address().into(), ways.raw.port);
    assert_eq!(read_all(&mut world.transparent(dialled).await).await, "");
    let events = world.events(4).await;
    let failed = events.iter().filter(|event| match event {
        Event::Network(network) => network.outcome == Outcome::Failed,
        Event::Http(http) => http.outcome == Outcome::Failed,
        _ => false,
    });
    assert_eq!(failed.count(), 3, "{events:?}");
    assert_eq!(ways.all().map(Upstream::connections), [0; 5]);
}

#[tokio::test]
async fn d04_a_proxy_that_cannot_be_verified_hears_no_word() {
    let (certifier, other) = (Certifier::new(), Certifier::new());
    let upstream = Upstream::echo("").await;
    for (signer, name) in [(&other, "localhost"), (&certifier, "proxy.example.com")] {
        let proxy = tls_proxy(signer.acceptor(name, &[])).await;
        let mut settings = through(&format!("https://localhost:{}", proxy.port));
        settings.credentials = Some(Credentials::basic(&Redacted::new("ada:s3cret".to_owned())));
        let endpoint = endpoint(upstream.port, "");
        let world = world_with(&endpoint, settings, Some(certifier.pem.clone())).await;
        let answer = world.ask(&connect_to(&format!("{NAME}:{}", upstream.port))).await;
        assert!(answer.contains(r#""reason":"upstream_proxy_unreachable""#), "{answer}");
        assert!(answer.contains("certificate"), "{answer}");
        assert!(!answer.contains("localhost") && !answer.contains("proxy.example"), "{answer}");
        assert_eq!((proxy.connections(), proxy.bytes().as_str()), (1, ""));
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_not_found_is_not_named() {
    let upstream = Upstream::echo("").await;
    let settings = through("http://secret-proxy.example.com:3128");
    let world = world(&endpoint(upstream.port, ""), settings).await;
    let answer = world.ask(&connect_to(&format!("{NAME}:{}", upstream.port))).await;
    assert!(answer.contains(r#""reason":"upstream_proxy_unreachable""#), "{answer}");
    assert!(!answer.contains("secret-proxy"), "{answer}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn c09_credentials_are_the_proxys_and_a_clients_own_are_not() {
    let upstream = mirror().await;
    let proxy = proxy().await;
    let mut settings = at(proxy.port);
    settings.credentials = Some(Credentials::basic(&Redacted::new("ada:s3cret".to_owned())));
    let world = world(&judged(upstream.port), settings).await;
    let to = format!("{NAME}:{}", upstream.port);
    let own = "Proxy-Authorization: Basic bWFsbG9yeTp4\r\nProxy-Connection: keep-alive\r\n\r\n";
    let mut client = world.connect().await;
    let connect = connect_to(&to).replace("\r\n\r\n", &format!("\r\n{own}"));
    client.write_all(connect.as_bytes()).await.unwrap();
    assert!(read_head(&mut client).await.unwrap().starts_with("HTTP/1.1 200 "));
    let request = get(upstream.port, "/").replace("\r\n\r\n", &format!("\r\n{own}"));
    let answer = ask(&mut client, &request).await;
    assert!(answer.ends_with("get / http/1.1"), "{answer}");
    let asked = proxy.bytes();
    assert!(asked.ends_with("\r\nProxy-Authorization: Basic YWRhOnMzY3JldA==\r\n\r\n"), "{asked}");
    assert!(!asked.contains("bWFsbG9yeTp4"), "{asked}");
    let served = upstream.bytes().to_lowercase();
    assert!(!served.contains("proxy-") && !served.contains("basic"), "{served}");
    let told = format!("{:?}{answer}", world.seen());
    assert!(!told.contains("s3cret") && !told.contains("YWRhOnMzY3JldA"), "{told}");
}

#[tokio::test]
async fn exceptions_and_the_hosts_own_services_are_dialled_directly() {
    let upstream = Upstream::echo("hello").await;
    let refusing = Upstream::http(1, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let own = host_endpoint(upstream.port);
    let endpoints = format!("{}, {own}", endpoint(upstream.port, ""));
    let outer = outer_address();
    for (entry, is_direct) in [
        (".example.com".to_owned(), true),
        (format!("{NAME}:{}", upstream.port), true),
        (format!("{outer}/32"), true),
        (format!("{NAME}:1"), false),
        (format!("{outer}:1"), false),
        ("example.com".to_owned(), false),
    ] {
        let mut settings = at(refusing.port);
        settings.exceptions = vec![ProxyException::parse(&entry).unwrap()];
        let world = world(&endpoints, settings).await;
        let before = (upstream.connections(), refusing.connections());
        let mut client = world.connect().await;
        let connect = connect_to(&format!("{NAME}:{}", upstream.port));
        client.write_all(connect.as_bytes()).await.unwrap();
        let answer = read_head(&mut client).await.unwrap();
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), is_direct, "{entry}: {answer}");
        let after = (upstream.connections() - before.0, refusing.connections() - before.1);
        assert_eq!(after, if is_direct { (1, 0) } else { (0, 1) }, "{entry}");
    }
    let before = refusing.connections();
    let world = world(&endpoints, at(refusing.port)).await;
    let mut client = world.tunnel(upstream.port).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hellobye");
    assert_eq!(refusing.connections(), before);
}

#[tokio::test]
async fn a_name_goes_around_the_proxy_only_with_all_of_its_addresses() {
    let upstream = Upstream::echo("").await;
    let refusing = Upstream::http(1, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let set = vec![outer_address(), Ipv4Addr::new(203, 0, 113, 9)];
    let (resolver, _) = name_server(vec![set]).await;
    let mut settings = at(refusing.port);
    settings.exceptions = vec![ProxyException::parse(&outer_address().to_string()).unwrap()];
    let (resolver, proxy) = (vec![resolver], Some(settings));
    let options = Options { resolver, proxy, ..Options::default() };
    let world = World::with(&endpoint(upstream.port, ""), options).await;
    let answer = world.ask(&connect_to(&format!("{NAME}:{}", upstream.port))).await;
    assert!(answer.contains("upstream_proxy_refused"), "{answer}");
    assert_eq!((upstream.connections(), refusing.connections()), (0, 1));
}

#[tokio::test]
async fn b02_an_answer_that_is_refused_does_not_reach_the_proxy() {
    let proxy = proxy().await;
    let (resolver, _) = name_server(vec![vec![Ipv4Addr::new(169, 254, 169, 254)]]).await;
    let (resolver, settings) = (vec![resolver], Some(at(proxy.port)));
    let options = Options { resolver, proxy: settings, ..Options::default() };
    let world = World::with(&endpoint(443, ""), options).await;
    let answer = world.ask(&connect_to(&format!("{NAME}:443"))).await;
    assert!(answer.contains("ssrf_denied"), "{answer}");
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn a_name_is_sent_as_it_is_where_the_operator_says_so() {
    let upstream = Upstream::echo("hello").await;
    let proxy = proxy().await;
    let mut settings = at(proxy.port);
    settings.connect_by = ConnectBy::Hostname;
    // Nobody resolves it but the proxy.
    let options = Options { proxy: Some(settings.clone()), ..Options::default() };
    let world = World::with(&endpoint(upstream.port, ""), options).await;
    let to = format!("{NAME}:{}", upstream.port);
    let mut client = tunnel(&world, &to).await;
    client.write_all(b"x").await.unwrap();
    let mut greeting = [0; 6];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hellox");
    assert_eq!(proxy.bytes(), format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    let event = world.one_network().await;
    assert_eq!((event.outcome, event.destination.address), (Outcome::Allowed, None));
    // SECURITY: E10; a policy that now lists addresses ends what went somewhere else, maybe.
    world.enforce(&endpoint(upstream.port, ", allowed_ips: [203.0.113.0/24]"));
    assert_eq!(read_all(&mut client).await, "");
    world.events(2).await;
}

#[tokio::test]
async fn b01_where_the_policy_lists_addresses_the_proxy_is_told_one() {
    let upstream = Upstream::echo("hello").await;
    let proxy = proxy().await;
    let mut settings = at(proxy.port);
    settings.connect_by = ConnectBy::Hostname;
    let listed = |range: &str| endpoint(upstream.port, &format!(", allowed_ips: [{range}]"));
    let to = format!("{NAME}:{}", upstream.port);
    let denying = world(&listed("203.0.113.0/24"), settings.clone()).await;
    let answer = denying.ask(&connect_to(&to)).await;
    assert!(answer.contains("ssrf_denied"), "{answer}");
    assert_eq!(proxy.connections(), 0);
    let allowing = world(&listed(&outer_address().to_string()), settings).await;
    let _client = tunnel(&allowing, &to).await;
    assert!(proxy.bytes().starts_with(&format!("CONNECT {}:", outer_address())));
}

#[tokio::test]
async fn an_address_of_ipv6_stands_in_brackets() {
    let upstream = Upstream::echo("hello").await;
    let proxy = proxy().await;
    let endpoint = format!("{{ allowed_ips: [\"2001:db9::7\"], port: {} }}", upstream.port);
    let world = world(&endpoint, at(proxy.port)).await;
    let dialled = SocketAddr::new("2001:db9::7".parse().unwrap(), upstream.port);
    let mut client = world.transparent(dialled).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hellobye");
    let to = format!("[2001:db9::7]:{}", upstream.port);
    assert_eq!(proxy.bytes(), format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_checked_again() {
    let upstream = mirror().await;
    let proxy = proxy().await;
    let world = world(&judged(upstream.port), at(proxy.port)).await;
    let to = format!("{NAME}:{}", upstream.port);
    for path in ["/one", "/two"] {
        let mut client = tunnel(&world, &to).await;
        let answer = ask(&mut client, &get(upstream.port, path)).await;
        assert!(answer.ends_with(&format!("get {path} http/1.1")), "{answer}");
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "");
    }
    assert_eq!(proxy.connections(), 1);
    let listed = ", protocol: rest, access: full, allowed_ips: [203.0.113.0/24]";
    world.enforce(&endpoint(upstream.port, listed));
    let mut client = tunnel(&world, &to).await;
    let answer = ask(&mut client, &get(upstream.port, "/three")).await;
    assert!(answer.contains("ssrf_denied"), "{answer}");
    assert_eq!(proxy.connections(), 1);
    assert!(!upstream.bytes().contains("/three"));
}
