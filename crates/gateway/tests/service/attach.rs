//! The main command's output and input.

use std::time::Duration;

use openshell_wire::native;
use openshell_wire::native::attach_input::Payload as In;
use openshell_wire::native::attach_output::Payload;
use openshell_wire::v1;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::{World, create, scope, within};

struct Attached {
    input: mpsc::Sender<native::AttachInput>,
    output: Streaming<native::AttachOutput>,
}

impl Attached {
    async fn send(&self, payload: In) {
        self.input.send(native::AttachInput { payload: Some(payload) }).await.unwrap();
    }

    async fn next(&mut self) -> Payload {
        within(self.output.message()).await.unwrap().expect("an item").payload.unwrap()
    }
}

async fn attach(world: &World, resume_offset: Option<u64>) -> Result<Attached, Status> {
    let (input, inputs) = mpsc::channel(8);
    let start = native::AttachStart {
        sandbox: "one".into(),
        workspace_scope: scope(),
        resume_offset,
        hold_stdin: true,
        terminal: None,
    };
    input.send(native::AttachInput { payload: Some(In::Start(start)) }).await.unwrap();
    let output = within(world.native().attach_main(ReceiverStream::new(inputs))).await?;
    Ok(Attached { input, output: output.into_inner() })
}

fn started(payload: &Payload) -> &native::AttachStarted {
    match payload {
        Payload::Started(started) => started,
        other => panic!("{other:?}"),
    }
}

fn output(payload: Payload) -> (u64, String) {
    match payload {
        Payload::Output(chunk) => (chunk.offset, String::from_utf8(chunk.data).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn exit(payload: &Payload) -> i32 {
    match payload {
        Payload::Exit(exit) => exit.exit_code,
        other => panic!("{other:?}"),
    }
}

fn waiting(name: &str, command: &[&str]) -> native::CreateRequest {
    let mut request = create(name, command);
    request.request.as_mut().unwrap().await_main_process_attachment = true;
    request
}

#[tokio::test]
async fn output_starts_at_the_offset_that_was_asked_for() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let mut all = attach(&world, None).await.unwrap();
    assert!(started(&all.next().await).stdin_held);
    assert_eq!(output(all.next().await), (0, "hello from main\n".into()));
    let mut rest = attach(&world, Some(6)).await.unwrap();
    assert_eq!(started(&rest.next().await).offset, 6);
    assert_eq!(output(rest.next().await), (6, "from main\n".into()));
}

#[tokio::test]
async fn input_sizes_and_signals_reach_the_main_command() {
    let world = World::start().await;
    world.ready("one", &["serve"]).await;
    let mut main = attach(&world, None).await.unwrap();
    main.next().await;
    main.next().await;
    main.send(In::Stdin(b"typed".to_vec())).await;
    assert_eq!(output(main.next().await).1, "typed");
    main.send(In::Resize(native::TerminalSize { cols: 90, rows: 30 })).await;
    assert_eq!(output(main.next().await).1, "90x30\n");
    main.send(In::Signal(15)).await;
    assert_eq!(exit(&main.next().await), 128 + 15);
}

#[tokio::test]
async fn an_attachment_waits_for_a_sandbox_that_is_being_made() {
    let world = World::start().await;
    world.native().create(waiting("one", &["quit", "bye", "3"])).await.unwrap();
    let mut main = attach(&world, None).await.unwrap();
    main.next().await;
    assert_eq!(output(main.next().await), (0, "bye".into()));
    assert_eq!(exit(&main.next().await), 3);
    let done = world.wait_for_phase("one", v1::SandboxPhase::Completed).await;
    assert_eq!(done.status.unwrap().exit_code, Some(3));
}

#[tokio::test]
async fn a_sandbox_that_failed_says_why() {
    let world = World::start().await;
    world.native().create(waiting("one", &["impossible"])).await.unwrap();
    let refused = attach(&world, None).await.err().expect("refused");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("refuses user namespaces"), "{refused}");
}

#[tokio::test]
async fn a_main_command_that_ended_still_tells_its_output_and_its_code() {
    let world = World::start().await;
    let made = world.native().create(waiting("one", &["quit", "goodbye", "3"])).await.unwrap();
    let id = made.into_inner().sandbox.unwrap().metadata.unwrap().id;
    let mut main = attach(&world, None).await.unwrap();
    while !matches!(main.next().await, Payload::Exit(_)) {}
    world.wait_for_phase("one", v1::SandboxPhase::Completed).await;
    world.driver.kill(&id);
    sleep(Duration::from_millis(100)).await;

    let mut again = attach(&world, Some(4)).await.unwrap();
    assert_eq!(started(&again.next().await).offset, 4);
    assert_eq!(output(again.next().await), (4, "bye".into()));
    assert_eq!(exit(&again.next().await), 3);
}

#[tokio::test]
async fn an_ephemeral_sandbox_goes_once_its_exit_code_was_fetched() {
    let world = World::start().await;
    let request = native::CreateRequest { ephemeral: true, ..waiting("one", &["quit", "x", "0"]) };
    world.native().create(request).await.unwrap();
    let mut main = attach(&world, None).await.unwrap();
    main.next().await;
    assert_eq!(output(main.next().await).1, "x");
    assert_eq!(exit(&main.next().await), 0);
    drop(main);
    world.wait_until_gone("one").await;
    assert_eq!(std::fs::read_dir(world.paths().sandboxes()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_attachment_can_be_resumed_after_the_gateway_came_back() {
    let mut world = World::start().await;
    world.ready("one", &["serve"]).await;
    let mut main = attach(&world, None).await.unwrap();
    main.next().await;
    assert_eq!(output(main.next().await).0, 0);
    world.stop().await;
    assert!(!matches!(within(main.output.message()).await, Ok(Some(_))));
    world.run().await;
    let mut again = attach(&world, Some(16)).await.unwrap();
    assert_eq!(started(&again.next().await).offset, 16);
    again.send(In::Stdin(b"on".to_vec())).await;
    while output(again.next().await).1 != "on" {}
}
