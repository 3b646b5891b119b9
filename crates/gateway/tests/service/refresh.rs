//! Credentials that are renewed, with a token endpoint that is there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use openshell_wire::datamodel::{ObjectMeta, Provider};
use openshell_wire::v1;
use openshell_wire::v1::ProviderCredentialRefreshRecoveryAction as Action;
use openshell_wire::v1::ProviderCredentialRefreshStrategy as Strategy;
use tonic::{Code, Status};

use crate::support::token::TokenServer;
use crate::support::{World, scope, within};

const KEY: &str = "API_TOKEN";

async fn provider(world: &World, kind: &str, credentials: &[(&str, &str)]) {
    let pairs = credentials.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let provider = Provider {
        metadata: Some(ObjectMeta { name: "api".into(), ..Default::default() }),
        r#type: kind.into(),
        credentials: pairs.collect(),
        ..Default::default()
    };
    let request = v1::CreateProviderRequest {
        provider: Some(provider),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().create_provider(request).await.unwrap();
}

fn asked(strategy: Strategy, material: &[(&str, &str)]) -> v1::ConfigureProviderRefreshRequest {
    let pairs = material.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    v1::ConfigureProviderRefreshRequest {
        provider: "api".into(),
        credential_key: KEY.into(),
        strategy: strategy.into(),
        material: pairs.collect(),
        workspace_scope: scope(),
        ..Default::default()
    }
}

async fn configure(
    world: &World,
    strategy: Strategy,
    material: &[(&str, &str)],
) -> v1::ProviderCredentialRefreshStatus {
    let answer = world.v1().configure_provider_refresh(asked(strategy, material)).await.unwrap();
    answer.into_inner().status.unwrap()
}

/// By a refresh token, at this server.
async fn by_token(world: &World, server: &TokenServer, token: &str) {
    let material = [("client_id", "me"), ("refresh_token", token), ("token_url", &server.url)];
    let status = configure(world, Strategy::Oauth2RefreshToken, &material).await;
    assert_eq!(status.status, "pending");
}

async fn statuses(
    world: &World,
    key: &str,
) -> Result<Vec<v1::ProviderCredentialRefreshStatus>, Status> {
    let request = v1::GetProviderRefreshStatusRequest {
        provider: "api".into(),
        credential_key: key.into(),
        workspace_scope: scope(),
    };
    Ok(world.v1().get_provider_refresh_status(request).await?.into_inner().credentials)
}

/// Waits until a renewal stands so.
async fn wait_for(world: &World, word: &str) -> v1::ProviderCredentialRefreshStatus {
    within(async {
        loop {
            let found = statuses(world, KEY).await.unwrap().remove(0);
            if found.status == word {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn rotate(world: &World) -> Result<v1::ProviderCredentialRefreshStatus, Status> {
    let request = v1::RotateProviderCredentialRequest {
        provider: "api".into(),
        credential_key: KEY.into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let answer = world.v1().rotate_provider_credential(request).await?;
    Ok(answer.into_inner().status.unwrap())
}

/// The value and the placeholder that a sandbox has.
fn held(world: &World, id: &str) -> Option<(String, String)> {
    let pushed = world.driver.pushed.borrow();
    let policy = pushed.iter().find(|(own, _)| own.as_str() == id)?.1;
    let credential = policy.credentials.first()?;
    Some((credential.secret.clone(), credential.placeholder.clone()))
}

async fn attached(world: &World) -> String {
    let sandbox = world.ready("box", &["serve"]).await;
    let request = v1::AttachSandboxProviderRequest {
        sandbox: "box".into(),
        provider: "api".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().attach_sandbox_provider(request).await.unwrap();
    sandbox.metadata.unwrap().id
}

#[tokio::test]
async fn i13_a_renewed_value_takes_the_place_of_the_one_before() {
    let world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[(KEY, "the-first-value-of-it")]).await;
    let id = attached(&world).await;
    let (first, placeholder) = held(&world, &id).unwrap();
    assert_eq!(first, "the-first-value-of-it");

    by_token(&world, &server, "refresh-one").await;
    let request = server.next().await;
    assert!(request.head.starts_with("POST /token HTTP/1.1\r\n"), "{}", request.head);
    let form: Vec<(&str, &str)> =
        request.form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected =
        [("client_id", "me"), ("grant_type", "refresh_token"), ("refresh_token", "refresh-one")];
    assert_eq!(form, expected);
    assert_eq!(wait_for(&world, "refreshing").await.last_refresh_time, None);
    request.give("second-value-of-it", None);

    let status = wait_for(&world, "refreshed").await;
    let mut pushed = world.driver.pushed.subscribe();
    let second = ("second-value-of-it".to_owned(), placeholder.clone());
    within(pushed.wait_for(|_| held(&world, &id).as_ref() == Some(&second))).await.unwrap();
    // It ends after 1800 s, and is renewed 300 s before.
    let (end, next) = (status.expiration_time.unwrap(), status.next_refresh_time.unwrap());
    assert_eq!((end.seconds - next.seconds, end.nanos), (300, next.nanos));
    assert_eq!(end.seconds - status.last_refresh_time.unwrap().seconds, 1800);

    // When somebody asks, it is in force when the answer comes.
    let (rotated, ()) = tokio::join!(rotate(&world), async {
        server.next().await.give("third-value-of-it", None);
    });
    assert_eq!(rotated.unwrap().status, "refreshed");
    assert_eq!(held(&world, &id).unwrap(), ("third-value-of-it".to_owned(), placeholder));
}

#[tokio::test]
async fn a_value_is_renewed_before_its_end() {
    let world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[(KEY, "the-first-value-of-it")]).await;
    let material = [("client_id", "me"), ("client_secret", "shh"), ("token_url", &server.url)];
    let mut request = asked(Strategy::Oauth2ClientCredentials, &material);
    let soon = SystemTime::now() + std::time::Duration::from_secs(301);
    request.expiration_time = Some(soon.into());
    let set = world.v1().configure_provider_refresh(request).await.unwrap().into_inner();
    assert_eq!(set.status.unwrap().expiration_time, Some(soon_to_ms(soon)));
    assert!(server.is_quiet(), "its time has not come");
    let request = server.next().await;
    assert_eq!(request.form["grant_type"], "client_credentials");
    assert_eq!(request.form["client_secret"], "shh");
    request.give("another-value", None);
    wait_for(&world, "refreshed").await;
}

fn soon_to_ms(time: SystemTime) -> prost_types::Timestamp {
    let mut stamp = prost_types::Timestamp::from(time);
    stamp.nanos -= stamp.nanos % 1_000_000;
    stamp
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_kept_over_a_restart() {
    let mut world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[]).await;
    by_token(&world, &server, "refresh-one").await;
    server.next().await.give("value-one", Some("refresh-two"));
    wait_for(&world, "refreshed").await;
    world.stop().await;
    world.run().await;
    assert!(server.is_quiet(), "it is not due");
    let (rotated, ()) = tokio::join!(rotate(&world), async {
        let request = server.next().await;
        assert_eq!(request.form["refresh_token"], "refresh-two");
        request.give("value-two", None);
    });
    rotated.unwrap();
    // What was there before stays when the server gives no other.
    let (rotated, ()) = tokio::join!(rotate(&world), async {
        let request = server.next().await;
        assert_eq!(request.form["refresh_token"], "refresh-two");
        request.answer(503, "");
    });
    assert_eq!(rotated.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_failure_is_told_and_tried_again_in_a_minute() {
    let world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[(KEY, "value-that-stays")]).await;
    let id = attached(&world).await;
    by_token(&world, &server, "refresh-canary").await;
    let said = r#"{"error":"invalid_grant","error_description":"Token expired\u001b[2J"}"#;
    server.next().await.answer(400, said);
    let status = wait_for(&world, "error").await;
    assert_eq!(status.failure_code, "invalid_grant");
    assert_eq!(status.recovery_action(), Action::Reauthorize);
    let expected = "the token endpoint refused: invalid_grant: Token expired\\u{1b}[2J";
    assert_eq!(status.last_error, expected);
    let (failed, next) = (status.last_error_time.unwrap(), status.next_refresh_time.unwrap());
    assert_eq!((next.seconds - failed.seconds, next.nanos), (60, failed.nanos));
    assert_eq!(held(&world, &id).unwrap().0, "value-that-stays");

    // Set anew it is tried at once, and a success forgets the failure.
    by_token(&world, &server, "refresh-two").await;
    server.next().await.give("value-two", None);
    assert_eq!(wait_for(&world, "refreshed").await.last_error, "");
}

#[tokio::test]
async fn what_is_set_anew_meanwhile_wins() {
    let world = World::start().await;
    let (mut old, mut new) = (TokenServer::start().await, TokenServer::start().await);
    provider(&world, "generic", &[]).await;
    by_token(&world, &old, "refresh-one").await;
    let late = old.next().await;
    by_token(&world, &new, "refresh-two").await;
    late.give("value-of-the-old", Some("refresh-of-the-old"));
    let request = new.next().await;
    assert_eq!(request.form["refresh_token"], "refresh-two");
    request.give("value-of-the-new", None);
    wait_for(&world, "refreshed").await;
    let id = attached(&world).await;
    assert_eq!(held(&world, &id).unwrap().0, "value-of-the-new");
}

#[tokio::test]
async fn who_asks_while_it_is_renewed_gets_what_comes_after() {
    let world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[]).await;
    by_token(&world, &server, "refresh-one").await;
    let first = server.next().await;
    let (rotated, ()) = tokio::join!(rotate(&world), async {
        first.give("value-one", None);
        server.next().await.give("value-two", None);
    });
    rotated.unwrap();
    let id = attached(&world).await;
    assert_eq!(held(&world, &id).unwrap().0, "value-two");
}

#[tokio::test]
async fn a_token_endpoint_with_tls_is_verified_with_the_operators_authorities() {
    let mut world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let mut server = TokenServer::start_secure(&ca).await;
    provider(&world, "generic", &[]).await;
    by_token(&world, &server, "refresh-one").await;
    let status = wait_for(&world, "error").await;
    assert_eq!(status.failure_code, "tls_failed", "{}", status.last_error);
    assert!(server.is_quiet());

    world.stop().await;
    let settings = world.paths().gateway_toml();
    fs::create_dir_all(settings.parent().unwrap()).unwrap();
    fs::write(&settings, format!("[upstream]\nca_file = {ca:?}\n")).unwrap();
    world.run().await;
    let (rotated, ()) = tokio::join!(rotate(&world), async {
        server.next().await.give("value-one", None);
    });
    assert_eq!(rotated.unwrap().status, "refreshed");
}

#[tokio::test]
async fn what_cannot_be_renewed_is_refused_with_the_reason() {
    let world = World::start().await;
    provider(&world, "generic", &[]).await;
    let url = "https://login.test/token";
    let good = [("client_id", "me"), ("refresh_token", "canary"), ("token_url", url)];
    for (strategy, material, words) in [
        (Strategy::Unspecified, &good[..], "strategy: it is missing"),
        (Strategy::External, &good, "`provider update`"),
        (
            Strategy::AwsStsAssumeRole,
            &good,
            "`aws_sts_assume_role` is not supported yet: there are `oauth2_refresh_token` and",
        ),
        (Strategy::GoogleServiceAccountJwt, &good, "not supported yet"),
        (Strategy::Oauth2ClientCredentials, &good, "`client_secret` is missing"),
        (Strategy::Oauth2RefreshToken, &good[..2], "`token_url` is missing"),
        (
            Strategy::Oauth2RefreshToken,
            &[good[0], good[1], ("token_url", "http://login.test/")],
            "`token_url`: `http://` is for loopback addresses",
        ),
        (
            Strategy::Oauth2RefreshToken,
            &[good[0], ("refresh_token", "canary\n"), good[2]],
            "`refresh_token`: the value has a line break",
        ),
        (
            Strategy::Oauth2RefreshToken,
            &[good[0], good[1], good[2], ("cleint_id", "x")],
            "there is no `cleint_id`; there are `client_id`",
        ),
    ] {
        let request = asked(strategy, material);
        let refused = world.v1().configure_provider_refresh(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(words), "{words}: {refused}");
        assert!(!refused.message().contains("canary"), "{refused}");
    }
    let mut request = asked(Strategy::Oauth2RefreshToken, &good);
    request.credential_key = "PATH".into();
    let refused = world.v1().configure_provider_refresh(request).await.unwrap_err();
    assert!(refused.message().contains("the sandbox's own"), "{refused}");
    assert_eq!(statuses(&world, "").await.unwrap(), []);
}

#[tokio::test]
async fn a_profile_says_where_its_tokens_come_from() {
    let world = World::start().await;
    provider(&world, "codex", &[]).await;
    let material = [("client_id", "app"), ("refresh_token", "canary")];
    let codex = |material: &[(&str, &str)], key: &str| {
        let request = asked(Strategy::Oauth2RefreshToken, material);
        let request = v1::ConfigureProviderRefreshRequest { credential_key: key.into(), ..request };
        let mut client = world.v1();
        async move { client.configure_provider_refresh(request).await }
    };
    let elsewhere = [material[0], material[1], ("token_url", "https://elsewhere.test/")];
    let refused = codex(&elsewhere, "CODEX_AUTH_ACCESS_TOKEN").await.unwrap_err();
    assert!(refused.message().contains("the profile says what it is"), "{refused}");
    let refused = codex(&material, "API_TOKEN").await.unwrap_err();
    assert!(refused.message().contains("`CODEX_AUTH_ACCESS_TOKEN`"), "{refused}");
}

#[tokio::test]
async fn what_is_deleted_is_renewed_no_more() {
    let world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[]).await;
    by_token(&world, &server, "refresh-one").await;
    server.next().await.give("value-one", None);
    wait_for(&world, "refreshed").await;
    let delete = |allow_missing| {
        let request = v1::DeleteProviderRefreshRequest {
            provider: "api".into(),
            credential_key: KEY.into(),
            workspace_scope: scope(),
            allow_missing,
            ..Default::default()
        };
        let mut client = world.v1();
        async move { client.delete_provider_refresh(request).await.map(|it| it.into_inner().outcome()) }
    };
    assert_eq!(delete(false).await.unwrap(), v1::DeletionOutcome::Completed);
    assert_eq!(delete(true).await.unwrap(), v1::DeletionOutcome::AlreadyAbsent);
    assert_eq!(delete(false).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(statuses(&world, KEY).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(statuses(&world, "").await.unwrap(), []);
    assert_eq!(rotate(&world).await.unwrap_err().code(), Code::NotFound);
    // The value stays.
    let id = attached(&world).await;
    assert_eq!(held(&world, &id).unwrap().0, "value-one");
}

/// Where everything that is logged goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn i08_nothing_secret_of_a_renewal_is_to_be_found() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut world = World::start().await;
    let mut server = TokenServer::start().await;
    provider(&world, "generic", &[]).await;
    let secrets = ["canary-refresh-1", "canary-client", "canary-access-1", "canary-refresh-2"];
    let material = [
        ("client_id", "me"),
        ("client_secret", secrets[1]),
        ("refresh_token", secrets[0]),
        ("token_url", &server.url),
    ];
    let mut said =
        vec![format!("{:?}", configure(&world, Strategy::Oauth2RefreshToken, &material).await)];
    server.next().await.give(secrets[2], Some(secrets[3]));
    said.push(format!("{:?}", wait_for(&world, "refreshed").await));
    // A server that says what it was sent.
    let echo =
        format!(r#"{{"error":"invalid_grant","error_description":"no {} here"}}"#, secrets[3]);
    let (refused, ()) = tokio::join!(rotate(&world), async {
        server.next().await.answer(400, &echo);
    });
    said.push(format!("{:?}", refused.unwrap_err()));
    said.push(format!("{:?}", statuses(&world, "").await.unwrap()));
    let (refused, ()) = tokio::join!(rotate(&world), async {
        server.next().await.answer(200, &format!(r#"{{"access_token":["{}"]}}"#, secrets[2]));
    });
    said.push(format!("{:?}", refused.unwrap_err()));
    world.stop().await;

    let planted = world.paths().gateway().join("planted");
    fs::write(&planted, "x canary-planted x").unwrap();
    let home = world.paths().state().parent().unwrap().to_owned();
    assert_eq!(holding(&home, "canary-planted"), [planted]);
    tracing::info!("canary-planted");
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("canary-planted") && logged.contains("Renewed"), "nothing is logged");
    for secret in secrets {
        assert_eq!(holding(&home, secret), Vec::<PathBuf>::new(), "{secret}");
        assert!(!logged.contains(secret), "{secret} is logged");
        assert!(!said.iter().any(|text| text.contains(secret)), "{secret}: {said:?}");
    }
    assert!(said[2].contains("invalid_grant"), "{said:?}");
}

/// The files beneath a folder that hold a text.
fn holding(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(holding(&entry.path(), needle));
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                all.push(entry.path());
            }
        }
    }
    all
}
