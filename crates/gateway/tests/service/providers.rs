//! Providers: what their settings make of them, and what a sandbox shows of them.

use openshell_wire::datamodel::workspace_selector::Selection;
use openshell_wire::datamodel::{ObjectMeta, Provider, WorkspaceSelector};
use openshell_wire::v1;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tonic::{Code, Status};

use crate::support::{World, create, scope};

pub async fn provider(
    world: &World,
    (name, kind): (&str, &str),
    config: &[(&str, &str)],
    credentials: &[(&str, &str)],
) -> Result<(), Status> {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let provider = Provider {
        metadata: Some(ObjectMeta { name: name.into(), ..Default::default() }),
        r#type: kind.into(),
        credentials: owned(credentials),
        config: owned(config),
        ..Default::default()
    };
    let request = v1::CreateProviderRequest {
        provider: Some(provider),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().create_provider(request).await.map(drop)
}

pub async fn attach(world: &World, name: &str) -> v1::Sandbox {
    let request = v1::AttachSandboxProviderRequest {
        sandbox: "one".into(),
        provider: name.into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().attach_sandbox_provider(request).await.unwrap().into_inner().sandbox.unwrap()
}

pub async fn detach(world: &World, name: &str) -> v1::Sandbox {
    let request = v1::DetachSandboxProviderRequest {
        sandbox: "one".into(),
        provider: name.into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().detach_sandbox_provider(request).await.unwrap().into_inner().sandbox.unwrap()
}

async fn state(world: &World, name: &str) -> v1::ProviderReadinessState {
    let request = v1::GetSandboxProviderStatusRequest {
        sandbox: "one".into(),
        provider: name.into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let answer = world.v1().get_sandbox_provider_status(request).await.unwrap().into_inner();
    answer.status.unwrap().state()
}

pub fn id(sandbox: &v1::Sandbox) -> &str {
    &sandbox.metadata.as_ref().unwrap().id
}

/// Where each credential goes, as a supervisor is told.
fn places(world: &World, sandbox: &v1::Sandbox) -> Vec<String> {
    let pushed = world.driver.pushed(id(sandbox)).expect("pushed");
    let mut all: Vec<String> = pushed
        .credentials
        .iter()
        .flat_map(|one| {
            one.bindings.iter().map(|to| {
                let path = &to.path;
                format!("{} {}:{}{path}", one.name, to.host, to.port)
            })
        })
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn i02_a_base_url_is_where_the_credential_goes_and_nowhere_else() {
    let world = World::start().await;
    let kind = ("own", "openai-compatible");
    let key = ("OPENAI_API_KEY", "hunter2hunter2");
    let refused = provider(&world, kind, &[], &[key]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("OPENAI_BASE_URL"), "{refused:?}");
    let bad = [("OPENAI_BASE_URL", "https://u:hunter2@models.example.com/v1")];
    let refused = provider(&world, kind, &bad, &[key]).await.unwrap_err();
    assert!(!refused.message().contains("hunter2"), "{refused:?}");

    let url = [("OPENAI_BASE_URL", "https://models.example.com:8443/api")];
    provider(&world, kind, &url, &[key]).await.unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    attach(&world, "own").await;
    assert_eq!(places(&world, &sandbox), ["own/OPENAI_API_KEY models.example.com:8443/api/**"]);
    let text = world.driver.pushed(id(&sandbox)).expect("pushed").text;
    assert!(text.contains("models.example.com") && text.contains("8443"), "{text}");
    assert!(text.contains("/api/**") && text.contains("_provider_own:"), "{text}");

    // Another URL reaches the sandbox that has it.
    let moved = Provider {
        metadata: Some(ObjectMeta { name: "own".into(), ..Default::default() }),
        config: [("OPENAI_BASE_URL".to_owned(), "https://other.example.com/v1".to_owned())].into(),
        ..Default::default()
    };
    let request = v1::UpdateProviderRequest {
        provider: Some(moved),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().update_provider(request).await.unwrap();
    assert_eq!(places(&world, &sandbox), ["own/OPENAI_API_KEY other.example.com:443/v1/**"]);

    // Programs find the URL where they look for it.
    let mut request = create("two", &["serve"]);
    let spec = request.request.as_mut().unwrap().spec.as_mut().unwrap();
    spec.providers = vec!["own".into()];
    world.native().create(request).await.unwrap();
    let two = world.wait_for_phase("two", v1::SandboxPhase::Ready).await;
    let environment = world.driver.spec(id(&two)).environment;
    assert_eq!(environment["OPENAI_BASE_URL"], "https://other.example.com/v1");
    assert!(!environment["OPENAI_API_KEY"].contains("hunter2"));
}

#[tokio::test]
async fn i02_each_registry_gets_its_own_credential() {
    let world = World::start().await;
    let kind = ("packages", "package-registries");
    let refused = provider(&world, kind, &[], &[]).await.unwrap_err();
    assert!(refused.message().contains("NPM_REGISTRY"), "{refused:?}");
    let settings = [
        ("PIP_INDEX_URL", "https://pip.example.com/simple"),
        ("NPM_REGISTRY", "https://npm.example.com/repo"),
    ];
    let other = [("CARGO_REGISTRIES_X_TOKEN", "hunter2hunter2")];
    let refused = provider(&world, kind, &settings, &other).await.unwrap_err();
    assert!(refused.message().contains("NPM_TOKEN"), "{refused:?}");
    let secrets = [("PIP_PASSWORD", "hunter2hunter2"), ("NPM_TOKEN", "hunter3hunter3")];
    provider(&world, kind, &settings, &secrets).await.unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    attach(&world, "packages").await;
    assert_eq!(
        places(&world, &sandbox),
        ["packages/NPM_TOKEN npm.example.com:443", "packages/PIP_PASSWORD pip.example.com:443"]
    );
    let text = world.driver.pushed(id(&sandbox)).expect("pushed").text;
    assert!(text.contains("_provider_packages:npm") && text.contains("_provider_packages:pip"));
    assert!(!text.contains("read-write"), "{text}");
}

#[tokio::test]
async fn a_sandbox_shows_what_is_attached_now_and_how_far_it_is() {
    let mut world = World::start().await;
    let secret = |key| [(key, "hunter2hunter2")];
    provider(&world, ("git", "github"), &[], &secret("GITHUB_TOKEN")).await.unwrap();
    provider(&world, ("claude", "claude-code"), &[], &secret("ANTHROPIC_API_KEY")).await.unwrap();
    let mut request = create("one", &["serve"]);
    let spec = request.request.as_mut().unwrap().spec.as_mut().unwrap();
    spec.providers = vec!["git".into()];
    world.native().create(request).await.unwrap();
    let sandbox = world.wait_for_phase("one", v1::SandboxPhase::Ready).await;
    assert_eq!(sandbox.spec.unwrap().providers, ["git"]);
    assert_eq!(attach(&world, "claude").await.spec.unwrap().providers, ["git", "claude"]);
    assert_eq!(state(&world, "claude").await, v1::ProviderReadinessState::Ready);
    let delete = v1::DeleteProviderRequest {
        name: "claude".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let refused = world.v1().delete_provider(delete).await.unwrap_err();
    assert!(
        refused.message().ends_with("`openshell provider detach one claude` first"),
        "{refused}"
    );
    assert_eq!(detach(&world, "git").await.spec.unwrap().providers, ["claude"]);
    assert_eq!(state(&world, "git").await, v1::ProviderReadinessState::Revoked);

    let list = v1::ListSandboxesRequest { workspace_scope: scope(), ..Default::default() };
    let listed = world.v1().list_sandboxes(list).await.unwrap().into_inner();
    assert_eq!(listed.sandboxes[0].spec.as_ref().unwrap().providers, ["claude"]);

    // Nothing is known of a supervisor that has not come back.
    world.stop().await;
    world.driver.kill(&world_id(&listed));
    let mut receipt = v1::GetSandboxProviderStatusRequest {
        sandbox: "one".into(),
        provider: "claude".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.run().await;
    world.wait_for_phase("one", v1::SandboxPhase::Error).await;
    let answer = world.v1().get_sandbox_provider_status(receipt.clone()).await.unwrap();
    let status = answer.into_inner().status.unwrap();
    assert_eq!(status.state(), v1::ProviderReadinessState::Pending);
    assert_eq!(status.reason(), v1::ProviderReadinessReason::WaitingForSupervisor);
    receipt.receipt_id = "x".into();
    let missing = world.v1().get_sandbox_provider_status(receipt).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
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
    let elsewhere = |name: &str| {
        let selection = Some(Selection::Workspace(name.into()));
        Some(WorkspaceSelector { selection })
    };
    let get = |workspace_scope| v1::GetProviderRequest { name: "theirs".into(), workspace_scope };
    let mut client = world.v1();
    assert!(client.get_provider(get(elsewhere("other"))).await.is_ok());
    world.ready("one", &["serve"]).await;

    let named = Some(Provider {
        metadata: Some(ObjectMeta { name: "theirs".into(), ..Default::default() }),
        credentials: [("OPENAI_API_KEY".to_owned(), "hunter2hunter2".to_owned())].into(),
        ..Default::default()
    });
    let update = v1::UpdateProviderRequest {
        provider: named,
        workspace_scope: scope(),
        ..Default::default()
    };
    let attach = v1::AttachSandboxProviderRequest {
        sandbox: "one".into(),
        provider: "theirs".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let detach = v1::DetachSandboxProviderRequest {
        sandbox: "one".into(),
        provider: "theirs".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let delete = v1::DeleteProviderRequest {
        name: "theirs".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let refusals = [
        client.delete_provider(delete).await.map(drop),
        client.get_provider(get(scope())).await.map(drop),
        client.update_provider(update).await.map(drop),
        client.attach_sandbox_provider(attach.clone()).await.map(drop),
        client.detach_sandbox_provider(detach).await.map(drop),
        // Nor is a sandbox of here found there.
        client
            .attach_sandbox_provider(v1::AttachSandboxProviderRequest {
                workspace_scope: elsewhere("other"),
                ..attach
            })
            .await
            .map(drop),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().code(), Code::NotFound);
    }
    let mut request = create("two", &["serve"]);
    let spec = request.request.as_mut().unwrap().spec.as_mut().unwrap();
    spec.providers = vec!["theirs".into()];
    let refused = world.native().create(request).await.unwrap_err();
    assert!(refused.message().contains("provider 'theirs' not found"), "{refused}");

    let list = v1::ListProvidersRequest { workspace_scope: scope(), ..Default::default() };
    assert!(client.list_providers(list).await.unwrap().into_inner().providers.is_empty());
    assert!(client.get_provider(get(elsewhere("other"))).await.is_ok());
}

fn world_id(listed: &v1::ListSandboxesResponse) -> String {
    id(&listed.sandboxes[0]).to_owned()
}
