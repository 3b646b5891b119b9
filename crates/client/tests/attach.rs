//! An attached client over a real socket, with a scripted gateway at its other end.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use openshell_client::{
    AttachOptions, Channel, Client, ClientError, Event, Gateway, Input, NewSandbox, Output, Sender,
};
use openshell_types::{TerminalSize, WorkspaceName};
use openshell_wire::native::native_server::{Native, NativeServer};
use openshell_wire::native::{self, attach_input, attach_output};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Plays one attachment, then keeps the stream open or ends it.
#[derive(Clone)]
struct Scripted {
    answers: Vec<native::AttachOutput>,
    ending: Ending,
    heard: Arc<Mutex<Vec<attach_input::Payload>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Say nothing more.
    Silence,
    /// End the stream.
    End,
    /// Refuse the call at once.
    Refuse,
}

#[tonic::async_trait]
impl Native for Scripted {
    async fn attach_main(
        &self,
        request: Request<Streaming<native::AttachInput>>,
    ) -> Result<Response<BoxStream<native::AttachOutput>>, Status> {
        if self.ending == Ending::Refuse {
            return Err(Status::failed_precondition("sandbox is not ready"));
        }
        let mut inputs = request.into_inner();
        let heard = Arc::clone(&self.heard);
        tokio::spawn(async move {
            while let Ok(Some(input)) = inputs.message().await {
                heard.lock().unwrap().extend(input.payload);
            }
        });
        let said = tokio_stream::iter(self.answers.clone()).map(Ok);
        Ok(Response::new(match self.ending {
            Ending::End => Box::pin(said),
            _ => Box::pin(said.chain(tokio_stream::pending())),
        }))
    }

    async fn create(
        &self,
        _: Request<native::CreateRequest>,
    ) -> Result<Response<native::CreateResponse>, Status> {
        Ok(Response::new(native::CreateResponse {
            diagnostics: vec![native::Diagnostic {
                code: "P0103".into(),
                severity: "error".into(),
                message: "unknown key `endpoint`".into(),
                line: 4,
                ..Default::default()
            }],
            ..Default::default()
        }))
    }
}

/// In a runtime of its own, so that its end closes every connection, as a process' end does.
struct Peer {
    runtime: Option<Runtime>,
    heard: Arc<Mutex<Vec<attach_input::Payload>>>,
}

impl Peer {
    fn start(socket: &Path, answers: Vec<native::AttachOutput>, ending: Ending) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _ = std::fs::remove_file(socket);
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).unwrap()
        };
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let scripted = Scripted { answers, ending, heard: Arc::clone(&heard) };
        let serving = Server::builder()
            .add_service(NativeServer::new(scripted))
            .serve_with_incoming(UnixListenerStream::new(listener));
        runtime.spawn(async { serving.await.unwrap() });
        Self { runtime: Some(runtime), heard }
    }

    async fn heard(&self, count: usize) -> Vec<attach_input::Payload> {
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if heard.len() >= count {
                return heard;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn started(offset: u64) -> native::AttachOutput {
    let started = native::AttachStarted { tty: false, stdin_held: true, offset };
    native::AttachOutput { payload: Some(attach_output::Payload::Started(started)) }
}

fn chunk(offset: u64, data: &str) -> native::AttachOutput {
    let chunk = native::OutputChunk {
        offset,
        channel: native::Channel::Stdout.into(),
        data: data.as_bytes().to_vec(),
    };
    native::AttachOutput { payload: Some(attach_output::Payload::Output(chunk)) }
}

fn exit(exit_code: i32) -> native::AttachOutput {
    let exit = native::MainExit { exit_code, error: String::new() };
    native::AttachOutput { payload: Some(attach_output::Payload::Exit(exit)) }
}

fn output(text: &str) -> Event {
    Event::Output(Channel::Stdout, text.as_bytes().to_vec())
}

const STARTED: Event = Event::Started { tty: false, stdin_held: true };

async fn connect(socket: &Path) -> Client {
    let gateway = Gateway::Socket { socket: socket.to_owned() };
    Client::connect(&gateway, &WorkspaceName::default_workspace()).await.unwrap()
}

async fn attach(socket: &Path) -> (Sender, Output) {
    let options = AttachOptions { sandbox: "brave-otter".into(), hold_stdin: true, terminal: None };
    connect(socket).await.attach(options).split()
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    (folder, socket)
}

#[tokio::test]
async fn goes_on_at_the_next_byte_when_the_gateway_comes_back() {
    let (_folder, socket) = socket();
    let first = Peer::start(&socket, vec![started(0), chunk(0, "hello ")], Ending::Silence);
    let (sender, mut events) = attach(&socket).await;
    assert_eq!(events.next().await.unwrap().unwrap(), STARTED);
    assert_eq!(events.next().await.unwrap().unwrap(), output("hello "));
    sender.send(Input::Resize(TerminalSize { cols: 100, rows: 30 })).await;
    sender.send(Input::HalfClose).await;
    first.heard(3).await;

    drop(first);
    // This one repeats two bytes that were delivered.
    let answers = vec![started(4), chunk(4, "o world"), exit(7)];
    let second = Peer::start(&socket, answers, Ending::Silence);
    assert_eq!(events.next().await.unwrap().unwrap(), STARTED);
    assert_eq!(events.next().await.unwrap().unwrap(), output("world"));
    assert_eq!(events.next().await.unwrap().unwrap(), Event::Exit { code: 7, error: None });
    assert!(events.next().await.is_none());

    let heard = second.heard(2).await;
    let attach_input::Payload::Start(start) = &heard[0] else { panic!("no start: {heard:?}") };
    assert_eq!(start.resume_offset, Some(6));
    assert_eq!(start.terminal, Some(native::TerminalSize { cols: 100, rows: 30 }));
    assert_eq!(heard[1], attach_input::Payload::HalfClose(native::HalfClose {}));
}

#[tokio::test]
async fn gives_up_when_the_gateway_stays_away() {
    let (_folder, socket) = socket();
    let peer = Peer::start(&socket, vec![started(0)], Ending::End);
    let (_sender, mut events) = attach(&socket).await;
    assert_eq!(events.next().await.unwrap().unwrap(), STARTED);
    drop(peer);
    std::fs::remove_file(&socket).unwrap();
    tokio::time::pause();
    let mut last = events.next().await.unwrap();
    while last.is_ok() {
        last = events.next().await.unwrap();
    }
    assert!(matches!(last, Err(ClientError::Lost(_))), "{last:?}");
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let (_folder, socket) = socket();
    let _peer = Peer::start(&socket, Vec::new(), Ending::Refuse);
    let (_sender, mut events) = attach(&socket).await;
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Precondition(_)), "{error:?}");
}

#[tokio::test]
async fn a_policy_with_errors_is_bad_input_with_its_places() {
    let (_folder, socket) = socket();
    let _peer = Peer::start(&socket, Vec::new(), Ending::Silence);
    let error = connect(&socket).await.create(NewSandbox::default()).await.unwrap_err();
    let ClientError::BadInput { diagnostics, .. } = error else { panic!("{error:?}") };
    assert_eq!(diagnostics[0].line, Some(4));
    assert_eq!(diagnostics[0].column, None);
}
