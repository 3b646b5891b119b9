//! Provider profiles of a workspace's own: stored, used, changed, removed.

use openshell_wire::datamodel::{ObjectMeta, Provider};
use openshell_wire::sandbox::{NetworkBinary, NetworkEndpoint};
use openshell_wire::{native, v1};
use tonic::Code;

use crate::support::{World, scope};

const ACME: &str = "id: acme
credentials: [{ name: key, env_vars: [ACME_KEY], required: true, auth_style: bearer }]
endpoints: [{ host: api.acme.test, port: 443, protocol: rest, access: read-only, enforcement: enforce }]
binaries: [{ path: /usr/bin/acme, descendants: true }]
";

fn text(text: &str) -> native::ProfileText {
    native::ProfileText { text: text.into(), file: "acme.yaml".into() }
}

pub fn import<const N: usize>(texts: [&str; N]) -> native::ImportProfilesRequest {
    native::ImportProfilesRequest { profiles: texts.map(text).into(), workspace_scope: scope() }
}

fn update(words: &str) -> native::UpdateProfileRequest {
    native::UpdateProfileRequest {
        id: "acme".into(),
        profile: Some(text(words)),
        workspace_scope: scope(),
    }
}

async fn exported(world: &World, id: &str) -> String {
    let request = native::GetProfileRequest { id: id.into(), workspace_scope: scope() };
    world.native().get_profile(request).await.unwrap().into_inner().text
}

fn delete(id: &str) -> v1::DeleteProviderProfileRequest {
    v1::DeleteProviderProfileRequest {
        id: id.into(),
        workspace_scope: scope(),
        ..Default::default()
    }
}

fn item(id: &str) -> v1::ProviderProfileImportItem {
    let credential = v1::ProviderProfileCredential {
        name: "key".into(),
        env_vars: vec![format!("{}_KEY", id.to_uppercase())],
        auth_style: "bearer".into(),
        ..Default::default()
    };
    let endpoint = NetworkEndpoint {
        host: format!("{id}.test"),
        port: 443,
        protocol: "rest".into(),
        access: openshell_wire::sandbox::NetworkAccessPreset::ReadOnly.into(),
        ..Default::default()
    };
    let profile = v1::ProviderProfile {
        id: id.into(),
        credentials: vec![credential],
        endpoints: vec![endpoint],
        binaries: vec![NetworkBinary { path: "/usr/bin/x".into() }],
        ..Default::default()
    };
    v1::ProviderProfileImportItem { profile: Some(profile), source: format!("{id}.yaml") }
}

async fn ids(world: &World) -> Vec<String> {
    let request =
        v1::ListProviderProfilesRequest { workspace_scope: scope(), ..Default::default() };
    let found = world.v1().list_provider_profiles(request).await.unwrap().into_inner();
    let own = found.profiles.into_iter().filter(|profile| profile.source != "built-in");
    own.map(|profile| profile.id).collect()
}

