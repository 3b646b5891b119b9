//! Model calls: where they come in, what of them goes to a backend, and what comes back.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::write::GzEncoder;
use openshell_audit::{Event, Inference, Outcome};
use openshell_types::{BaseUrl, HostName, ModelProtocol, Redacted, Route};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::*;
use crate::limits;

mod budgets;
mod sharing;

pub(super) fn route(protocol: ModelProtocol, port: u16, secret: &str) -> Route {
    Route {
        protocol,
        provider: "own".to_owned(),
        model: "ours".to_owned(),
        base: BaseUrl::parse(&format!("http://127.0.0.1:{port}/base")).unwrap(),
        auth: Some(("x-api-key".to_owned(), Redacted::new(secret.to_owned()))),
        expires_ms: None,
        passed: vec!["anthropic-beta".to_owned()],
        defaults: Vec::new(),
        idle: Duration::from_secs(30),
        budget: None,
    }
}

/// A world whose calls of a protocol go to this backend.
pub(super) async fn routed(protocol: ModelProtocol, backend: &Upstream) -> World {
    let world = World::new("").await;
    world.route("", 1, vec![route(protocol, backend.port, "real")]);
    world
}

/// A backend that answers each call with `answer`, and keeps the connection.
pub(super) async fn backend(answer: &'static str) -> Upstream {
    Upstream::serve(move |mut stream, seen| async move {
        while let Some(request) = read_request(&mut stream).await {
            seen.lock().unwrap().1.extend_from_slice(&request);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// One request with a stated length, head and body.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
            if body.len() >= length {
                return Some(bytes);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

const MESSAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\n\
                       Content-Length: 48\r\n\r\n{\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\n";

/// A captured connection to a name, in TLS that offers this.
pub(super) async fn tls(world: &World, name: &str, alpn: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = world.transparent_to(name, 443).await;
    let server = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(server, stream).await.unwrap()
}

pub(super) fn post(host: &str, path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer theirs\r\nX-Api-Key: theirs\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request and reads an answer with a stated length.
pub(super) async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    client: &mut S,
    request: &str,
) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head
                .split_once("content-length: ")
                .map(|(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if length.is_some_and(|length| body.len() >= length) {
                return text;
            }
        }
        match client.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

pub(super) fn calls(events: &[Event]) -> Vec<Inference> {
    events.iter().filter_map(call_of).cloned().collect()
}

pub(super) fn call_of(event: &Event) -> Option<&Inference> {
    if let Event::Inference(call) = event { Some(call) } else { None }
}

/// The only call, once it is told.
pub(super) async fn one_call(world: &World) -> Inference {
    let mut calls = calls(&world.events(2).await);
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

#[tokio::test]
async fn a_call_at_our_own_name_goes_to_the_backend_with_its_credential_and_model() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let request = post("inference.local", "/v1/messages?key=theirs", r#"{"model":"theirs","x":1}"#);
    let answer = ask(&mut client, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("output_tokens"), "{answer}");
    assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
    let sent = backend.bytes().to_lowercase();
    assert!(sent.starts_with("post /base/messages http/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nx-api-key: real\r\n"), "{sent}");
    assert!(sent.ends_with(r#"{"model":"ours","x":1}"#), "{sent}");
    assert!(!sent.contains("theirs"), "{sent}");
    let call = one_call(&world).await;
    assert_eq!((call.outcome, call.status), (Outcome::Allowed, Some(200)));
    assert_eq!((call.operation.as_str(), call.route.as_deref()), ("messages", Some("anthropic")));
    assert_eq!((call.provider.as_deref(), call.model.as_deref()), (Some("own"), Some("ours")));
    let tokens = call.tokens.unwrap();
    assert_eq!((tokens.input, tokens.output), (Some(3), Some(4)));
    assert!(call.first_byte_ms.unwrap() <= call.duration_ms);
    assert_eq!(call.caller.unwrap().binary, "/usr/bin/curl");
}

#[tokio::test]
async fn calls_follow_each_other_over_one_connection_on_both_sides() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    for _ in 0..3 {
        let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(calls(&world.events(4).await).len(), 3);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_client_of_http2_is_served_over_http1() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Gemini, &backend).await;
    let client = tls(&world, "generativelanguage.googleapis.com", "h2").await;
    let (client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let uri =
        "https://generativelanguage.googleapis.com/v1beta/models/theirs:generateContent?key=theirs";
    let request = http::Request::post(uri).header("x-goog-api-key", "theirs").body(()).unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    body.send_data("{\"contents\":[]}".into(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        length += data.unwrap().len();
    }
    assert_eq!(length, 48);
    let sent = backend.bytes();
    assert!(sent.starts_with("POST /base/models/ours:generateContent HTTP/1.1\r\n"), "{sent}");
    assert!(!sent.contains("theirs"), "{sent}");
    assert_eq!(one_call(&world).await.operation, "generate_content");
}

#[tokio::test]
async fn plain_http_is_served_at_our_own_name_by_each_way_in() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::OpenAi, &backend).await;
    let mut client = world.transparent_to("inference.local", 80).await;
    let answer = ask(&mut client, &post("inference.local", "/v1/responses", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut client = world.connect().await;
    for _ in 0..2 {
        let path = "http://inference.local/v1/chat/completions";
        let answer = ask(&mut client, &post("inference.local", path, "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let other =
        "GET http://other.example.com/v1/models HTTP/1.1\r\nHost: other.example.com\r\n\r\n";
    let answer = ask(&mut client, other).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let mut client = world.connect().await;
    let connect = "CONNECT inference.local:80 HTTP/1.1\r\nHost: inference.local:80\r\n\r\n";
    client.write_all(connect.as_bytes()).await.unwrap();
    let mut established = [0; 39];
    client.read_exact(&mut established).await.unwrap();
    let answer = ask(&mut client, &post("inference.local", "/v1/completions", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let sent = backend.bytes();
    for path in ["/base/responses", "/base/chat/completions", "/base/completions"] {
        assert!(sent.contains(&format!("POST {path} HTTP/1.1\r\n")), "{sent}");
    }
}

#[tokio::test]
async fn a_vendors_name_is_for_the_router_only_where_no_rule_allows_it() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let name = HostName::parse("api.anthropic.com").unwrap();
    let routes = |world: &World| world.egress.context().policy.borrow().routes.resolves(&name);
    assert!(routes(&world));
    let mut client = tls(&world, "api.anthropic.com", "http/1.1").await;
    let answer = ask(&mut client, &post("api.anthropic.com", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A rule that comes ends the connection, so that the next one is judged by it.
    let allowed = "{ host: api.anthropic.com, port: 443 }";
    world.route(allowed, 2, vec![route(ModelProtocol::Anthropic, backend.port, "real")]);
    let mut rest = Vec::new();
    timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await.unwrap().unwrap();
    let mut client = world.transparent_to("api.anthropic.com", 443).await;
    read_to_its_end(&mut client, &mut rest).await;
    assert_eq!(backend.connections(), 1);
    // A protocol without a backend is not taken at its vendors.
    world.route("", 3, vec![route(ModelProtocol::OpenAi, backend.port, "real")]);
    assert!(!routes(&world));
    let mut client = world.transparent_to("api.anthropic.com", 443).await;
    read_to_its_end(&mut client, &mut rest).await;
    assert!(rest.is_empty());
    let Some(Event::Network(last)) = world.some_events().await.pop() else { panic!() };
    assert_eq!(last.outcome, Outcome::Denied);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn h09_what_is_no_call_is_refused_and_nothing_is_sent() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    for (path, body, status, word) in [
        ("/v1/files", "{}", "403", "not_a_model_call"),
        ("/v1/messages/batches", "{}", "403", "not_a_model_call"),
        ("/v1/responses", "{}", "503", "openshell inference set"),
        ("/v1/messages", r#"{"model":"a","model":"b"}"#, "400", "invalid_request_error"),
        ("/v1/messages", r#"{"Model":"b"}"#, "403", "permission_error"),
        ("/v1/messages", "[]", "400", "invalid_request_error"),
    ] {
        let answer = ask(&mut client, &post("inference.local", path, body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.contains(word), "{path}: {answer}");
    }
    assert_eq!(backend.connections(), 0);
    let calls = calls(&world.events(7).await);
    let denied = calls.iter().filter(|call| call.outcome == Outcome::Denied).count();
    assert_eq!((calls.len(), denied), (6, 5));
    assert_eq!(calls.first().unwrap().operation, "POST /v1/files");
}

#[tokio::test]
async fn a_request_for_another_name_is_refused() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let answer = ask(&mut client, &post("api.anthropic.com", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let twice = post("inference.local\r\nHost: inference.local", "/v1/messages", "{}");
    let answer = ask(&mut client, &twice).await;
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_backend_is_for_those_whom_its_route_names_whatever_else_is_allowed() {
    let backend = backend(MESSAGE).await;
    let world = World::new("").await;
    let wide = "{ host: '*.inference.local', port: 443 }, \
                { host: anthropic.inference.local, port: 443 }";
    for (at, endpoints) in [(1, ""), (2, wide)] {
        let route = route(ModelProtocol::Anthropic, backend.port, "real");
        world.route_for("/usr/bin/node", endpoints, at, vec![route]);
        let mut client = tls(&world, "inference.local", "http/1.1").await;
        let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("permission_error"), "{answer}");
    }
    assert_eq!(backend.connections(), 0);
    for call in calls(&world.events(4).await) {
        let reason = call.reason.unwrap();
        assert_eq!((call.outcome, reason.predicate.as_str()), (Outcome::Denied, "binary"));
    }
}

/// A backend that answers with parts as they are given to it, and tells when its client is gone.
async fn parts() -> (Upstream, mpsc::Sender<&'static str>, oneshot::Receiver<()>) {
    let (sender, receiver) = mpsc::channel::<&'static str>(8);
    let (gone, told) = oneshot::channel();
    let once = std::sync::Mutex::new(Some((receiver, gone)));
    let upstream = Upstream::serve(move |mut stream, seen| {
        let once = once.lock().unwrap().take();
        async move {
            let Some((mut parts, gone)) = once else { return };
            let Some(request) = read_request(&mut stream).await else { return };
            seen.lock().unwrap().1.extend_from_slice(&request);
            let mut byte = [0];
            loop {
                tokio::select! {
                    part = parts.recv() => match part {
                        Some(part) => stream.write_all(part.as_bytes()).await.unwrap(),
                        None => return,
                    },
                    _ = stream.read(&mut byte) => {
                        let _ = gone.send(());
                        return;
                    }
                }
            }
        }
    })
    .await;
    (upstream, sender, told)
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const FIRST: &str =
    "42\r\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\r\n";
const SECOND: &str = "27\r\ndata: {\"usage\":{\"output_tokens\":9}}\r\n\r\n\r\n";

/// Sends a call.
async fn say(client: &mut TlsStream<TcpStream>) {
    client.write_all(post("inference.local", "/v1/messages", "{}").as_bytes()).await.unwrap();
}

/// Sends a call whose answer begins.
async fn begin(client: &mut TlsStream<TcpStream>, parts: &mpsc::Sender<&'static str>) {
    say(client).await;
    parts.send(EVENTS).await.unwrap();
    parts.send(FIRST).await.unwrap();
}

/// Reads to the end of what was cut off: neither the answer nor TLS ends as it should.
async fn is_cut_off(client: &mut TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(!String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"));
}

/// Reads until this text came.
async fn read_until<S: AsyncReadExt + Unpin>(client: &mut S, text: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let read = timeout(Duration::from_secs(30), client.read_buf(&mut bytes)).await;
        assert!(read.unwrap().unwrap() > 0, "{}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_streamed_answer_passes_as_it_comes_and_its_tokens_are_counted() {
    let (backend, parts, _told) = parts().await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let request = post("inference.local", "/v1/messages", r#"{"stream":true}"#);
    client.write_all(request.as_bytes()).await.unwrap();
    parts.send(EVENTS).await.unwrap();
    parts.send(FIRST).await.unwrap();
    // The second is sent when the first was seen.
    read_until(&mut client, "input_tokens").await;
    // What changes meanwhile is for the calls to come.
    world.route("", 2, Vec::new());
    parts.send(SECOND).await.unwrap();
    read_until(&mut client, "\"output_tokens\":9").await;
    parts.send("0\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
    let call = one_call(&world).await;
    let tokens = call.tokens.unwrap();
    assert_eq!(call.outcome, Outcome::Allowed);
    assert_eq!((tokens.input, tokens.output), (Some(3), Some(9)));
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn e12_an_answer_that_was_cut_short_does_not_look_whole() {
    let (backend, parts, _told) = parts().await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    begin(&mut client, &parts).await;
    read_until(&mut client, "input_tokens").await;
    drop(parts);
    is_cut_off(&mut client).await;
    let call = one_call(&world).await;
    assert_eq!(call.outcome, Outcome::Failed);
    assert_eq!(call.reason.unwrap().predicate, "backend_broke");
    assert_eq!(call.tokens.unwrap().input, Some(3));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call_at_the_backend() {
    let (backend, parts, told) = parts().await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    begin(&mut client, &parts).await;
    read_until(&mut client, "input_tokens").await;
    drop(client);
    timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
    let call = one_call(&world).await;
    assert_eq!(call.reason.unwrap().predicate, "client_gone");
    assert_eq!(call.tokens.unwrap().input, Some(3));
}

#[tokio::test]
async fn a_caller_that_goes_away_before_the_answer_ends_the_call_too() {
    let (backend, _parts, told) = parts().await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    say(&mut client).await;
    while backend.bytes().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
    assert_eq!(one_call(&world).await.reason.unwrap().predicate, "client_gone");
}

#[tokio::test]
async fn a_silent_backend_is_given_up_before_its_answer_and_within_it() {
    for begins in [false, true] {
        let (backend, parts, _told) = parts().await;
        let world = World::new("").await;
        let idle = Duration::from_millis(200);
        let route = Route { idle, ..route(ModelProtocol::Anthropic, backend.port, "real") };
        world.route("", 1, vec![route]);
        let mut client = tls(&world, "inference.local", "http/1.1").await;
        if begins {
            begin(&mut client, &parts).await;
        } else {
            say(&mut client).await;
        }
        let call = one_call(&world).await;
        assert_eq!(call.reason.unwrap().predicate, "backend_silent");
        if begins {
            is_cut_off(&mut client).await;
        } else {
            let answer = read_until(&mut client, "silent").await;
            assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        }
    }
}

#[tokio::test]
async fn i13_the_next_call_goes_out_as_the_new_state_says() {
    let (one, other) = (backend(MESSAGE).await, backend(MESSAGE).await);
    let world = World::new("").await;
    let mut client = None;
    for (epoch, backend, secret) in [(1, &one, "first"), (2, &one, "second"), (3, &other, "third")]
    {
        world.route("", epoch, vec![route(ModelProtocol::Anthropic, backend.port, secret)]);
        let client = match &mut client {
            Some(client) => client,
            None => client.insert(tls(&world, "inference.local", "http/1.1").await),
        };
        let answer = ask(client, &post("inference.local", "/v1/messages", "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(backend.bytes().contains(&format!("x-api-key: {secret}\r\n")));
    }
    assert!(!one.bytes().contains("third"));
    assert!(!other.bytes().contains("second"));
}

#[tokio::test]
async fn i13_a_state_is_over_when_its_calls_are_answered() {
    let backend = backend(MESSAGE).await;
    let world = World::new("").await;
    let routed = || vec![route(ModelProtocol::Anthropic, backend.port, "real")];
    world.route("", 1, routed());
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(world.route("", 2, routed()).is_over());
}

#[tokio::test]
async fn i13_a_state_is_over_when_a_call_was_sent_that_gets_no_answer() {
    for stays in [true, false] {
        let (backend, _parts, _told) = parts().await;
        let world = World::new("").await;
        let routed = || vec![route(ModelProtocol::Anthropic, backend.port, "real")];
        world.route("", 1, routed());
        let mut client = tls(&world, "inference.local", "http/1.1").await;
        client.write_all(post("inference.local", "/v1/messages", "{}").as_bytes()).await.unwrap();
        while backend.bytes().is_empty() {
            tokio::task::yield_now().await;
        }
        let client = stays.then_some(client);
        let before = world.route("", 2, routed());
        timeout(Duration::from_secs(10), before.over()).await.unwrap();
        drop(client);
    }
}

#[tokio::test]
async fn an_expired_credential_and_a_backend_that_is_not_there_are_told() {
    let world = World::new("").await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let expired = Route { expires_ms: Some(1), ..route(ModelProtocol::Anthropic, gone, "real") };
    world.route("", 1, vec![expired, route(ModelProtocol::OpenAi, gone, "real")]);
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("expired"), "{answer}");
    let answer = ask(&mut client, &post("inference.local", "/v1/responses", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn m13_without_a_record_nothing_is_served() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    world.fill_the_log(true);
    let mut client = world.transparent_to("inference.local", 80).await;
    let request = post("inference.local", "/v1/messages", "{}");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    read_to_its_end(&mut client, &mut answer).await;
    assert!(answer.is_empty());
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn m13_after_a_call_without_a_record_a_connection_has_no_other() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let request = post("inference.local", "/v1/messages", "{}");
    assert!(ask(&mut client, &request).await.starts_with("HTTP/1.1 200"));
    world.events(2).await;
    world.fill_the_log(true);
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(ask(&mut client, &request).await);
    }
    assert!(answers[1].starts_with("HTTP/1.1 502"), "{answers:?}");
    assert!(answers[2].starts_with("HTTP/1.1 502"), "{answers:?}");
    assert_eq!(backend.bytes().matches("POST /base/messages").count(), 2);
}

/// A call whose body is small, and large without its coding.
fn packed(host: &str, octets: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let text: String = (0..octets / 64).map(|line| format!("{line:064x}")).collect();
    write!(encoder, "{{\"x\":\"{text}\"}}").unwrap();
    let body = encoder.finish().unwrap();
    let mut request = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}

#[tokio::test]
async fn n06_a_body_counts_without_its_coding_and_until_it_is_sent() {
    const OCTETS: usize = 16 * 1024 * 1024;
    // It answers as soon as something comes, and reads no more.
    let backend = Upstream::serve(move |mut stream, _| async move {
        stream.read_u8().await.unwrap();
        stream.write_all(EVENTS.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = world.transparent_to("inference.local", 80).await;
    client.write_all(&packed("inference.local", OCTETS)).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let bodies = &world.egress.context().bodies;
    let taken = limits::BODIES - bodies.available_permits();
    assert!(taken >= OCTETS / 1024, "{taken} KiB");
    // What was not sent is dropped with the call.
    drop(client);
    let all = bodies.acquire_many(u32::try_from(limits::BODIES).unwrap());
    let _all = timeout(Duration::from_secs(10), all).await.unwrap().unwrap();
}

#[tokio::test]
async fn n06_answers_for_which_there_is_no_room_pass_uncounted() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let answers = &world.egress.context().answers;
    let room = answers.acquire_many(u32::try_from(limits::ANSWERS).unwrap()).await.unwrap();
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.contains("output_tokens"), "{answer}");
    drop(room);
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.contains("output_tokens"), "{answer}");
    let calls = calls(&world.events(3).await);
    let counted: Vec<bool> = calls.iter().map(|call| call.tokens.is_some()).collect();
    assert_eq!(counted, [false, true]);
    assert_eq!(answers.available_permits(), limits::ANSWERS);
}

#[tokio::test]
async fn n01_connections_to_backends_take_the_places_of_connections() {
    let backend = backend(MESSAGE).await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let context = world.egress.context();
    let places: Vec<_> = std::iter::from_fn(|| context.place()).collect();
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(backend.connections(), 0);
    drop(places);
    let answer = ask(&mut client, &post("inference.local", "/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn n02_a_caller_that_says_nothing_is_not_kept() {
    for alpn in ["http/1.1", "h2"] {
        let backend = backend(MESSAGE).await;
        let world = routed(ModelProtocol::Anthropic, &backend).await;
        let mut client = tls(&world, "inference.local", alpn).await;
        world.events(1).await;
        let begun = Instant::now();
        tokio::time::pause();
        let mut said = Vec::new();
        let ended = timeout(10 * limits::CALLER_IDLE, client.read_to_end(&mut said)).await;
        assert!(ended.is_ok() && begun.elapsed() < 2 * limits::CALLER_IDLE, "{alpn}");
        tokio::time::resume();
    }
}
