//! Commands in a sandbox.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use openshell_wire::v1;
use openshell_wire::v1::exec_sandbox_event::Payload;
use openshell_wire::v1::exec_sandbox_input::Payload as In;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::{World, create, scope, within};

fn exec(command: &[&str]) -> v1::ExecSandboxRequest {
    v1::ExecSandboxRequest {
        sandbox: "one".into(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        no_login_shell: true,
        workspace_scope: scope(),
        ..Default::default()
    }
}

/// Standard output, standard error and exits of a command.
async fn collect(
    events: Result<tonic::Response<Streaming<v1::ExecSandboxEvent>>, Status>,
) -> Result<(Vec<u8>, Vec<u8>, Vec<i32>), Status> {
    let mut events = events?.into_inner();
    let (mut out, mut err, mut exits) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(event) = within(events.message()).await? {
        assert!(exits.is_empty(), "something follows the exit");
        match event.payload.expect("a payload") {
            Payload::Stdout(chunk) => out.extend(chunk.data),
            Payload::Stderr(chunk) => err.extend(chunk.data),
            Payload::Exit(exit) => exits.push(exit.exit_code),
        }
    }
    Ok((out, err, exits))
}

async fn run(
    world: &World,
    request: v1::ExecSandboxRequest,
) -> Result<(Vec<u8>, Vec<u8>, Vec<i32>), Status> {
    collect(world.v1().exec_sandbox(request).await).await
}

#[tokio::test]
async fn output_comes_in_chunks_and_one_exit_is_last() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let (out, err, exits) = run(&world, exec(&["echo", "a b"])).await.unwrap();
    assert_eq!((out.as_slice(), err.as_slice()), (&b"echo a b"[..], &b"err"[..]));
    assert_eq!(exits, [0]);
    assert_eq!(run(&world, exec(&["fail", "7"])).await.unwrap().2, [7]);
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why_and_has_the_code_of_a_shell() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let (_, err, exits) = run(&world, exec(&["missing"])).await.unwrap();
    assert_eq!(String::from_utf8(err).unwrap(), "openshell: missing: not found\n");
    assert_eq!(exits, [127]);
    let refused = run(&world, exec(&["refuse"])).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "no more processes")
    );
}

#[tokio::test]
async fn words_stay_words_in_a_login_shell() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let request = v1::ExecSandboxRequest { no_login_shell: false, ..exec(&["ls", "a b"]) };
    let (out, ..) = run(&world, request).await.unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "bash -lc exec \"$@\" bash ls a b");
}

#[tokio::test]
async fn input_reaches_the_command_and_ends() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let stdin = vec![b'x'; 300_000];
    let request = v1::ExecSandboxRequest { stdin: stdin.clone(), ..exec(&["cat"]) };
    let (out, _, exits) = run(&world, request).await.unwrap();
    assert_eq!(out, stdin);
    assert_eq!(exits, [0]);
}

#[tokio::test]
async fn a_conversation_takes_input_and_sizes_until_it_ends() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let (send, inputs) = mpsc::channel(8);
    let input = |payload| v1::ExecSandboxInput { payload: Some(payload) };
    send.send(input(In::Start(exec(&["cat"])))).await.unwrap();
    let events = world.v1().exec_sandbox_interactive(ReceiverStream::new(inputs)).await;
    send.send(input(In::Stdin(b"hello ".to_vec()))).await.unwrap();
    let size = v1::ExecSandboxWindowResize { cols: 100, rows: 40 };
    send.send(input(In::Resize(size))).await.unwrap();
    drop(send);
    let (out, _, exits) = collect(events).await.unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "hello 100x40\n");
    assert_eq!(exits, [0]);

    let (send, inputs) = mpsc::channel(1);
    send.send(input(In::Stdin(b"first".to_vec()))).await.unwrap();
    let refused = world.v1().exec_sandbox_interactive(ReceiverStream::new(inputs)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_timeout_is_exit_124_even_when_the_supervisor_does_not_say_so() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let timeout = prost_types::Duration { seconds: 0, nanos: 50_000_000 };
    let request = v1::ExecSandboxRequest { execution_timeout: Some(timeout), ..exec(&["hang"]) };
    let start = Instant::now();
    assert_eq!(run(&world, request).await.unwrap().2, [124]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn words_that_cannot_be_used_are_refused() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let variable = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
    let requests = [
        exec(&[]),
        exec(&["a\0"]),
        v1::ExecSandboxRequest { workdir: "a\nb".into(), ..exec(&["echo"]) },
        v1::ExecSandboxRequest { environment: variable("A-B", "x"), ..exec(&["echo"]) },
        v1::ExecSandboxRequest { environment: variable("A", "x\0"), ..exec(&["echo"]) },
        v1::ExecSandboxRequest { command: vec!["x".into(); 1025], ..exec(&[]) },
    ];
    for request in requests {
        assert_eq!(run(&world, request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let missing = v1::ExecSandboxRequest { sandbox: "none".into(), ..exec(&["echo"]) };
    assert_eq!(run(&world, missing).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(run(&world, exec(&["echo", "a\nb"])).await.unwrap().2, [0]);
}

#[tokio::test]
async fn a_sandbox_that_is_not_ready_takes_no_command() {
    let world = World::start().await;
    world.native().create(create("one", &["broken"])).await.unwrap();
    world.wait_for_phase("one", v1::SandboxPhase::Error).await;
    let refused = run(&world, exec(&["echo"])).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "sandbox is not ready")
    );
}

#[tokio::test]
async fn a_supervisor_that_goes_away_is_unavailable_and_not_an_exit() {
    let world = World::start().await;
    let ready = world.ready("one", &["serve"]).await;
    let mut events = world.v1().exec_sandbox(exec(&["hang"])).await.unwrap().into_inner();
    world.driver.kill(&ready.metadata.unwrap().id);
    assert_eq!(within(events.message()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_client_that_goes_away_closes_its_stream() {
    let world = World::start().await;
    let ready = world.ready("one", &["serve"]).await;
    let events = world.v1().exec_sandbox(exec(&["hang"])).await.unwrap();
    drop(events);
    let log = world.paths().sandboxes().join(ready.metadata.unwrap().id).join("audit.jsonl");
    within(async {
        while !fs::read_to_string(&log).unwrap().contains("stream closed") {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn much_output_comes_whole_and_a_slow_reader_does_not_stop_others() {
    const BYTES: usize = 3 * 1024 * 1024;
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let slow = world.v1().exec_sandbox(exec(&["flood", &BYTES.to_string()])).await;
    assert_eq!(run(&world, exec(&["echo", "x"])).await.unwrap().2, [0]);
    let (out, _, exits) = collect(slow).await.unwrap();
    assert_eq!((out.len(), exits.as_slice()), (BYTES, &[0][..]));
}

#[tokio::test]
async fn a_supervisor_that_ignores_its_credit_loses_the_stream_and_keeps_its_session() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let mut client = world.v1();
    // Nobody reads: the response is not polled until the supervisor has sent all of it.
    let events = client.exec_sandbox(exec(&["rude"])).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(collect(Ok(events)).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(run(&world, exec(&["echo", "x"])).await.unwrap().2, [0]);
}
