//! Budgets of routes: what is counted, what a caller is told, and what outlives what.

use std::sync::atomic::Ordering;

use openshell_types::{CallBudget, Period};

use super::super::budgets::clock;
use super::*;

/// A route with a budget.
fn limited(protocol: ModelProtocol, backend: &Upstream, parts: &str, per: Period) -> Route {
    let budget = Some(CallBudget::parse(parts, per).unwrap());
    Route { budget, ..route(protocol, backend.port, "real") }
}

/// A world whose calls of a protocol go to this backend, and have this budget for its life.
async fn world(protocol: ModelProtocol, backend: &Upstream, parts: &str) -> World {
    let world = World::new("").await;
    world.route("", 1, vec![limited(protocol, backend, parts, Period::Sandbox)]);
    world
}

/// The status and the whole answer of one call over a connection of its own.
async fn call(world: &World, path: &str, body: &str) -> (u16, String) {
    let mut client = tls(world, "inference.local", "http/1.1").await;
    let answer = ask(&mut client, &post("inference.local", path, body)).await;
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    (status, answer)
}

async fn status(world: &World) -> u16 {
    call(world, "/v1/messages", "{}").await.0
}

/// The calls that a budget refused or cut off.
async fn told(world: &World, outcome: Outcome) -> Vec<Inference> {
    let told = calls(&world.some_events().await).into_iter().filter(|call| call.outcome == outcome);
    told.filter(|call| call.reason.as_ref().is_some_and(|why| why.predicate == "budget")).collect()
}

