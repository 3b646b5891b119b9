//! Sandboxes: made, found, listed, deleted.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use openshell_wire::datamodel::{AllWorkspaces, WorkspaceSelector, workspace_selector::Selection};
use openshell_wire::{native, v1};
use tokio::time::sleep;
use tonic::Code;

use crate::support::{World, create, scope, within};

fn v1_create(name: &str, spec: v1::SandboxSpec) -> v1::CreateSandboxRequest {
    v1::CreateSandboxRequest {
        name: name.into(),
        spec: Some(spec),
        workspace_scope: scope(),
        ..Default::default()
    }
}

fn delete(name: &str, allow_missing: bool) -> v1::DeleteSandboxRequest {
    v1::DeleteSandboxRequest {
        name: name.into(),
        workspace_scope: scope(),
        allow_missing,
        ..Default::default()
    }
}

#[tokio::test]
async fn is_created_found_and_deleted() {
    let world = World::start().await;
    let made = world.native().create(create("one", &["serve"])).await.unwrap().into_inner();
    let made = made.sandbox.unwrap();
    let id = made.metadata.as_ref().unwrap().id.clone();
    assert_eq!(made.status.unwrap().phase(), v1::SandboxPhase::Provisioning);

    let ready = world.wait_for_phase("one", v1::SandboxPhase::Ready).await;
    assert_eq!(ready.metadata.unwrap().id, id);
    assert_eq!(ready.spec.unwrap().command, ["serve"]);
    assert_eq!(ready.status.unwrap().conditions[0].status, "True");
    assert_eq!(world.get(&id).await.unwrap().metadata.unwrap().name, "one");

    let deleted = world.v1().delete_sandbox(delete("one", false)).await.unwrap().into_inner();
    assert_eq!(deleted.outcome(), v1::DeletionOutcome::Completed);
    assert_eq!(deleted.sandbox_id, id);
    assert_eq!(world.get("one").await.unwrap_err().code(), Code::NotFound);
    assert!(!world.paths().sandboxes().join(&id).exists());
}

#[tokio::test]
async fn a_missing_sandbox_is_not_found_unless_that_is_allowed() {
    let world = World::start().await;
    let missing = world.v1().delete_sandbox(delete("none", false)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let absent = world.v1().delete_sandbox(delete("none", true)).await.unwrap().into_inner();
    assert_eq!(absent.outcome(), v1::DeletionOutcome::AlreadyAbsent);
}

#[tokio::test]
async fn names_are_unique_checked_and_invented() {
    let world = World::start().await;
    let mut client = world.v1();
    client.create_sandbox(v1_create("one", v1::SandboxSpec::default())).await.unwrap();
    for (name, code) in [
        ("one", Code::AlreadyExists),
        ("UPPER", Code::InvalidArgument),
        ("a--b", Code::InvalidArgument),
        ("longer-than-nineteen", Code::InvalidArgument),
        ("../x", Code::InvalidArgument),
    ] {
        let refused = client.create_sandbox(v1_create(name, v1::SandboxSpec::default())).await;
        assert_eq!(refused.unwrap_err().code(), code, "{name}");
    }
    let made = client.create_sandbox(v1_create("", v1::SandboxSpec::default())).await.unwrap();
    let name = made.into_inner().sandbox.unwrap().metadata.unwrap().name;
    let words: Vec<_> = name.split('-').collect();
    assert_eq!(words.len(), 2, "{name}");
    assert!(name.len() <= 19 && words.iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase())));
}

#[tokio::test]
async fn an_empty_spec_is_a_login_shell_with_a_terminal() {
    let world = World::start().await;
    let made = world.v1().create_sandbox(v1_create("sh", v1::SandboxSpec::default())).await;
    let id = made.unwrap().into_inner().sandbox.unwrap().metadata.unwrap().id;
    world.wait_for_phase("sh", v1::SandboxPhase::Ready).await;
    let spec = world.driver.spec(&id);
    assert_eq!(spec.command, ["/bin/bash", "-l"]);
    assert!(spec.terminal.is_some());
}

