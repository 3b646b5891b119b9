//! Policies of running sandboxes.

use openshell_wire::sandbox as sb;
use openshell_wire::{native, v1};
use tonic::Code;

use crate::support::{World, create, scope};

const OPEN: &str = "version: 1
network_policies:
  web:
    endpoints:
      - host: example.com
        port: 443
    binaries:
      - path: /usr/bin/curl
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

fn get(revision: u32) -> native::GetPolicyRequest {
    native::GetPolicyRequest { sandbox: "one".into(), workspace_scope: scope(), revision }
}

#[tokio::test]
async fn setting_waits_until_the_supervisor_enforces_it() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let first = world.native().get_policy(get(0)).await.unwrap().into_inner();
    assert_eq!((first.revision, first.state()), (1, native::PolicyState::Enforced));

    let answer = world.native().set_policy(set(OPEN)).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.state()), (2, native::PolicyState::Enforced));
    let newest = world.native().get_policy(get(0)).await.unwrap().into_inner();
    assert_eq!((newest.policy_text.as_str(), newest.digest), (OPEN, answer.digest));
    let first = world.native().get_policy(get(1)).await.unwrap().into_inner();
    assert_eq!(first.state(), native::PolicyState::Superseded);
    assert_eq!(world.get("one").await.unwrap().status.unwrap().current_policy_version, 2);
}

#[tokio::test]
async fn a_policy_that_the_supervisor_refuses_leaves_the_one_before() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let answer = world.native().set_policy(set("version: 1\n# refuse me\n")).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.state(), native::PolicyState::Failed);
    assert_eq!(answer.error, "the kernel said no");
    let first = world.native().get_policy(get(1)).await.unwrap().into_inner();
    assert_eq!(first.state(), native::PolicyState::Enforced);
    assert_eq!(world.get("one").await.unwrap().status.unwrap().current_policy_version, 1);
}

#[tokio::test]
async fn a_policy_with_errors_changes_nothing_and_names_the_place() {
    const BAD: &str = "version: 1\nnetwork_polices: {}\n";
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let answer = world.native().set_policy(set(BAD)).await.unwrap().into_inner();
    assert_eq!(answer.state(), native::PolicyState::Refused);
    assert_eq!(answer.diagnostics[0].severity, "error");
    assert_eq!(answer.diagnostics[0].line, 2);
    assert_eq!(world.native().get_policy(get(0)).await.unwrap().into_inner().revision, 1);

    let request = native::CreateRequest { policy_text: BAD.into(), ..create("two", &["serve"]) };
    let refused = world.native().create(request).await.unwrap().into_inner();
    assert!(refused.sandbox.is_none() && !refused.diagnostics.is_empty());
    assert_eq!(world.get("two").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_policy_that_the_egress_could_not_enforce_changes_nothing_and_names_the_line() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    for more in ["allow_uninspected_credentials: true"] {
        let text = format!(
            "version: 1\nnetwork_policies:\n  web:\n    binaries: [{{ path: /usr/bin/curl }}]\n    \
             endpoints:\n      - {{ host: example.com, port: 443, {more} }}\n"
        );
        let answer = world.native().set_policy(set(&text)).await.unwrap().into_inner();
        assert_eq!(answer.state(), native::PolicyState::Refused, "{more}");
        let error = answer.diagnostics.iter().find(|found| found.severity == "error").unwrap();
        assert_eq!((error.code.as_str(), error.line), ("P0420", 6), "{more}");
        assert!(error.message.contains("cannot enforce") && !error.help.is_empty());
        assert_eq!(world.native().get_policy(get(0)).await.unwrap().into_inner().revision, 1);

        let request = native::CreateRequest { policy_text: text, ..create("two", &["serve"]) };
        let refused = world.native().create(request).await.unwrap().into_inner();
        assert!(refused.sandbox.is_none());
        assert!(refused.diagnostics.iter().any(|found| found.code == "P0420"), "{more}");
        assert_eq!(world.get("two").await.unwrap_err().code(), Code::NotFound);
    }
    let mut policy = openshell_wire::policy::from_text(OPEN).unwrap();
    let endpoint = &mut policy.network_policies.get_mut("web").unwrap().endpoints[0];
    endpoint.allow_uninspected_credentials = true;
    let update = v1::UpdateConfigRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        policy: Some(policy.clone()),
        ..Default::default()
    };
    let refused = world.v1().update_config(update).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("P0420"), "{}", refused.message());
    let spec = v1::SandboxSpec { policy: Some(policy), ..Default::default() };
    let request = v1::CreateSandboxRequest {
        spec: Some(spec),
        workspace_scope: scope(),
        ..Default::default()
    };
    let refused = world.v1().create_sandbox(request).await.unwrap_err();
    assert!(refused.message().contains("P0420"), "{}", refused.message());
}