fn piece(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A backend that says so as soon as it is asked, and then this for ever; and that tells when its
/// client is gone.
async fn endless(first: &'static str, then: &'static str) -> (Upstream, mpsc::Receiver<()>) {
    let (gone, told) = mpsc::channel(8);
    let upstream = Upstream::serve(move |mut stream, seen| {
        let gone = gone.clone();
        async move {
            let Some(request) = read_request(&mut stream).await else { return };
            seen.lock().unwrap().1.extend_from_slice(&request);
            stream.write_all(format!("{EVENTS}{}", piece(first)).as_bytes()).await.unwrap();
            while stream.write_all(piece(then).as_bytes()).await.is_ok() {}
            let _ = gone.send(()).await;
        }
    })
    .await;
    (upstream, told)
}

/// What comes until a call is cut off.
async fn cut_off(client: &mut TlsStream<TcpStream>) -> String {
    let mut came = Vec::new();
    let ended = timeout(Duration::from_secs(20), client.read_to_end(&mut came)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    let came = String::from_utf8_lossy(&came).into_owned();
    assert!(!came.ends_with("0\r\n\r\n"));
    came
}

#[tokio::test]
async fn h12_calls_beyond_a_budget_are_refused_until_its_next_window() {
    for (protocol, path, word) in [
        (ModelProtocol::Anthropic, "/v1/messages", r#""type":"rate_limit_error""#),
        (ModelProtocol::OpenAi, "/v1/responses", r#""code":"rate_limit_exceeded""#),
        (ModelProtocol::Gemini, "/v1beta/models/a:generateContent", "RESOURCE_EXHAUSTED"),
    ] {
        let backend = backend(MESSAGE).await;
        let (second, options) = clock();
        let world = World::with("", options).await;
        world.route("", 1, vec![limited(protocol, &backend, "requests=2", Period::Hour)]);
        for _ in 0..2 {
            assert_eq!(call(&world, path, "{}").await.0, 200);
        }
        let (status, answer) = call(&world, path, "{}").await;
        assert_eq!(status, 429, "{answer}");
        let next = format!("openshell inference update --protocol {protocol} --budget requests=");
        for part in [
            word,
            &next,
            "retry-after: 801\r\n",
            "x-openshell-policy: denied\r\n",
            "the budget of 2 requests per hour is used up until 2030-03-17T18:00:00Z",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        assert_eq!(backend.bytes().matches("POST ").count(), 2);
        let denied = told(&world, Outcome::Denied).await;
        assert_eq!((denied.len(), denied[0].route.as_deref()), (1, Some(protocol.as_str())));
        second.fetch_add(1200, Ordering::SeqCst);
        assert_eq!(call(&world, path, "{}").await.0, 200);
        assert_eq!(call(&world, path, "{}").await.0, 200);
        assert_eq!(call(&world, path, "{}").await.0, 429);
        // A clock that is set back gives nothing back.
        second.fetch_sub(1200, Ordering::SeqCst);
        assert_eq!(call(&world, path, "{}").await.0, 429);
    }
}

#[tokio::test]
async fn h12_a_budget_that_is_never_whole_again_says_so() {
    let backend = backend(MESSAGE).await;
    let world = world(ModelProtocol::OpenAi, &backend, "requests=1").await;
    assert_eq!(call(&world, "/v1/responses", "{}").await.0, 200);
    let (status, answer) = call(&world, "/v1/embeddings", "{}").await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains(r#""code":"insufficient_quota""#), "{answer}");
    assert!(answer.contains("for as long as the sandbox lives"), "{answer}");
    assert!(!answer.contains("retry-after"), "{answer}");
}

#[tokio::test]
async fn h12_tokens_are_counted_as_the_backend_says_them() {
    // Each takes seven.
    let backend = backend(MESSAGE).await;
    let world = world(ModelProtocol::Anthropic, &backend, "tokens=10").await;
    assert_eq!(status(&world).await, 200);
    assert_eq!(status(&world).await, 200);
    let (status, answer) = call(&world, "/v1/messages", "{}").await;
    assert_eq!(status, 429);
    assert!(answer.contains("the budget of 10 tokens per sandbox is used up"), "{answer}");
}

#[tokio::test]
async fn h12_a_body_passes_as_a_whole_or_not_at_all() {
    let backend = backend(MESSAGE).await;
    let world = world(ModelProtocol::Anthropic, &backend, "bytes=500").await;
    let long = format!(r#"{{"x":"{}"}}"#, "y".repeat(600));
    let (status, answer) = call(&world, "/v1/messages", &long).await;
    assert_eq!(status, 429);
    assert!(answer.contains("has no room for") && answer.contains("but for 500"), "{answer}");
    assert_eq!(backend.bytes(), "");
    // What was refused took nothing.
    let short = format!(r#"{{"x":"{}"}}"#, "y".repeat(400));
    assert_eq!(call(&world, "/v1/messages", &short).await.0, 200);
    assert_eq!(call(&world, "/v1/messages", &short).await.0, 429);
}

#[tokio::test]
async fn h12_an_answer_that_never_ends_is_cut_when_its_bytes_are_used_up() {
    const FIRST: &str =
        "data: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n";
    let pings = "data: {\"type\":\"ping\"}\n\n".repeat(200).leak();
    let (backend, mut told_gone) = endless(FIRST, pings).await;
    let world = world(ModelProtocol::Anthropic, &backend, "bytes=1M").await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    say(&mut client).await;
    let came = cut_off(&mut client).await;
    let (_, body) = came.split_once("\r\n\r\n").unwrap();
    // Its chunks have heads, too; of the last piece nothing passes.
    assert!((500_000..1_500_000).contains(&body.len()), "{}", body.len());
    // The backend is no longer asked.
    timeout(Duration::from_secs(10), told_gone.recv()).await.unwrap().unwrap();
    assert_eq!(status(&world).await, 429);
    assert_eq!(backend.connections(), 1);
    let cut = told(&world, Outcome::Revoked).await;
    assert_eq!((cut.len(), cut[0].tokens.unwrap().input), (1, Some(3)));
    let detail = &cut[0].reason.as_ref().unwrap().detail;
    assert!(detail.contains("the budget of 1000000 bytes"), "{detail}");
    assert!(detail.contains("had taken about 4 tokens"), "{detail}");
}

#[tokio::test]
async fn h12_an_answer_that_says_no_tokens_is_cut_by_its_text() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n";
    let (backend, mut told_gone) = endless(event, event).await;
    let world = world(ModelProtocol::OpenAi, &backend, "tokens=1000").await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let request = post("inference.local", "/v1/chat/completions", r#"{"stream":true}"#);
    client.write_all(request.as_bytes()).await.unwrap();
    let came = cut_off(&mut client).await.matches("12345678").count();
    assert!(came <= 500, "{came}");
    timeout(Duration::from_secs(10), told_gone.recv()).await.unwrap().unwrap();
    let (status, answer) = call(&world, "/v1/chat/completions", "{}").await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains("1000 tokens per sandbox is used up"), "{answer}");
    assert_eq!(told(&world, Outcome::Revoked).await.len(), 1);
}

#[tokio::test]
async fn h12_an_answer_that_cannot_be_read_counts_by_its_length() {
    let head = EVENTS.replace("Content-Type", "Content-Encoding: gzip\r\nContent-Type");
    let answer = format!("{head}{}0\r\n\r\n", piece(&"\n".repeat(4000))).leak();
    let backend = backend(answer).await;
    let world = world(ModelProtocol::Anthropic, &backend, "tokens=1000").await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    say(&mut client).await;
    read_until(&mut client, "0\r\n\r\n").await;
    assert_eq!(status(&world).await, 429);
}

#[tokio::test]
async fn h12_what_was_estimated_is_settled_when_the_backend_says_it() {
    // About a thousand tokens by its text; it says that it took ten.
    let text = "x".repeat(4000);
    let events = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n\
         data: {{\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":5}}}}\n\n"
    );
    let answer = format!("{EVENTS}{}0\r\n\r\n", piece(&events)).leak();
    let backend = backend(answer).await;
    let world = world(ModelProtocol::OpenAi, &backend, "tokens=1100").await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    for _ in 0..5 {
        let request = post("inference.local", "/v1/chat/completions", "{}");
        client.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut client, "0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn h12_what_was_used_outlives_routes_and_policies() {
    let (one, other) = (backend(MESSAGE).await, backend(MESSAGE).await);
    let world = World::new("").await;
    let routes =
        |backend, parts| vec![limited(ModelProtocol::Anthropic, backend, parts, Period::Day)];
    world.route("", 1, routes(&one, "requests=2"));
    assert_eq!(status(&world).await, 200);
    world.route("{ host: a.example.com, port: 443 }", 2, routes(&other, "requests=2"));
    assert_eq!(status(&world).await, 200);
    assert_eq!(status(&world).await, 429);
    world.route("", 3, Vec::new());
    world.route("", 4, routes(&one, "requests=2,tokens=1M"));
    assert_eq!(status(&world).await, 429);
    // A larger one has room for the difference, and none has no end.
    world.route("", 5, routes(&one, "requests=3"));
    assert_eq!(status(&world).await, 200);
    assert_eq!(status(&world).await, 429);
    world.route("", 6, vec![route(ModelProtocol::Anthropic, one.port, "real")]);
    assert_eq!(status(&world).await, 200);
}

#[tokio::test]
async fn h12_a_budget_that_comes_while_an_answer_streams_holds_for_it() {
    let (backend, parts, told_gone) = parts().await;
    let world = routed(ModelProtocol::Anthropic, &backend).await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    begin(&mut client, &parts).await;
    read_until(&mut client, "input_tokens").await;
    world.route("", 2, vec![limited(ModelProtocol::Anthropic, &backend, "bytes=1", Period::Day)]);
    parts.send(SECOND).await.unwrap();
    is_cut_off(&mut client).await;
    timeout(Duration::from_secs(10), told_gone).await.unwrap().unwrap();
    assert_eq!(told(&world, Outcome::Revoked).await.len(), 1);
}

#[tokio::test]
async fn h12_who_does_not_wait_for_the_answer_pays_for_the_question() {
    let (backend, _parts, told_gone) = parts().await;
    let world = world(ModelProtocol::Anthropic, &backend, "tokens=5000").await;
    let mut client = tls(&world, "inference.local", "http/1.1").await;
    let question = format!(r#"{{"x":"{}"}}"#, "y".repeat(40_000));
    let request = post("inference.local", "/v1/messages", &question);
    client.write_all(request.as_bytes()).await.unwrap();
    while backend.bytes().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    timeout(Duration::from_secs(10), told_gone).await.unwrap().unwrap();
    one_call(&world).await;
    assert_eq!(status(&world).await, 429);
}

#[tokio::test]
async fn h12_what_the_backend_refuses_takes_no_tokens() {
    let backend = backend(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    )
    .await;
    let world = world(ModelProtocol::Anthropic, &backend, "tokens=10").await;
    let question = format!(r#"{{"x":"{}"}}"#, "y".repeat(4000));
    for _ in 0..3 {
        assert_eq!(call(&world, "/v1/messages", &question).await.0, 400);
    }
}
