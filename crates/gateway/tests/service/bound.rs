//! Credentials that a sandbox's own policy binds.

use openshell_wire::{native, v1};

use crate::profiles::import;
use crate::providers::{attach, detach, id, provider};
use crate::support::{World, create, scope};

/// Curl, with the credentials of `corp`, at two endpoints; and a rule without any.
const POLICY: &str = "version: 1
network_policies:
  web:
    endpoints:
      - { host: api.example.com, ports: [443, 8443], protocol: rest, access: read-only, path: '/v1/**', credential_binding: { provider: corp } }
      - { host: up.example.com, port: 443, protocol: rest, access: full, credential_binding: { provider: corp }, request_body_credential_rewrite: true }
    binaries: [{ path: /usr/bin/curl }]
  other:
    endpoints: [{ host: api.example.com, port: 443, protocol: rest, access: full }]
    binaries: [{ path: /usr/bin/python3 }]
";

const STORE: &str = "version: 1
network_policies:
  store:
    endpoints:
      - { host: s3.eu-central-1.amazonaws.com, port: 443, protocol: rest, access: full, credential_binding: { provider: keys }, credential_signing: 'sigv4:no_body', signing_service: s3 }
    binaries: [{ path: /usr/bin/aws }]
";

fn set(text: &str) -> native::SetPolicyRequest {
    native::SetPolicyRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        policy_text: text.into(),
        wait: true,
        timeout_ms: 10_000,
        ..Default::default()
    }
}

async fn try_to_set(world: &World, text: &str) -> native::SetPolicyResponse {
    world.native().set_policy(set(text)).await.unwrap().into_inner()
}

/// The finding for which a policy was refused.
#[track_caller]
fn refused(change: &native::SetPolicyResponse) -> &native::Diagnostic {
    assert_eq!(change.state(), native::PolicyState::Refused, "{change:#?}");
    let mut errors = change.diagnostics.iter().filter(|found| found.severity == "error");
    errors.next().unwrap()
}

/// Where each credential goes, and by which rule.
fn places(world: &World, sandbox: &v1::Sandbox) -> Vec<String> {
    let pushed = world.driver.pushed(id(sandbox)).expect("pushed");
    let all = pushed.credentials.iter().flat_map(|one| {
        one.bindings.iter().map(|to| {
            let (path, place, rule) = (&to.path, &to.placement, &to.rule);
            format!("{} {}:{}{path} {place} by {rule}", one.name, to.host, to.port)
        })
    });
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn i02_a_policy_binds_each_credential_of_an_attached_provider_to_its_endpoints() {
    let world = World::start().await;
    let secrets = [("CORP_TOKEN", "hunter2hunter2"), ("CORP_KEY", "hunter3hunter3")];
    provider(&world, ("corp", "generic"), &[], &secrets).await.unwrap();
    provider(&world, ("spare", "generic"), &[], &[("SPARE", "hunter4hunter4")]).await.unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    attach(&world, "corp").await;
    attach(&world, "spare").await;
    assert_eq!(places(&world, &sandbox), [""; 0]);
    let set = try_to_set(&world, POLICY).await;
    assert_eq!(set.state(), native::PolicyState::Enforced, "{set:#?}");
    let wanted = [
        "corp/CORP_KEY api.example.com:443/v1/** any by web",
        "corp/CORP_KEY api.example.com:8443/v1/** any by web",
        "corp/CORP_KEY up.example.com:443 any by web",
        "corp/CORP_KEY up.example.com:443 body by web",
        "corp/CORP_TOKEN api.example.com:443/v1/** any by web",
        "corp/CORP_TOKEN api.example.com:8443/v1/** any by web",
        "corp/CORP_TOKEN up.example.com:443 any by web",
        "corp/CORP_TOKEN up.example.com:443 body by web",
    ];
    assert_eq!(places(&world, &sandbox), wanted);

    // It can always be detached. The policy stays, and binds nothing.
    detach(&world, "corp").await;
    assert_eq!(places(&world, &sandbox), [""; 0]);
    let pushed = world.driver.pushed(id(&sandbox)).expect("pushed");
    assert!(pushed.text.contains("credential_binding"));
    attach(&world, "corp").await;
    assert_eq!(places(&world, &sandbox), wanted);
}

#[tokio::test]
async fn a_policy_that_names_a_provider_that_cannot_be_bound_is_refused_with_rule_line_and_fix() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let change = try_to_set(&world, POLICY).await;
    let error = refused(&change);
    assert_eq!((error.code.as_str(), error.line), ("P0422", 5));
    assert!(error.message.contains("rule `web`"), "{error:?}");
    assert!(error.message.contains("there is no provider `corp`"), "{error:?}");
    assert!(error.help.contains("openshell provider create --name corp"), "{error:?}");
    assert_eq!(change.diagnostics.iter().filter(|one| one.code == "P0422").count(), 2);

    provider(&world, ("corp", "generic"), &[], &[("CORP_TOKEN", "hunter2hunter2")]).await.unwrap();
    let change = try_to_set(&world, POLICY).await;
    let error = refused(&change);
    assert!(error.message.contains("is not attached"), "{error:?}");
    assert!(error.help.contains("provider attach SANDBOX corp"), "{error:?}");
    let newest =
        native::GetPolicyRequest { sandbox: "one".into(), workspace_scope: scope(), revision: 0 };
    assert_eq!(world.native().get_policy(newest).await.unwrap().into_inner().revision, 1);

    // One whose type has servers of its own.
    provider(&world, ("hub", "github"), &[], &[("GITHUB_TOKEN", "hunter2hunter2")]).await.unwrap();
    attach(&world, "hub").await;
    let change = try_to_set(&world, &POLICY.replace("provider: corp", "provider: hub")).await;
    let error = refused(&change);
    assert!(error.message.contains("`hub` go where its type `github` says"), "{error:?}");
    assert!(error.help.contains("`generic`"), "{error:?}");

    // The same when a sandbox is made.
    let request = native::CreateRequest { policy_text: POLICY.into(), ..create("two", &["serve"]) };
    let answer = world.native().create(request.clone()).await.unwrap().into_inner();
    assert!(answer.sandbox.is_none());
    assert!(answer.diagnostics.iter().any(|one| one.code == "P0422"), "{answer:#?}");
    let mut request = request;
    let spec = request.request.as_mut().unwrap().spec.as_mut().unwrap();
    spec.providers = vec!["corp".into()];
    world.native().create(request).await.unwrap();
    let two = world.wait_for_phase("two", v1::SandboxPhase::Ready).await;
    assert_eq!(places(&world, &two).len(), 4);
}