#[tokio::test]
async fn published_clients_import_all_or_nothing_and_see_what_they_sent() {
    let mut world = World::start().await;
    let import = |profiles| v1::ImportProviderProfilesRequest {
        profiles,
        workspace_scope: scope(),
        ..Default::default()
    };
    let mut bad = item("two");
    bad.profile.as_mut().unwrap().credentials[0].auth_style = "cookie".into();
    let lint = v1::LintProviderProfilesRequest {
        profiles: vec![item("one"), bad.clone(), item("one"), item("github")],
        workspace_scope: scope(),
    };
    let linted = world.v1().lint_provider_profiles(lint).await.unwrap().into_inner();
    assert!(!linted.valid);
    let errors = linted.diagnostics.iter().filter(|one| one.severity == "error");
    let errors: Vec<_> = errors
        .map(|one| (one.source.as_str(), one.profile_id.as_str(), one.field.as_str()))
        .collect();
    assert_eq!(
        errors,
        [
            ("two.yaml", "two", "credentials"),
            ("one.yaml", "one", "id"),
            ("github.yaml", "github", "id"),
        ]
    );
    let request = import(vec![item("one"), bad]);
    let answer = world.v1().import_provider_profiles(request).await.unwrap().into_inner();
    assert!(!answer.imported && answer.profiles.is_empty());
    assert_eq!(ids(&world).await, [""; 0]);

    let request = import(vec![item("one"), item("two")]);
    let answer = world.v1().import_provider_profiles(request).await.unwrap().into_inner();
    assert!(answer.imported, "{:?}", answer.diagnostics);
    assert_eq!(ids(&world).await, ["one", "two"]);
    let get = v1::GetProviderProfileRequest { id: "one".into(), workspace_scope: scope() };
    let found = world.v1().get_provider_profile(get).await.unwrap().into_inner().profile.unwrap();
    assert_eq!(found.resource_version, 1);
    assert_eq!(found.endpoints, item("one").profile.unwrap().endpoints);
    assert_eq!(found.binaries[0].path, "/usr/bin/x");

    // What is stored is not stored again, and outlives the gateway.
    let request = import(vec![item("three"), item("two")]);
    assert!(!world.v1().import_provider_profiles(request).await.unwrap().into_inner().imported);
    world.stop().await;
    world.run().await;
    assert_eq!(ids(&world).await, ["one", "two"]);

    let update = |version| v1::UpdateProviderProfilesRequest {
        profile: Some(item("one")),
        expected_resource_version: version,
        id: "one".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let refused = world.v1().update_provider_profiles(update(0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = world.v1().update_provider_profiles(update(7)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let done = world.v1().update_provider_profiles(update(1)).await.unwrap().into_inner();
    assert!(done.updated && done.profile.unwrap().resource_version == 2);
}

#[tokio::test]
async fn texts_that_are_refused_say_where_and_change_nothing() {
    let world = World::start().await;
    let answer = world
        .native()
        .import_profiles(import([ACME, "id: other\ncolour: red\n", "id: acme"]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.ids, [""; 0]);
    let found: Vec<_> = answer
        .findings
        .iter()
        .flat_map(|of| &of.diagnostics)
        .filter(|found| found.severity == "error")
        .map(|found| (found.code.as_str(), found.line))
        .collect();
    assert_eq!(found, [("P0101", 2), ("C0106", 1)]);
    assert_eq!(ids(&world).await, [""; 0]);
}

#[tokio::test]
async fn what_comes_with_openshell_stays_as_it_is() {
    let world = World::start().await;
    let refused = world.v1().delete_provider_profile(delete("github")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let request = native::UpdateProfileRequest { id: "github".into(), ..update("id: github") };
    let refused = world.native().update_profile(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(exported(&world, "github").await.starts_with("id: github\n"));
    let missing = world.v1().delete_provider_profile(delete("none")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn i02_a_profile_rules_its_providers_until_it_is_changed() {
    let world = World::start().await;
    let made = world.native().import_profiles(import([ACME])).await.unwrap().into_inner();
    assert_eq!(made.ids, ["acme"]);
    // What only the text can say is kept.
    assert!(exported(&world, "acme").await.contains("descendants: true"));

    let provider = Provider {
        metadata: Some(ObjectMeta { name: "work".into(), ..Default::default() }),
        r#type: "acme".into(),
        credentials: [("ACME_KEY".to_owned(), "hunter2hunter2".to_owned())].into(),
        ..Default::default()
    };
    let create = v1::CreateProviderRequest {
        provider: Some(provider),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().create_provider(create).await.unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    let id = sandbox.metadata.unwrap().id;
    let attach = v1::AttachSandboxProviderRequest {
        sandbox: "one".into(),
        provider: "work".into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    world.v1().attach_sandbox_provider(attach).await.unwrap();
    let pushed = world.driver.pushed(&id).expect("pushed");
    assert!(pushed.text.contains("_provider_work:"), "{}", pushed.text);
    assert_eq!(pushed.credentials[0].bindings[0].host, "api.acme.test");

    let refused = world.v1().delete_provider_profile(delete("acme")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("'work'"), "{refused:?}");

    let next = exported(&world, "acme").await.replace("api.acme.test", "new.acme.test");
    let changed = world.native().update_profile(update(&next)).await.unwrap().into_inner();
    assert_eq!(changed.resource_version, 2);
    let pushed = world.driver.pushed(&id).expect("pushed");
    assert!(pushed.text.contains("new.acme.test") && !pushed.text.contains("api.acme.test"));
    assert_eq!(pushed.credentials[0].bindings[0].host, "new.acme.test");
    // The text that was changed is of the version before.
    let stale = world.native().update_profile(update(&next)).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    let broken = exported(&world, "acme").await.replace("read-only", "read-onl");
    let broken = world.native().update_profile(update(&broken)).await.unwrap().into_inner();
    assert_eq!((broken.resource_version, broken.diagnostics[0].code.as_str()), (0, "P0104"));
}
