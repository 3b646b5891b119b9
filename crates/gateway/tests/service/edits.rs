//! Edits of policies: by the words of `policy update`, and by published merge operations.

use openshell_wire::native::policy_edit::Edit;
use openshell_wire::sandbox as sb;
use openshell_wire::v1::policy_merge_operation::Operation;
use openshell_wire::{native, v1};
use tonic::Code;

use crate::support::{World, create, scope};

/// A policy with sections that no edit may touch.
const START: &str = "version: 1
filesystem_policy:
  read_only: [/usr, /etc]
  read_write: [/tmp]
process:
  run_as_user: '1000'
  run_as_group: '1000'
network_policies:
  web:
    endpoints:
      - { host: example.com, port: 443 }
    binaries:
      - { path: /usr/bin/curl }
";

async fn world() -> World {
    let world = World::start().await;
    let request = native::CreateRequest { policy_text: START.into(), ..create("one", &["serve"]) };
    let made = world.native().create(request).await.unwrap().into_inner();
    assert!(made.sandbox.is_some(), "{:?}", made.diagnostics);
    world.wait_for_phase("one", v1::SandboxPhase::Ready).await;
    world
}

fn add(endpoint: &str, binary: &str, rule: &str) -> Edit {
    let binaries = if binary.is_empty() { vec![] } else { vec![binary.to_owned()] };
    Edit::AddEndpoint(native::AddEndpoint {
        endpoint: endpoint.into(),
        binaries,
        rule_name: rule.into(),
    })
}

fn update<const N: usize>(edits: [Edit; N]) -> native::UpdatePolicyRequest {
    native::UpdatePolicyRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        edits: edits.map(|edit| native::PolicyEdit { edit: Some(edit) }).into(),
        wait: true,
        timeout_ms: 10_000,
        dry_run: false,
    }
}

async fn newest(world: &World) -> native::GetPolicyResponse {
    let request =
        native::GetPolicyRequest { sandbox: "one".into(), workspace_scope: scope(), revision: 0 };
    world.native().get_policy(request).await.unwrap().into_inner()
}

fn merge<const N: usize>(operations: [Operation; N]) -> v1::UpdateConfigRequest {
    let wrap = |operation| v1::PolicyMergeOperation { operation: Some(operation) };
    v1::UpdateConfigRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        merge_operations: operations.map(wrap).into(),
        ..Default::default()
    }
}

fn rule(host: &str, port: u32, binary: &str) -> sb::NetworkPolicyRule {
    sb::NetworkPolicyRule {
        name: String::new(),
        endpoints: vec![sb::NetworkEndpoint { host: host.into(), port, ..Default::default() }],
        binaries: vec![sb::NetworkBinary { path: binary.into() }],
    }
}

fn add_rule(key: &str, rule: sb::NetworkPolicyRule) -> Operation {
    Operation::AddRule(v1::AddNetworkRule { rule_name: key.into(), rule: Some(rule) })
}

#[tokio::test]
async fn a_batch_becomes_one_revision_and_leaves_the_other_sections() {
    let world = world().await;
    let edits = [
        Edit::RemoveEndpoint("example.com:443".into()),
        add("api.example.com:8443", "/usr/bin/curl", ""),
        add("db.example.com:5432", "/usr/bin/psql", "database"),
    ];
    let answer = world.native().update_policy(update(edits)).await.unwrap().into_inner();
    let change = answer.change.unwrap();
    assert_eq!((change.revision, change.state()), (2, native::PolicyState::Enforced));
    assert_eq!(change.compared_with, 1);
    let signs: String = change.difference.iter().map(|line| &line[..1]).collect();
    assert!(signs.contains('+') && signs.contains('-'), "{:?}", change.difference);
    let stored = newest(&world).await;
    assert_eq!((stored.revision, &stored.policy_text), (2, &answer.policy_text));
    let message = openshell_wire::policy::from_text(&stored.policy_text).unwrap();
    let start = openshell_wire::policy::from_text(START).unwrap();
    assert_eq!(message.process, start.process);
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let (now, then) = (message.filesystem.unwrap(), start.filesystem.unwrap());
    assert_eq!(sorted(now.read_only), sorted(then.read_only));
    assert_eq!(sorted(now.read_write), sorted(then.read_write));
    let mut keys: Vec<_> = message.network_policies.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["allow_api_example_com_8443", "database"]);
}

