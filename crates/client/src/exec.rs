//! A further command in a running sandbox.

use std::collections::HashMap;
use std::time::Duration;

use openshell_types::TerminalSize;
use openshell_wire::v1::{self, exec_sandbox_event, exec_sandbox_input};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::connect::Client;
use crate::error::ClientError;
use crate::limits;
use crate::stream::{Channel, Event, Input, Stream};

/// A command to run in a sandbox.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The sandbox.
    pub sandbox: String,
    /// The command, run as given without a login shell.
    pub command: Vec<String>,
    /// Its working directory; empty: the sandbox's own.
    pub workdir: String,
    /// Variables on top of the sandbox's.
    pub environment: HashMap<String, String>,
    /// Its terminal; none: standard output and error stay apart.
    pub terminal: Option<TerminalSize>,
    /// After this time it is ended and its code is 124.
    pub timeout: Option<Duration>,
}

impl Client {
    /// Runs a command in a sandbox. Dropping the stream ends it.
    pub fn exec(&self, options: ExecOptions) -> Stream {
        let client = self.clone();
        Stream::start(move |input, output| run(client, options, input, output))
    }
}

async fn run(
    client: Client,
    options: ExecOptions,
    mut input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Result<Event, ClientError>>,
) {
    let tty = options.terminal.is_some();
    let (to_wire, requests) = mpsc::channel(limits::STREAM_DEPTH);
    let start = exec_sandbox_input::Payload::Start(request(&client, options));
    // Cannot fail: the receiver is alive and the channel is empty.
    let _ = to_wire.send(v1::ExecSandboxInput { payload: Some(start) }).await;
    let mut v1 = client.v1.clone();
    let mut answers = match v1.exec_sandbox_interactive(ReceiverStream::new(requests)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            // A caller that is gone does not need the reason.
            let _ = output.send(Err(status.into())).await;
            return;
        }
    };
    let receiving = async {
        if output.send(Ok(Event::Started { tty, stdin_held: true })).await.is_ok() {
            receive(&mut answers, &output).await;
        }
    };
    tokio::select! {
        () = receiving => {}
        () = send(&mut input, to_wire) => {}
    }
}

fn request(client: &Client, options: ExecOptions) -> v1::ExecSandboxRequest {
    let size = options.terminal.unwrap_or(TerminalSize { cols: 0, rows: 0 });
    v1::ExecSandboxRequest {
        sandbox: options.sandbox,
        command: options.command,
        workdir: options.workdir,
        environment: options.environment,
        tty: options.terminal.is_some(),
        cols: size.cols.into(),
        rows: size.rows.into(),
        no_login_shell: true,
        workspace_scope: client.scope(),
        execution_timeout: options.timeout.map(|timeout| prost_types::Duration {
            seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(timeout.subsec_nanos()).unwrap_or(0),
        }),
        ..Default::default()
    }
}

/// Moves input to the wire; closing the request side ends standard input and nothing else.
async fn send(input: &mut mpsc::Receiver<Input>, to_wire: mpsc::Sender<v1::ExecSandboxInput>) {
    loop {
        let Ok(place) = to_wire.reserve().await else { break };
        let payload = match input.recv().await {
            Some(Input::Stdin(bytes)) => exec_sandbox_input::Payload::Stdin(bytes),
            Some(Input::Resize(size)) => {
                exec_sandbox_input::Payload::Resize(v1::ExecSandboxWindowResize {
                    cols: size.cols.into(),
                    rows: size.rows.into(),
                })
            }
            // The published protocol has no signals for an exec.
            Some(Input::Signal(_)) => continue,
            Some(Input::HalfClose) | None => break,
        };
        place.send(v1::ExecSandboxInput { payload: Some(payload) });
    }
    drop(to_wire);
    std::future::pending().await
}

async fn receive(
    answers: &mut Streaming<v1::ExecSandboxEvent>,
    output: &mpsc::Sender<Result<Event, ClientError>>,
) {
    loop {
        let event = match answers.message().await {
            Ok(Some(v1::ExecSandboxEvent { payload: Some(payload) })) => match payload {
                exec_sandbox_event::Payload::Stdout(chunk) => {
                    Ok(Event::Output(Channel::Stdout, chunk.data))
                }
                exec_sandbox_event::Payload::Stderr(chunk) => {
                    Ok(Event::Output(Channel::Stderr, chunk.data))
                }
                exec_sandbox_event::Payload::Exit(exit) => {
                    Ok(Event::Exit { code: exit.exit_code, error: None })
                }
            },
            Ok(Some(_)) => continue,
            Ok(None) => Err(ClientError::malformed("exit code")),
            Err(status) => Err(status.into()),
        };
        let last = matches!(event, Err(_) | Ok(Event::Exit { .. }));
        if output.send(event).await.is_err() || last {
            return;
        }
    }
}
