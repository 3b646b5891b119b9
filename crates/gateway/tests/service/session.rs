//! Sessions of supervisors.

use std::time::Duration;

use openshell_wire::native;
use openshell_wire::session::session_client::SessionClient;
use openshell_wire::session::{Hello, SupervisorFrame, supervisor_frame::Payload};
use tokio::time::sleep;
use tonic::{Code, Status, Streaming};

use crate::support::{World, append_event, channel, scope, within};

async fn hello(world: &World, id: &str, token: &str, version: u32) -> Status {
    let hello = Hello {
        version,
        sandbox_id: id.into(),
        token: token.into(),
        generation: 1,
        ..Default::default()
    };
    let frame = SupervisorFrame { payload: Some(Payload::Hello(hello)) };
    let mut client = SessionClient::new(channel(world.paths().session_socket()));
    client.join(tokio_stream::iter([frame])).await.expect_err("refused")
}

#[tokio::test]
async fn m07_a_token_opens_its_own_sandbox_only_and_a_refusal_tells_nothing() {
    let world = World::start().await;
    let ready = world.ready("one", &["serve"]).await;
    let id = ready.metadata.unwrap().id;
    world.ready("two", &["serve"]).await;
    let foreign = hello(&world, &id, &world.driver.token(), 1).await;
    let wrong = hello(&world, &id, "0000", 1).await;
    let none = hello(&world, &id, "", 1).await;
    let unknown = hello(&world, "0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001", "0000", 1).await;
    let hostile = hello(&world, "../../x", "0000", 1).await;
    for status in [foreign, wrong, none, unknown, hostile] {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "invalid session token")
        );
    }
    assert_eq!(hello(&world, &id, "0000", 9).await.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn tokens_are_not_in_the_state_folder() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let database = std::fs::read(world.paths().database()).unwrap();
    let wal = std::fs::read(world.paths().database().with_extension("db-wal")).unwrap();
    let token = world.driver.token();
    for bytes in [database, wal] {
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
}

async fn next(events: &mut Streaming<native::EventsResponse>) -> Option<u64> {
    within(events.message()).await.ok().flatten().map(|event| event.seq)
}

fn events(after: u64, tail: u32) -> native::EventsRequest {
    native::EventsRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        tail,
        follow: true,
        after,
    }
}

#[tokio::test]
async fn events_come_once_and_in_order_across_a_restart_of_the_gateway() {
    let mut world = World::start().await;
    let id = world.ready("one", &["serve"]).await.metadata.unwrap().id;
    let spec = world.driver.spec(&id);
    let log = world.paths().sandboxes().join(&id).join("audit.jsonl");
    let mut seen = Vec::new();
    let mut stream = world.native().events(events(0, 100)).await.unwrap().into_inner();
    for at in 0..20 {
        append_event(&log, &spec, &format!("event {at}"));
        seen.push(next(&mut stream).await.expect("an event"));
    }
    world.stop().await;
    while let Some(sequence) = next(&mut stream).await {
        seen.push(sequence);
    }
    for at in 20..30 {
        append_event(&log, &spec, &format!("event {at}"));
    }
    world.run().await;
    let last = *seen.last().unwrap();
    let mut stream = world.native().events(events(last, 0)).await.unwrap().into_inner();
    for at in 30..40 {
        append_event(&log, &spec, &format!("event {at}"));
        sleep(Duration::from_millis(1)).await;
    }
    while seen.len() < 41 {
        seen.push(next(&mut stream).await.expect("an event"));
    }
    assert_eq!(seen, (1..=41).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_tail_is_the_last_events_and_then_those_to_come() {
    let world = World::start().await;
    let id = world.ready("one", &["serve"]).await.metadata.unwrap().id;
    let spec = world.driver.spec(&id);
    let log = world.paths().sandboxes().join(&id).join("audit.jsonl");
    for _ in 0..9 {
        append_event(&log, &spec, "before");
    }
    let mut stream = world.native().events(events(0, 3)).await.unwrap().into_inner();
    append_event(&log, &spec, "after");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(next(&mut stream).await.unwrap());
    }
    assert_eq!(seen, [8, 9, 10, 11]);

    let request = openshell_wire::v1::GetSandboxLogsRequest {
        sandbox: "one".into(),
        workspace_scope: scope(),
        lines: 2,
        ..Default::default()
    };
    let logs = world.v1().get_sandbox_logs(request.clone()).await.unwrap().into_inner();
    assert_eq!((logs.logs.len(), logs.buffer_total), (2, 11));
    let warnings =
        openshell_wire::v1::GetSandboxLogsRequest { min_level: "WARN".into(), ..request };
    let logs = world.v1().get_sandbox_logs(warnings).await.unwrap().into_inner();
    assert!(logs.logs.is_empty());
}

#[tokio::test]
async fn inspect_shows_what_the_supervisor_reported() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let request = native::InspectRequest { sandbox: "one".into(), workspace_scope: scope() };
    let report = world.native().inspect(request).await.unwrap().into_inner().report;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["isolation"]["landlock"], "enforced");
    assert_eq!(report["main_pid"], 4242);
    assert_eq!(report["connected"], true);
}