#[tokio::test]
async fn one_edit_that_cannot_be_done_undoes_the_batch() {
    let world = world().await;
    let first = || add("api.example.com:443", "/usr/bin/curl", "api");
    for (edit, code, said) in [
        (add("b.example.com:443", "", "new"), Code::FailedPrecondition, "say which program"),
        (
            Edit::AddAllow("example.com:443:GET:/x".into()),
            Code::FailedPrecondition,
            "judges no requests",
        ),
        (Edit::AddDeny("c.example.com:443:GET:/x".into()), Code::FailedPrecondition, "no endpoint"),
        (add("b.example.com", "/bin/b", ""), Code::InvalidArgument, "port: it is missing"),
        (Edit::RemoveEndpoint("b.example.com:1-9".into()), Code::InvalidArgument, "port"),
    ] {
        let request = update([first(), edit.clone()]);
        let refused = world.native().update_policy(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{edit:?}: {refused}");
        assert!(refused.message().contains(said), "{edit:?}: {refused}");
        assert_eq!(newest(&world).await.revision, 1);
    }
    // What the egress could not enforce is refused like a text that says it.
    let request = update([
        first(),
        add("b.example.com:443:full:rest:enforce:request-body-credential-rewrite", "/bin/b", ""),
    ]);
    let answer = world.native().update_policy(request).await.unwrap().into_inner();
    let change = answer.change.unwrap();
    assert_eq!(change.state(), native::PolicyState::Refused);
    assert!(change.diagnostics.iter().any(|found| found.code == "P0420"));
    assert_eq!(newest(&world).await.policy_text, START);
    let nothing = world.native().update_policy(update([])).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_dry_run_and_an_edit_that_changes_nothing_store_nothing() {
    let world = world().await;
    // For another program the endpoint would be allowed crosswise.
    let edit = || add("other.example.com:443", "/usr/bin/wget", "web");
    let request = native::UpdatePolicyRequest { dry_run: true, ..update([edit()]) };
    let answer = world.native().update_policy(request).await.unwrap().into_inner();
    let change = answer.change.unwrap();
    assert_eq!((change.state(), change.compared_with), (native::PolicyState::Checked, 1));
    assert!(change.difference.iter().any(|line| line.contains("web_2")));
    assert!(answer.warnings[0].contains("crosswise"), "{:?}", answer.warnings);
    assert!(answer.policy_text.contains("/usr/bin/wget"));
    assert_eq!(newest(&world).await.revision, 1);

    world.native().update_policy(update([edit()])).await.unwrap();
    let again = world.native().update_policy(update([edit()])).await.unwrap().into_inner();
    assert!(again.unchanged);
    let change = again.change.unwrap();
    assert_eq!((change.state(), change.revision), (native::PolicyState::Enforced, 2));
    assert_eq!(newest(&world).await.revision, 2);
}

#[tokio::test]
async fn a_revision_that_failed_is_not_edited_further() {
    let world = world().await;
    let request = native::SetPolicyRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        policy_text: "version: 1\n# refuse me\n".into(),
        wait: true,
        timeout_ms: 10_000,
        ..Default::default()
    };
    let failed = world.native().set_policy(request).await.unwrap().into_inner();
    assert_eq!(failed.state(), native::PolicyState::Failed);
    let edit = add("api.example.com:443", "/usr/bin/curl", "api");
    let answer = world.native().update_policy(update([edit])).await.unwrap().into_inner();
    let change = answer.change.unwrap();
    assert_eq!((change.revision, change.compared_with), (3, 1));
    assert!(answer.policy_text.contains("host: example.com"), "{}", answer.policy_text);
}

#[tokio::test]
async fn edits_at_once_all_come_to_be() {
    let world = world().await;
    // As many as there are tries: in each round one of them is stored.
    let edits = (0..5).map(|number| {
        let mut client = world.native();
        let edit = add(&format!("h{number}.example.com:443"), "/usr/bin/curl", "");
        tokio::spawn(async move { client.update_policy(update([edit])).await })
    });
    for edit in edits.collect::<Vec<_>>() {
        edit.await.unwrap().unwrap();
    }
    let stored = newest(&world).await;
    assert_eq!(stored.revision, 6);
    for number in 0..5 {
        let host = format!("h{number}.example.com");
        assert!(stored.policy_text.contains(&host), "{host}: {}", stored.policy_text);
    }
}

#[tokio::test]
async fn published_operations_are_one_revision_too() {
    let world = world().await;
    let operations = [
        add_rule("api", rule("api.example.com", 443, "/usr/bin/curl")),
        add_rule("api", rule("api.example.com", 443, "/usr/bin/wget")),
        Operation::RemoveBinary(v1::RemoveNetworkBinary {
            rule_name: "api".into(),
            binary_path: "/usr/bin/curl".into(),
        }),
        Operation::RemoveEndpoint(v1::RemoveNetworkEndpoint {
            rule_name: "web".into(),
            host: "Example.com".into(),
            port: 443,
        }),
        Operation::RemoveRule(v1::RemoveNetworkRule { rule_name: "none".into() }),
    ];
    let version = world.get("one").await.unwrap().metadata.unwrap().resource_version;
    let request = || v1::UpdateConfigRequest {
        expected_resource_version: version,
        ..merge(operations.clone())
    };
    let answer = world.v1().update_config(request()).await.unwrap().into_inner();
    assert_eq!(answer.version, 2);
    let stored = newest(&world).await;
    assert_eq!(stored.digest, answer.policy_hash);
    let message = openshell_wire::policy::from_text(&stored.policy_text).unwrap();
    assert_eq!(message.network_policies.len(), 1);
    assert_eq!(message.network_policies["api"].binaries[0].path, "/usr/bin/wget");

    let stale = world.v1().update_config(request()).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert_eq!(newest(&world).await.revision, 2);
}

#[tokio::test]
async fn published_operations_that_make_no_sense_change_nothing() {
    let world = world().await;
    let mut terminated = rule("api.example.com", 443, "/usr/bin/curl");
    terminated.endpoints[0].set_tls(sb::NetworkTlsMode::Terminate);
    let mut judged = rule("api.example.com", 443, "/usr/bin/curl");
    judged.endpoints[0].allow_uninspected_credentials = true;
    let allow = |target| {
        Operation::AddAllowRules(v1::AddAllowRules {
            rules: vec![sb::L7Rule {
                allow: Some(sb::L7Allow { method: "GET".into(), ..Default::default() }),
            }],
            target,
        })
    };
    let target = v1::L7RuleTarget {
        rule_name: "web".into(),
        host: "example.com".into(),
        ports: vec![443],
        any_binary: true,
        ..Default::default()
    };
    let others = v1::L7RuleTarget {
        any_binary: false,
        binaries: vec![sb::NetworkBinary { path: "/usr/bin/wget".into() }],
        ..target.clone()
    };
    let nobody = v1::L7RuleTarget { any_binary: false, ..target.clone() };
    for (operation, code, said) in [
        (add_rule("a", terminated), Code::InvalidArgument, "tls"),
        (add_rule("a", judged), Code::InvalidArgument, "P0420"),
        (add_rule("", rule("a.test", 1, "/bin/a")), Code::InvalidArgument, "named"),
        (add_rule("a", rule("a b", 1, "/bin/a")), Code::InvalidArgument, "P0303"),
        (allow(None), Code::InvalidArgument, "target"),
        (allow(Some(nobody)), Code::InvalidArgument, "any_binary"),
        (allow(Some(others)), Code::FailedPrecondition, "other binaries"),
        (allow(Some(target)), Code::FailedPrecondition, "judges no requests"),
    ] {
        let ok = add_rule("ok", rule("ok.example.com", 443, "/usr/bin/curl"));
        let refused = world.v1().update_config(merge([ok, operation])).await.unwrap_err();
        assert_eq!(refused.code(), code, "{said}: {refused}");
        assert!(refused.message().contains(said), "{said}: {refused}");
        assert_eq!(newest(&world).await.policy_text, START);
    }
    let both = v1::UpdateConfigRequest {
        policy: Some(openshell_wire::policy::from_text(START).unwrap()),
        ..merge([add_rule("ok", rule("ok.example.com", 443, "/usr/bin/curl"))])
    };
    assert_eq!(world.v1().update_config(both).await.unwrap_err().code(), Code::InvalidArgument);
}
