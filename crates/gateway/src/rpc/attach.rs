//! The main command's output and input.

use futures_util::{StreamExt as _, stream};
use openshell_wire::native;
use openshell_wire::native::attach_output::Payload;
use openshell_wire::session::Data;
use tokio_util::task::AbortOnDropHandle;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

use super::Rpc;
use super::convert::scope;
use crate::app::AppError;
use crate::app::attach::{Attach, AttachGuard, Attached, Leftover};
use crate::limits::DATA_CHUNK;
use crate::session::{Input, Output, Stream, StreamEvent};

type Outputs = BoxStream<native::AttachOutput>;

impl Rpc {
    pub(super) async fn attach_main(
        &self,
        mut frames: Streaming<native::AttachInput>,
    ) -> Result<Outputs, Status> {
        let first = frames.message().await?.and_then(|frame| frame.payload);
        let Some(native::attach_input::Payload::Start(start)) = first else {
            return Err(AppError::invalid("start", "the first message is start").into());
        };
        let sandbox = self.app.sandbox(&scope(start.workspace_scope)?, &start.sandbox).await?;
        let attach = Attach {
            resume_offset: start.resume_offset,
            hold_stdin: start.hold_stdin,
            terminal: start.terminal.map(|size| (size.cols, size.rows)),
        };
        let (attached, guard) = self.app.attach(&sandbox, attach).await?;
        Ok(match attached {
            Attached::Live(stream) => live(stream, frames, guard),
            Attached::Ended(leftover) => ended(leftover, guard),
        })
    }
}

/// What is sent next. Fields are dropped in this order: the stream is closed before the
/// attachment no longer counts.
struct State {
    _pump: AbortOnDropHandle<()>,
    output: Output,
    guard: AttachGuard,
    over: bool,
}

fn live(stream: Stream, frames: Streaming<native::AttachInput>, guard: AttachGuard) -> Outputs {
    let Stream { opened, input, output } = stream;
    let started = Payload::Started(native::AttachStarted {
        tty: opened.tty,
        stdin_held: opened.stdin_held,
        offset: opened.offset,
    });
    let pump = AbortOnDropHandle::new(tokio::spawn(pump(frames, input)));
    let state = State { _pump: pump, output, guard, over: false };
    let rest = stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        let item = match state.output.next().await {
            Ok(StreamEvent::Data(data)) => Ok(chunk(data)),
            Ok(StreamEvent::Exit { exit_code, error }) => {
                state.over = true;
                // Whoever takes the item that follows has got the exit code.
                state.guard.exit_fetched = true;
                Ok(Payload::Exit(native::MainExit { exit_code, error }))
            }
            Err(closed) => {
                state.over = true;
                Err(Status::from(AppError::from(closed)))
            }
        };
        Some((item, state))
    });
    let started = stream::iter([Ok(started)]);
    Box::pin(started.chain(rest).map(|item| item.map(output_of)))
}

/// A main command that ended long ago: what is left of its output, and its exit.
fn ended(leftover: Leftover, mut guard: AttachGuard) -> Outputs {
    let Leftover { mut offset, output, tty, observed } = leftover;
    let mut items =
        vec![Payload::Started(native::AttachStarted { tty, stdin_held: false, offset })];
    for part in output.chunks(DATA_CHUNK) {
        let channel = native::Channel::Stdout.into();
        let data = part.to_vec();
        items.push(Payload::Output(native::OutputChunk { offset, channel, data }));
        offset = offset.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
    }
    // 125 is ours: a sandbox that completed without a code never ran its command.
    let exit_code = observed.exit_code.unwrap_or(125);
    items.push(Payload::Exit(native::MainExit { exit_code, error: observed.message }));
    guard.exit_fetched = true;
    let items = items.into_iter().map(|item| Ok(output_of(item)));
    Box::pin(
        stream::iter(items)
            .chain(stream::once(async move { drop(guard) }).filter_map(|()| async { None })),
    )
}

/// Moves a client's messages to the main command. A client that goes away detaches.
async fn pump(mut frames: Streaming<native::AttachInput>, input: Input) {
    use native::attach_input::Payload;
    while let Ok(Some(frame)) = frames.message().await {
        let sent = match frame.payload {
            Some(Payload::Stdin(bytes)) => input.data(&bytes).await,
            Some(Payload::Resize(size)) => input.resize(size.cols, size.rows).await,
            Some(Payload::Signal(signal)) => input.signal(signal).await,
            Some(Payload::HalfClose(_)) => input.half_close().await,
            Some(Payload::Start(_)) | None => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn chunk(data: Data) -> Payload {
    const STDERR: u32 = 2;
    let channel =
        if data.channel == STDERR { native::Channel::Stderr } else { native::Channel::Stdout };
    Payload::Output(native::OutputChunk {
        offset: data.offset,
        channel: channel.into(),
        data: data.data,
    })
}

const fn output_of(payload: Payload) -> native::AttachOutput {
    native::AttachOutput { payload: Some(payload) }
}
