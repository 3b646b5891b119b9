//! Credentials that endpoints of the policy bind: for the programs of their rule alone.

use std::sync::Arc;

use openshell_audit::{Event, Outcome};
use openshell_credential::Credentials;
use openshell_types::{Binding, Credential, CredentialSet, Host, Placement, Port, Redacted};

use super::credentials::{ALL, HELD};
use super::requests::{ask, mirror};
use super::world::*;

const HERE: &str = "host.openshell.internal";
const BOUND: &str = "credential_binding: { provider: corp }";

/// A credential that the endpoint of this rule with this path binds.
pub(super) fn bound_by(
    epoch: u64,
    (rule, path): (&str, Option<&str>),
    port: u16,
    placements: &[&str],
) -> Arc<Credentials> {
    let binding = |placement: &&str| Binding {
        host: Host::parse(HERE).unwrap(),
        port: Port::new(port).unwrap(),
        path: path.map(str::to_owned),
        placement: Placement::parse(placement).unwrap(),
        rule: Some(rule.to_owned()),
    };
    let credential = Credential {
        name: "corp/TOKEN".to_owned(),
        placeholder: HELD.to_owned(),
        secret: Redacted::new("real-token".to_owned()),
        expires_ms: None,
        bindings: placements.iter().map(binding).collect(),
    };
    let mark = Redacted::new([7; 32]);
    Arc::new(Credentials::new(CredentialSet { epoch, mark, all: vec![credential] }))
}

fn endpoint(port: u16, more: &str) -> String {
    format!("{{ host: {HERE}, port: {port}, protocol: rest, {ALL}{more} }}")
}

/// A rule that lets another program there, with the credential.
fn of_another(port: u16) -> String {
    format!(
        "  web:\n    endpoints: [{}]\n    binaries: [{{ path: /usr/bin/wget }}]\n",
        endpoint(port, &format!(", {BOUND}"))
    )
}

fn request(port: u16, path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {HERE}:{port}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
}

#[tokio::test]
async fn i02_a_program_that_another_rule_lets_there_gets_no_value() {
    let upstream = mirror().await;
    let port = upstream.port;
    // Curl may go there without the credential, which is for wget.
    let plain = endpoint(port, "");
    let world = World::new(&plain).await;
    let in_field = format!("X-Corp: {HELD}\r\n");
    let in_authorization = format!("Authorization: Bearer {HELD}\r\n");
    let in_path = format!("/a/{HELD}");
    let in_query = format!("/a?key={HELD}");
    let cases = [
        ("/a", in_field.as_str(), ""),
        ("/a", in_authorization.as_str(), ""),
        (in_path.as_str(), "", ""),
        (in_query.as_str(), "", ""),
        ("/a", "Content-Type: text/plain\r\n", HELD),
    ];
    world.authenticate_beside(
        &plain,
        &of_another(port),
        bound_by(1, ("web", None), port, &["any", "body"]),
    );
    for (path, fields, body) in cases {
        let mut client = world.tunnel(port).await;
        let answer = ask(&mut client, &request(port, path, fields, body)).await;
        assert!(answer.contains("credential_endpoint_mismatch"), "{path} {fields} {answer}");
        assert!(!answer.contains("real-token"), "{answer}");
        let Some(Event::Http(last)) = world.some_events().await.pop() else { panic!() };
        assert_eq!(last.outcome, Outcome::Denied);
        let reason = last.reason.unwrap();
        assert_eq!(reason.predicate, "credential_program", "{path} {fields}");
        assert!(reason.detail.contains("`corp/TOKEN`") && reason.detail.contains("rule `web`"));
    }
    let sent = upstream.bytes();
    assert!(!sent.contains("real-token") && !sent.contains(HELD), "{sent}");

    // The same requests of the program that the rule names.
    let bound = endpoint(port, &format!(", {BOUND}, request_body_credential_rewrite: true"));
    world.authenticate(&bound, bound_by(2, ("api", None), port, &["any", "body"]));
    for (path, fields, body) in cases {
        let mut client = world.tunnel(port).await;
        let answer = ask(&mut client, &request(port, path, fields, body)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path} {fields} {answer}");
        let events = world.some_events().await;
        let is_put = |event: &Event| matches!(event, Event::Http(http) if http.credentials == ["corp/TOKEN"]);
        assert!(events.iter().any(is_put), "{events:?}");
    }
    let sent = upstream.bytes();
    assert_eq!(sent.matches("real").count(), cases.len(), "{sent}");
    assert!(!sent.contains(HELD), "{sent}");
}

#[tokio::test]
async fn i02_where_a_narrower_endpoint_gives_nothing_nothing_is_put_in() {
    let upstream = mirror().await;
    let port = upstream.port;
    let endpoints = format!(
        "{}, {}",
        endpoint(port, &format!(", {BOUND}")),
        endpoint(port, ", path: '/open/**'")
    );
    let world = World::new(&endpoints).await;
    world.authenticate(&endpoints, bound_by(1, ("api", None), port, &["any"]));
    let field = format!("X-Corp: {HELD}\r\n");
    let mut client = world.tunnel(port).await;
    let answer = ask(&mut client, &request(port, "/a", &field, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let sent = upstream.bytes();
    assert!(sent.contains("real-token"), "{sent}");
    let answer = ask(&mut client, &request(port, "/open/a", &field, "")).await;
    assert!(answer.contains("credential_endpoint_mismatch"), "{answer}");
    assert_eq!(upstream.bytes(), sent);
}

#[tokio::test]
async fn i15_when_the_provider_is_detached_no_other_credential_takes_its_place() {
    let upstream = mirror().await;
    let port = upstream.port;
    let bound = endpoint(port, &format!(", {BOUND}"));
    let world = World::new(&bound).await;
    let none = CredentialSet { epoch: 2, mark: Redacted::new([7; 32]), all: Vec::new() };
    world.authenticate(&bound, Arc::new(Credentials::new(none)));
    let mut client = world.tunnel(port).await;
    let mine = "Authorization: Bearer mine\r\n";
    let answer = ask(&mut client, &request(port, "/a", mine, "")).await;
    assert!(answer.contains("credential_endpoint_mismatch"), "{answer}");
    assert_eq!(upstream.bytes(), "");
    let mut client = world.tunnel(port).await;
    let answer = ask(&mut client, &request(port, "/a", "", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