#[tokio::test]
async fn what_the_gateway_cannot_do_is_refused_and_not_left_out() {
    let world = World::start().await;
    let spec = v1::SandboxSpec::default;
    let image = v1::SandboxTemplate { image: "ubuntu".into(), ..Default::default() };
    let gpu = v1::GpuResourceRequirements { count: None };
    let requests = [
        (v1::SandboxSpec { providers: vec!["x".into()], ..spec() }, Code::FailedPrecondition),
        (v1::SandboxSpec { template: Some(image), ..spec() }, Code::FailedPrecondition),
        (
            v1::SandboxSpec {
                resource_requirements: Some(v1::ResourceRequirements { gpu: Some(gpu) }),
                ..spec()
            },
            Code::FailedPrecondition,
        ),
        (v1::SandboxSpec { restart_policy: 3, ..spec() }, Code::FailedPrecondition),
        (
            v1::SandboxSpec { environment: HashMap::from([("A=B".into(), "x".into())]), ..spec() },
            Code::InvalidArgument,
        ),
        (v1::SandboxSpec { command: vec!["a\0b".into()], ..spec() }, Code::InvalidArgument),
    ];
    for (spec, code) in requests {
        let refused = world.v1().create_sandbox(v1_create("x", spec.clone())).await.unwrap_err();
        assert_eq!(refused.code(), code, "{spec:?}: {refused}");
    }
    let mut request = v1_create("x", v1::SandboxSpec::default());
    request.spec = None;
    assert_eq!(world.v1().create_sandbox(request).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(world.get("x").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_workspace_must_be_selected_and_be_there() {
    let world = World::start().await;
    let named =
        |name: &str| Some(WorkspaceSelector { selection: Some(Selection::Workspace(name.into())) });
    let all =
        Some(WorkspaceSelector { selection: Some(Selection::AllWorkspaces(AllWorkspaces {})) });
    for (workspace_scope, code) in [
        (None, Code::InvalidArgument),
        (named("other"), Code::NotFound),
        (named("NOT A NAME"), Code::NotFound),
        (all.clone(), Code::InvalidArgument),
    ] {
        let request = v1::GetSandboxRequest { name: "x".into(), workspace_scope };
        assert_eq!(world.v1().get_sandbox(request).await.unwrap_err().code(), code);
    }
    let request = v1::ListSandboxesRequest { workspace_scope: all, ..Default::default() };
    assert!(world.v1().list_sandboxes(request).await.is_ok());
    let listed = world.v1().list_workspaces(v1::ListWorkspacesRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().workspaces[0].metadata.as_ref().unwrap().name, "default");
}

#[tokio::test]
async fn lists_come_in_pages_and_by_label() {
    let world = World::start().await;
    let mut client = world.v1();
    for at in 0..5 {
        let mut request = v1_create(&format!("box{at}"), v1::SandboxSpec::default());
        let parity = if at % 2 == 0 { "even" } else { "odd" };
        request.labels = HashMap::from([("parity".into(), parity.into())]);
        client.create_sandbox(request).await.unwrap();
    }
    let mut names = Vec::new();
    let mut tokens = HashSet::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListSandboxesRequest {
            page_size: 2,
            page_token: page_token.clone(),
            workspace_scope: scope(),
            ..Default::default()
        };
        let page = client.list_sandboxes(request).await.unwrap().into_inner();
        assert!(page.sandboxes.len() <= 2);
        names.extend(page.sandboxes.into_iter().map(|found| found.metadata.unwrap().name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        assert!(tokens.insert(page_token.clone()));
    }
    assert_eq!(names, ["box0", "box1", "box2", "box3", "box4"]);

    let select = |label_selector: &str| v1::ListSandboxesRequest {
        label_selector: label_selector.into(),
        workspace_scope: scope(),
        ..Default::default()
    };
    let odd = client.list_sandboxes(select("parity = odd")).await.unwrap().into_inner();
    assert_eq!(odd.sandboxes.len(), 2);
    let bad = client.list_sandboxes(select("parity != odd")).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_supervisor_that_ended_is_an_error_and_is_not_started_again() {
    let world = World::start().await;
    let ready = world.ready("one", &["serve"]).await;
    world.driver.kill(&ready.metadata.unwrap().id);
    let failed = world.wait_for_phase("one", v1::SandboxPhase::Error).await.status.unwrap();
    assert_eq!(failed.conditions[0].message, "supervisor ended");
    assert_eq!(world.driver.ensured.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_host_that_refuses_says_why() {
    let world = World::start().await;
    world.native().create(create("one", &["impossible"])).await.unwrap();
    let failed = world.wait_for_phase("one", v1::SandboxPhase::Error).await.status.unwrap();
    assert_eq!(failed.conditions[0].message, "this host refuses user namespaces");

    world.native().create(create("two", &["broken"])).await.unwrap();
    let failed = world.wait_for_phase("two", v1::SandboxPhase::Error).await.status.unwrap();
    assert_eq!(failed.conditions[0].message, "no jail");
}

#[tokio::test]
async fn a_sandbox_and_its_state_outlive_the_gateway() {
    let mut world = World::start().await;
    let before = world.ready("one", &["serve"]).await;
    world.stop().await;
    world.run().await;
    let after = world.wait_for_phase("one", v1::SandboxPhase::Ready).await;
    assert_eq!(after.metadata.unwrap().id, before.metadata.unwrap().id);
    assert_eq!(world.driver.ensured.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_folder_without_a_record_is_removed() {
    let mut world = World::start().await;
    world.stop().await;
    let orphan = world.paths().sandboxes().join("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001");
    let other = world.paths().sandboxes().join("not-an-id");
    std::fs::create_dir_all(&orphan).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    world.run().await;
    within(async {
        while orphan.exists() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(other.exists());
}

#[tokio::test]
async fn mounts_are_checked_again() {
    let world = World::start().await;
    let mount = |source: String| native::CreateRequest {
        mounts: vec![native::Mount { source, target: "/sandbox/x".into(), writable: true }],
        ..create("m", &["serve"])
    };
    let own = world.paths().state().to_string_lossy().into_owned();
    for source in [own, "/does/not/exist".into()] {
        let refused = world.native().create(mount(source)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert!(world.native().create(mount("/usr".into())).await.is_ok());
}

#[tokio::test]
async fn a_watch_starts_with_the_sandbox_and_ends_when_it_is_ready_or_gone() {
    let world = World::start().await;
    let request = v1::WatchSandboxRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        follow_status: true,
        stop_on_terminal: true,
        ..Default::default()
    };
    world.native().create(create("one", &["serve"])).await.unwrap();
    let mut events = world.v1().watch_sandbox(request.clone()).await.unwrap().into_inner();
    let mut phases = Vec::new();
    while let Some(event) = within(events.message()).await.unwrap() {
        match event.payload.unwrap() {
            v1::sandbox_stream_event::Payload::Sandbox(shown) => {
                phases.push(shown.status.unwrap().phase());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(phases.last(), Some(&v1::SandboxPhase::Ready));

    let follow = v1::WatchSandboxRequest { stop_on_terminal: false, follow_logs: true, ..request };
    let mut events = world.v1().watch_sandbox(follow).await.unwrap().into_inner();
    let first = within(events.message()).await.unwrap().unwrap();
    assert!(matches!(first.payload, Some(v1::sandbox_stream_event::Payload::Sandbox(_))));
    let log = within(events.message()).await.unwrap().unwrap();
    assert_eq!(log.cursor, "1");
    assert!(matches!(log.payload, Some(v1::sandbox_stream_event::Payload::Log(_))));
    world.v1().delete_sandbox(delete("one", false)).await.unwrap();
    within(async { while events.message().await.unwrap().is_some() {} }).await;
}
