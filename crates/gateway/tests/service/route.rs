//! Routes: set, read, changed, taken away; and what of them reaches sandboxes.

use std::collections::HashMap;

use jiff::Timestamp;
use openshell_policy::{Caller, Decision, Destination, Policy, Program};
use openshell_types::{CallBudget, FileId, HostName, Port};
use openshell_wire::datamodel::{ObjectMeta, Provider};
use openshell_wire::{native, session, v1};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tonic::{Code, Status};

use crate::support::{World, create, scope, within};

/// Makes a provider with one value.
pub async fn provider(world: &World, name: &str, kind: &str, config: &[(&str, &str)]) {
    let variable = if kind == "anthropic" { "ANTHROPIC_API_KEY" } else { "OPENAI_API_KEY" };
    let request = v1::CreateProviderRequest {
        provider: Some(message(name, kind, &[(variable, "sk-first")], config)),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().create_provider(request).await.expect("a provider");
}

fn message(
    name: &str,
    kind: &str,
    credentials: &[(&str, &str)],
    config: &[(&str, &str)],
) -> Provider {
    let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Provider {
        metadata: Some(ObjectMeta { name: name.into(), ..Default::default() }),
        r#type: kind.into(),
        credentials: map(credentials),
        config: map(config),
        ..Default::default()
    }
}

pub fn route(provider: &str, model: &str) -> native::SetRouteRequest {
    native::SetRouteRequest {
        workspace_scope: scope(),
        provider: provider.into(),
        model: model.into(),
        no_verify: true,
        ..Default::default()
    }
}

async fn set(world: &World, request: native::SetRouteRequest) -> Result<native::Route, Status> {
    let answer = world.inference().set_route(request).await?.into_inner();
    Ok(answer.route.expect("a route"))
}

async fn routes(world: &World, sandbox: &str) -> Vec<native::Route> {
    let request =
        native::GetRoutesRequest { workspace_scope: scope(), sandbox: sandbox.to_owned() };
    world.inference().get_routes(request).await.expect("routes").into_inner().routes
}

async fn delete(world: &World, sandbox: &str, protocol: &str) -> Result<native::Route, Status> {
    let request = native::DeleteRouteRequest {
        workspace_scope: scope(),
        sandbox: sandbox.into(),
        protocol: protocol.into(),
    };
    Ok(world.inference().delete_route(request).await?.into_inner().route.expect("a route"))
}

fn id(sandbox: &v1::Sandbox) -> String {
    sandbox.metadata.as_ref().expect("metadata").id.clone()
}

/// What the supervisor of a sandbox has: the routes by protocol, and the policy.
fn pushed(world: &World, id: &str) -> (session::Policy, HashMap<String, session::Route>) {
    let policy = world.driver.pushed(id).expect("something was pushed");
    let routes = policy.routes.iter().map(|route| (route.protocol.clone(), route.clone()));
    (policy.clone(), routes.collect())
}

/// Whether a pushed policy lets a program use the route of a protocol.
fn may_use(pushed: &session::Policy, protocol: &str, program: &str) -> bool {
    let (policy, _) = Policy::compile(&pushed.text).expect("what was pushed compiles");
    assert_eq!(policy.digest().to_string(), pushed.digest);
    let host = HostName::parse(&format!("{protocol}.inference.local")).unwrap();
    let file = FileId { device: 1, inode: 1 };
    let exe = Program { file, path: Some(program.into()), sha256: None };
    let caller = Caller { exe, ancestors: Vec::new() };
    let to = Destination::Name(&host, Port::new(443).unwrap());
    match policy.connect(&to, &caller, Timestamp::now()) {
        Decision::Allow(grant) => {
            assert_eq!(policy.rule_name(&grant), format!("_inference_{protocol}"));
            true
        }
        Decision::Deny(_) => false,
    }
}

#[tokio::test]
async fn a_route_is_set_read_changed_and_taken_away() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    provider(&world, "other", "openai", &[("OPENAI_BASE_URL", "https://10.0.0.7/v1")]).await;
    let made = set(&world, route("work", "gpt-5")).await.expect("set");
    assert_eq!((made.protocol.as_str(), made.sandbox.as_str()), ("openai", ""));
    assert_eq!(made.base_url, "https://api.openai.com/v1");
    assert_eq!((made.idle_seconds, made.idle_is_default), (600, true));
    assert_eq!(routes(&world, "").await, std::slice::from_ref(&made));

    let update = native::UpdateRouteRequest {
        workspace_scope: scope(),
        provider: Some("other".into()),
        idle_seconds: Some(9),
        binaries: Some(native::Binaries { paths: vec!["/usr/bin/node".into()] }),
        no_verify: true,
        ..Default::default()
    };
    let changed = world.inference().update_route(update).await.expect("updated").into_inner();
    let changed = changed.route.expect("a route");
    assert_eq!((changed.provider.as_str(), changed.model.as_str()), ("other", "gpt-5"));
    assert_eq!(changed.base_url, "https://10.0.0.7/v1");
    assert_eq!((changed.idle_seconds, changed.idle_is_default), (9, false));
    assert_eq!(changed.binaries, ["/usr/bin/node"]);
    assert_eq!(changed.resource_version, made.resource_version + 1);
    assert_eq!(changed.created_ms, made.created_ms);

    // Another one of the protocol takes its place.
    set(&world, route("work", "gpt-5-mini")).await.expect("set");
    let all = routes(&world, "").await;
    assert_eq!((all.len(), all[0].model.as_str()), (1, "gpt-5-mini"));
    assert!(all[0].binaries.is_empty() && all[0].idle_is_default);

    assert_eq!(delete(&world, "", "").await.expect("deleted").model, "gpt-5-mini");
    assert!(routes(&world, "").await.is_empty());
    assert_eq!(delete(&world, "", "").await.unwrap_err().code(), Code::NotFound);
}

