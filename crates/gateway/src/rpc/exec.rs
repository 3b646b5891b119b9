//! Commands in a sandbox: one request, or a conversation.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use openshell_wire::session::Data;
use openshell_wire::v1;
use openshell_wire::v1::exec_sandbox_event::Payload;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

use super::Rpc;
use super::convert::{duration, scope};
use crate::app::exec::Exec;
use crate::app::{AppError, check};
use crate::limits::TIMEOUT_GRACE;
use crate::session::{Input, Output, Stream, StreamEvent};

type Events = BoxStream<v1::ExecSandboxEvent>;

impl Rpc {
    pub(super) async fn exec_sandbox(
        &self,
        mut request: v1::ExecSandboxRequest,
    ) -> Result<Events, AppError> {
        let stdin = std::mem::take(&mut request.stdin);
        let (stream, timeout) = self.start(request).await?;
        let Stream { input, output, .. } = stream;
        let pump = tokio::spawn(async move {
            // A command that ended does not need the rest.
            if input.data(&stdin).await.is_ok() {
                drop(input.half_close().await);
            }
        });
        Ok(events(output, timeout, AbortOnDropHandle::new(pump)))
    }

    pub(super) async fn exec_interactive(
        &self,
        mut frames: Streaming<v1::ExecSandboxInput>,
    ) -> Result<Events, Status> {
        let first = frames.message().await?.and_then(|frame| frame.payload);
        let Some(v1::exec_sandbox_input::Payload::Start(mut start)) = first else {
            return Err(AppError::invalid("start", "the first message is start").into());
        };
        let stdin = std::mem::take(&mut start.stdin);
        let (stream, timeout) = self.start(start).await?;
        let Stream { input, output, .. } = stream;
        let pump = tokio::spawn(async move {
            if input.data(&stdin).await.is_ok() {
                pump(frames, input).await;
            }
        });
        Ok(events(output, timeout, AbortOnDropHandle::new(pump)))
    }

    async fn start(
        &self,
        request: v1::ExecSandboxRequest,
    ) -> Result<(Stream, Option<Duration>), AppError> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        check::command(&request.command)?;
        check::workdir(&request.workdir)?;
        let timeout = duration("execution_timeout", request.execution_timeout)?;
        let size = |cells: u32, usual: u32| if cells == 0 { usual } else { cells.min(9999) };
        let exec = Exec {
            argv: request.command,
            environment: check::environment(request.environment)?,
            workdir: request.workdir,
            terminal: request.tty.then(|| (size(request.cols, 80), size(request.rows, 24))),
            timeout,
            login_shell: !request.no_login_shell,
        };
        Ok((self.app.exec(&sandbox, exec).await?, timeout))
    }
}

/// Moves a client's messages to the command. The end of the messages is the end of its input.
async fn pump(mut frames: Streaming<v1::ExecSandboxInput>, input: Input) {
    use v1::exec_sandbox_input::Payload;
    loop {
        let sent = match frames.message().await {
            Ok(Some(frame)) => match frame.payload {
                Some(Payload::Stdin(bytes)) => input.data(&bytes).await,
                Some(Payload::Resize(size)) => input.resize(size.cols, size.rows).await,
                // A second start changes nothing, and later kinds of messages are not for us.
                Some(Payload::Start(_)) | None => Ok(()),
            },
            Ok(None) => {
                drop(input.half_close().await);
                return;
            }
            // The client is gone; the response's end closes the stream.
            Err(_) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What is sent next.
struct State {
    output: Output,
    deadline: Option<Instant>,
    _pump: AbortOnDropHandle<()>,
}

/// Output in any interleaving, then exactly one exit.
fn events(output: Output, timeout: Option<Duration>, pump: AbortOnDropHandle<()>) -> Events {
    // The supervisor ends the command and reports it; this is for one that does not.
    let deadline =
        timeout.and_then(|timeout| Instant::now().checked_add(timeout)?.checked_add(TIMEOUT_GRACE));
    let state = State { output, deadline, _pump: pump };
    let steps = stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        let (items, ended) = match next(&mut state).await {
            Ok(StreamEvent::Data(data)) => (vec![Ok(chunk(data))], false),
            Ok(StreamEvent::Exit { exit_code, error }) => (exit(exit_code, error), true),
            Err(error) => (vec![Err(Status::from(error))], true),
        };
        Some((stream::iter(items), (!ended).then_some(state)))
    });
    Box::pin(steps.flatten())
}

async fn next(state: &mut State) -> Result<StreamEvent, AppError> {
    /// What `timeout` of coreutils gives.
    const TIMED_OUT: i32 = 124;
    let Some(deadline) = state.deadline else { return Ok(state.output.next().await?) };
    tokio::select! {
        event = state.output.next() => Ok(event?),
        () = sleep_until(deadline) => {
            Ok(StreamEvent::Exit { exit_code: TIMED_OUT, error: String::new() })
        }
    }
}

const fn event(payload: Payload) -> v1::ExecSandboxEvent {
    v1::ExecSandboxEvent { payload: Some(payload) }
}

fn chunk(data: Data) -> v1::ExecSandboxEvent {
    const STDERR: u32 = 2;
    event(if data.channel == STDERR {
        Payload::Stderr(v1::ExecSandboxStderr { data: data.data })
    } else {
        Payload::Stdout(v1::ExecSandboxStdout { data: data.data })
    })
}

/// The exit; before it, why the command could not be started, as a shell would print it.
fn exit(exit_code: i32, error: String) -> Vec<Result<v1::ExecSandboxEvent, Status>> {
    let mut items = Vec::new();
    if !error.is_empty() {
        let data = format!("openshell: {error}\n").into_bytes();
        items.push(Ok(event(Payload::Stderr(v1::ExecSandboxStderr { data }))));
    }
    items.push(Ok(event(Payload::Exit(v1::ExecSandboxExit { exit_code }))));
    items
}