#[tokio::test]
async fn published_clients_send_and_read_policies_as_messages() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let policy = openshell_wire::policy::from_text(OPEN).unwrap();
    let update = |policy, expected_resource_version| v1::UpdateConfigRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        policy: Some(policy),
        expected_resource_version,
        ..Default::default()
    };
    let conflict = world.v1().update_config(update(policy.clone(), 9999)).await.unwrap_err();
    assert_eq!(conflict.code(), Code::Aborted);
    let answer = world.v1().update_config(update(policy.clone(), 0)).await.unwrap().into_inner();
    assert_eq!(answer.version, 2);

    let request = sb::GetSandboxConfigRequest { name: "one".into(), workspace_scope: scope() };
    let config = world.v1().get_sandbox_config(request).await.unwrap().into_inner();
    assert_eq!((config.policy, config.version), (Some(policy.clone()), 2));
    assert_eq!(config.policy_hash, answer.policy_hash);

    let mut hidden = policy;
    hidden.network_policies.get_mut("web").unwrap().endpoints[0].provider_credentialed = true;
    let refused = world.v1().update_config(update(hidden, 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let global = v1::UpdateConfigRequest { global: true, ..Default::default() };
    assert_eq!(world.v1().update_config(global).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn revisions_are_listed_in_pages_the_newest_first() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    world.native().set_policy(set(OPEN)).await.unwrap();
    world.native().set_policy(set("version: 1\n")).await.unwrap();
    let list = |page_token: String| v1::ListSandboxPoliciesRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        page_size: 2,
        page_token,
        ..Default::default()
    };
    let page = world.v1().list_sandbox_policies(list(String::new())).await.unwrap().into_inner();
    let numbers: Vec<_> = page.revisions.iter().map(|revision| revision.version).collect();
    assert_eq!(numbers, [3, 2]);
    assert_eq!(page.revisions[0].status(), v1::PolicyStatus::Loaded);
    let last = world.v1().list_sandbox_policies(list(page.next_page_token)).await.unwrap();
    let last = last.into_inner();
    assert_eq!(last.revisions.len(), 1);
    assert!(last.next_page_token.is_empty());

    let status = v1::GetSandboxPolicyStatusRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        version: 2,
        global: false,
    };
    let status = world.v1().get_sandbox_policy_status(status).await.unwrap().into_inner();
    assert_eq!(status.active_version, 3);
    assert_eq!(status.revision.unwrap().status(), v1::PolicyStatus::Superseded);
}

#[tokio::test]
async fn a_dry_run_checks_and_compares_and_changes_nothing() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    world.native().set_policy(set(OPEN)).await.unwrap();
    let text = OPEN.replace("443", "8443");
    let request = native::SetPolicyRequest { dry_run: true, ..set(&text) };
    let answer = world.native().set_policy(request).await.unwrap().into_inner();
    assert_eq!(answer.state(), native::PolicyState::Checked);
    assert_eq!((answer.revision, answer.compared_with), (0, 2));
    let [line] = answer.difference.as_slice() else { panic!("{:?}", answer.difference) };
    assert!(line.starts_with("~ web: ") && line.contains("8443"), "{line}");
    let bad = native::SetPolicyRequest { dry_run: true, ..set("version: 2\n") };
    let answer = world.native().set_policy(bad).await.unwrap().into_inner();
    assert_eq!(answer.state(), native::PolicyState::Refused);
    let newest = world.native().get_policy(get(0)).await.unwrap().into_inner();
    assert_eq!((newest.revision, newest.policy_text.as_str()), (2, OPEN));
}

#[tokio::test]
async fn a_policy_that_was_set_while_nobody_was_there_is_pushed_at_the_next_hello() {
    let mut world = World::start().await;
    world.ready("one", &["serve"]).await;
    let set_only = native::SetPolicyRequest { wait: false, ..set(OPEN) };
    world.native().set_policy(set_only).await.unwrap();
    world.stop().await;
    world.run().await;
    let answer = world.native().set_policy(set("version: 1\n")).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.state()), (3, native::PolicyState::Enforced));
}