fn budget(tokens: Option<u64>, per: &str) -> Option<native::Budget> {
    Some(native::Budget { tokens, per: per.into(), ..Default::default() })
}

#[tokio::test]
async fn h12_a_budget_is_set_changed_taken_away_and_in_force_each_time() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    let id = id(&world.ready("first", &["serve"]).await);
    let in_force = || pushed(&world, &id).1["openai"].budget.clone();
    let with = |budget| native::SetRouteRequest { budget, ..route("work", "gpt-5") };
    let update = |budget, model: Option<&str>| native::UpdateRouteRequest {
        workspace_scope: scope(),
        model: model.map(str::to_owned),
        no_verify: true,
        budget,
        ..Default::default()
    };
    let made = set(&world, with(budget(Some(7), ""))).await.expect("set");
    assert_eq!(made.budget, budget(Some(7), "sandbox"));
    let session = |tokens, per: &str| {
        Some(session::CallBudget { tokens: Some(tokens), per: per.into(), ..Default::default() })
    };
    assert_eq!(in_force(), session(7, "sandbox"));

    // Another model keeps it; another budget takes its place as a whole.
    let mut client = world.inference();
    let kept = client.update_route(update(None, Some("other"))).await.unwrap().into_inner();
    assert_eq!(kept.route.unwrap().budget, made.budget);
    let most = CallBudget::MOST;
    client.update_route(update(budget(Some(most), "hour"), None)).await.expect("updated");
    assert_eq!(in_force(), session(most, "hour"));
    assert_eq!(routes(&world, "first").await[0].budget, budget(Some(most), "hour"));
    client.update_route(update(budget(None, ""), None)).await.expect("updated");
    assert_eq!(in_force(), None);
    assert_eq!(routes(&world, "").await[0].budget, None);

    // One that is set anew without a budget has none.
    set(&world, with(budget(Some(7), "day"))).await.expect("set");
    assert_eq!(in_force(), session(7, "day"));
    set(&world, with(None)).await.expect("set");
    assert_eq!(in_force(), None);
}