#[tokio::test]
async fn what_an_imported_profile_places_stands_there_alone() {
    const PLACED: &str = "id: placed
credentials:
  - { name: key, env_vars: [PLACED_KEY], auth_style: header, header_name: x-placed }
  - { name: free, env_vars: [FREE_KEY] }
";
    let world = World::start().await;
    let imported = world.native().import_profiles(import([PLACED])).await.unwrap().into_inner();
    assert_eq!(imported.ids, ["placed"], "{imported:#?}");
    let secrets = [("PLACED_KEY", "hunter2hunter2"), ("FREE_KEY", "hunter3hunter3")];
    provider(&world, ("corp", "placed"), &[], &secrets).await.unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    attach(&world, "corp").await;
    let one = POLICY.replace(", 8443", "");
    assert_eq!(try_to_set(&world, &one).await.state(), native::PolicyState::Enforced);
    let wanted = [
        "corp/FREE_KEY api.example.com:443/v1/** any by web",
        "corp/FREE_KEY up.example.com:443 any by web",
        "corp/FREE_KEY up.example.com:443 body by web",
        "corp/PLACED_KEY api.example.com:443/v1/** header:x-placed by web",
        "corp/PLACED_KEY up.example.com:443 body by web",
        "corp/PLACED_KEY up.example.com:443 header:x-placed by web",
    ];
    assert_eq!(places(&world, &sandbox), wanted);
}

#[tokio::test]
async fn i10_a_policy_says_what_the_keys_of_a_provider_sign() {
    let world = World::start().await;
    provider(&world, ("keys", "generic"), &[], &[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")])
        .await
        .unwrap();
    let sandbox = world.ready("one", &["serve"]).await;
    attach(&world, "keys").await;
    let change = try_to_set(&world, STORE).await;
    let error = refused(&change);
    assert!(error.message.contains("has no `AWS_SECRET_ACCESS_KEY`"), "{error:?}");
    assert!(error.help.contains("provider update keys"), "{error:?}");
    detach(&world, "keys").await;
    let secrets = [
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
        ("OTHER", "hunter3hunter3"),
    ];
    provider(&world, ("whole", "generic"), &[], &secrets).await.unwrap();
    attach(&world, "whole").await;
    let text = STORE.replace("provider: keys", "provider: whole");
    assert_eq!(try_to_set(&world, &text).await.state(), native::PolicyState::Enforced);
    let host = "s3.eu-central-1.amazonaws.com:443";
    assert_eq!(
        places(&world, &sandbox),
        [
            format!("whole/AWS_ACCESS_KEY_ID {host} sigv4:key:s3:eu-central-1:no_body by store"),
            format!(
                "whole/AWS_SECRET_ACCESS_KEY {host} sigv4:secret:s3:eu-central-1:no_body by store"
            ),
            format!("whole/OTHER {host} any by store"),
        ]
    );
}