#[tokio::test]
async fn what_cannot_be_a_route_is_refused_with_its_reason() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    let plain = [("OPENAI_BASE_URL", "http://api.example.com/v1")];
    provider(&world, "plain", "openai-compatible", &plain).await;
    let with = |change: fn(&mut native::SetRouteRequest)| {
        let mut request = route("work", "gpt-5");
        change(&mut request);
        request
    };
    for (request, code, words) in [
        (route("nobody", "gpt-5"), Code::NotFound, "provider 'nobody' not found"),
        (route("plain", "m"), Code::InvalidArgument, "unencrypted"),
        (route("work", ""), Code::InvalidArgument, "model"),
        (route("work", "a b"), Code::InvalidArgument, "spaces"),
        (with(|own| own.protocol = "gemini".into()), Code::InvalidArgument, "not gemini"),
        (with(|own| own.protocol = "soap".into()), Code::InvalidArgument, "no protocol"),
        (with(|own| own.idle_seconds = 100_000), Code::InvalidArgument, "86400"),
        (with(|own| own.binaries = vec!["node".into()]), Code::InvalidArgument, "node"),
        (with(|own| own.budget = budget(Some(0), "day")), Code::InvalidArgument, "from 1 to"),
        (with(|own| own.budget = budget(Some(1 << 53), "")), Code::InvalidArgument, "from 1 to"),
        (with(|own| own.budget = budget(Some(1), "week")), Code::InvalidArgument, "minute, hour"),
        (with(|own| own.sandbox = "absent".into()), Code::NotFound, "absent"),
        (with(|own| own.workspace_scope = None), Code::InvalidArgument, "workspace"),
    ] {
        let status = set(&world, request).await.expect_err(words);
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
    assert!(routes(&world, "").await.is_empty());
}

#[tokio::test]
async fn which_route_is_meant_must_be_clear() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    provider(&world, "claude", "anthropic", &[]).await;
    set(&world, route("work", "gpt-5")).await.expect("set");
    set(&world, route("claude", "claude-sonnet-4-5")).await.expect("set");
    let status = delete(&world, "", "").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("anthropic and openai"), "{status}");
    assert_eq!(delete(&world, "", "openai").await.expect("deleted").protocol, "openai");
    assert_eq!(routes(&world, "").await.len(), 1);
}

#[tokio::test]
async fn i14_a_provider_of_another_workspace_is_not_found() {
    let world = World::start().await;
    let options = SqliteConnectOptions::new().filename(world.paths().database());
    let pool = SqlitePool::connect_with(options).await.unwrap();
    for sql in [
        "INSERT INTO workspaces VALUES ('other', 'w2', '{}', 1, 0)",
        "INSERT INTO providers VALUES ('other', 'theirs', 'p2', 'openai', '{}', '{}', 1, 0, '{}')",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let status = set(&world, route("theirs", "gpt-5")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    // There it is found.
    let selection = openshell_wire::datamodel::workspace_selector::Selection::Workspace;
    let selection = Some(selection("other".into()));
    let elsewhere = Some(openshell_wire::datamodel::WorkspaceSelector { selection });
    let there = native::SetRouteRequest { workspace_scope: elsewhere, ..route("theirs", "gpt-5") };
    assert_eq!(set(&world, there).await.expect("set").provider, "theirs");
    assert!(routes(&world, "").await.is_empty());
}

#[tokio::test]
async fn a_running_sandbox_has_its_workspaces_routes_and_before_them_its_own() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    provider(&world, "claude", "anthropic", &[]).await;
    let first = id(&world.ready("first", &["serve"]).await);
    let second = id(&world.ready("second", &["serve"]).await);

    set(&world, route("work", "gpt-5")).await.expect("set");
    set(&world, route("claude", "claude-sonnet-4-5")).await.expect("set");
    // It was in force everywhere when the call returned.
    for id in [&first, &second] {
        let (policy, routes) = pushed(&world, id);
        assert!(policy.credentials.is_empty());
        assert_eq!((routes.len(), policy.epoch), (2, 2));
        let openai = &routes["openai"];
        assert_eq!((openai.provider.as_str(), openai.model.as_str()), ("work", "gpt-5"));
        assert_eq!(openai.auth_field, "authorization");
        assert_eq!(openai.auth_value, "Bearer sk-first");
        assert_eq!((openai.expires_ms, openai.idle_seconds), (None, 600));
        assert_eq!(openai.passed, ["x-model-id"]);
        let anthropic = &routes["anthropic"];
        assert_eq!(anthropic.base_url, "https://api.anthropic.com/v1");
        assert_eq!(anthropic.auth_field, "x-api-key");
        assert_eq!(anthropic.auth_value, "sk-first");
        assert_eq!(anthropic.defaults[0].name, "anthropic-version");
        assert!(may_use(&policy, "openai", "/usr/bin/curl"));
        assert!(may_use(&policy, "anthropic", "/sandbox/tool"));
        assert!(!may_use(&policy, "gemini", "/usr/bin/curl"));
    }

    let own = native::SetRouteRequest {
        sandbox: "first".into(),
        binaries: vec!["/usr/lib/node/**".into()],
        ..route("work", "gpt-5-mini")
    };
    assert_eq!(set(&world, own).await.expect("set").sandbox, "first");
    let (policy, held) = pushed(&world, &first);
    assert_eq!(held["openai"].model, "gpt-5-mini");
    assert!(may_use(&policy, "openai", "/usr/lib/node/bin/node"));
    assert!(!may_use(&policy, "openai", "/usr/bin/curl"));
    assert!(may_use(&policy, "anthropic", "/usr/bin/curl"));
    assert_eq!(pushed(&world, &second).1["openai"].model, "gpt-5");
    let shown = routes(&world, "first").await;
    let shown: Vec<(&str, &str)> =
        shown.iter().map(|one| (one.protocol.as_str(), one.sandbox.as_str())).collect();
    assert_eq!(shown, [("openai", "first"), ("anthropic", "")]);

    delete(&world, "first", "").await.expect("deleted");
    assert_eq!(pushed(&world, &first).1["openai"].model, "gpt-5");
    delete(&world, "", "openai").await.expect("deleted");
    for id in [&first, &second] {
        let (policy, held) = pushed(&world, id);
        assert!(!held.contains_key("openai") && held.contains_key("anthropic"));
        assert!(!may_use(&policy, "openai", "/usr/bin/curl"));
    }
}

#[tokio::test]
async fn a_sandbox_that_does_not_take_a_route_is_named_and_the_others_have_it() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    let text = "version: 1\nnetwork_policies:\n  odd:\n    endpoints: [{ host: \
                refuse-me.example, port: 443 }]\n    binaries: [{ path: /usr/bin/curl }]\n";
    let odd = native::CreateRequest { policy_text: text.into(), ..create("odd", &["serve"]) };
    world.native().create(odd).await.expect("created");
    world.wait_for_phase("odd", v1::SandboxPhase::Ready).await;
    let even = id(&world.ready("even", &["serve"]).await);

    let status = set(&world, route("work", "gpt-5")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("sandbox 'odd'"), "{status}");
    assert!(status.message().contains("the kernel said no"), "{status}");
    assert_eq!(pushed(&world, &even).1["openai"].model, "gpt-5");
    assert_eq!(routes(&world, "").await.len(), 1);
}

#[tokio::test]
async fn a_new_sandbox_waits_for_the_routes_of_its_workspace() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    let without = id(&world.ready("without", &["serve"]).await);
    assert!(!world.driver.spec(&without).await_credentials);
    set(&world, route("work", "gpt-5")).await.expect("set");

    let with = id(&world.ready("with", &["serve"]).await);
    assert!(world.driver.spec(&with).await_credentials);
    within(async {
        while world.driver.pushed(&with).is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (policy, held) = pushed(&world, &with);
    assert_eq!(held["openai"].model, "gpt-5");
    assert!(policy.epoch > 0);
    assert!(world.driver.spec(&with).environment.is_empty());
}

#[tokio::test]
async fn i13_a_new_key_reaches_sandboxes_that_only_have_a_route_to_the_provider() {
    let world = World::start().await;
    provider(&world, "work", "openai", &[]).await;
    provider(&world, "claude", "anthropic", &[]).await;
    let first = id(&world.ready("first", &["serve"]).await);
    let second = id(&world.ready("second", &["serve"]).await);
    set(&world, route("work", "gpt-5")).await.expect("set");
    let own = native::SetRouteRequest {
        sandbox: "second".into(),
        ..route("claude", "claude-sonnet-4-5")
    };
    set(&world, own).await.expect("set");

    for (name, variable) in [("work", "OPENAI_API_KEY"), ("claude", "ANTHROPIC_API_KEY")] {
        let update = v1::UpdateProviderRequest {
            provider: Some(message(name, "", &[(variable, "sk-second")], &[])),
            workspace_scope: scope(),
            ..Default::default()
        };
        world.v1().update_provider(update).await.expect("updated");
    }
    let (policy, held) = pushed(&world, &first);
    assert_eq!(held["openai"].auth_value, "Bearer sk-second");
    assert!(policy.credentials.is_empty());
    let (policy, held) = pushed(&world, &second);
    assert_eq!(held["anthropic"].auth_value, "sk-second");
    assert!(policy.credentials.is_empty());
    // The jails have nothing of them still.
    for sandbox in ["first", "second"] {
        let request = v1::ListSandboxProvidersRequest {
            sandbox: sandbox.into(),
            workspace_scope: scope(),
            ..Default::default()
        };
        let attached = world.v1().list_sandbox_providers(request).await.unwrap().into_inner();
        assert!(attached.providers.is_empty(), "{sandbox}");
    }
}

#[tokio::test]
async fn a_provider_that_answers_calls_stays_and_goes_on_to() {
    let world = World::start().await;
    let config = [("OPENAI_BASE_URL", "https://10.0.0.7/v1")];
    provider(&world, "work", "openai-compatible", &config).await;
    world.ready("first", &["serve"]).await;
    let own = native::SetRouteRequest { sandbox: "first".into(), ..route("work", "gpt-5") };
    set(&world, own).await.expect("set");

    let remove = |world: &World| {
        let request = v1::DeleteProviderRequest {
            name: "work".into(),
            workspace_scope: scope(),
            ..Default::default()
        };
        let mut client = world.v1();
        async move { client.delete_provider(request).await }
    };
    let status = remove(&world).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let command = "openshell inference delete --protocol openai --sandbox first";
    assert!(status.message().contains(command), "{status}");

    let update = v1::UpdateProviderRequest {
        provider: Some(message("work", "", &[], &[("OPENAI_BASE_URL", "http://example.com/v1")])),
        workspace_scope: scope(),
        ..Default::default()
    };
    let status = world.v1().update_provider(update).await.unwrap_err();
    assert!(status.message().contains("openai calls"), "{status}");

    // A route goes with its sandbox.
    let request = v1::DeleteSandboxRequest {
        name: "first".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().delete_sandbox(request).await.expect("deleted");
    world.wait_until_gone("first").await;
    remove(&world).await.expect("nothing needs it any more");
}

#[tokio::test]
async fn a_policy_cannot_have_the_rules_of_routes() {
    let world = World::start().await;
    let text = |key: &str| {
        format!(
            "version: 1\nnetwork_policies:\n  {key}:\n    endpoints: [{{ host: \
             openai.inference.local, port: 443 }}]\n    binaries: [{{ path: /usr/bin/curl }}]\n"
        )
    };
    for key in ["_inference_openai", "\"\\x5finference_openai\""] {
        let request =
            native::CreateRequest { policy_text: text(key), ..create("first", &["serve"]) };
        let status = world.native().create(request).await.expect_err(key);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("line 3") && status.message().contains("_inference_"));
    }
    let request = native::CreateRequest { policy_text: text("mine"), ..create("a", &["serve"]) };
    world.native().create(request).await.expect("another key is fine");
}
