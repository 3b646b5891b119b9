//! The main command: attach, and attach again at the same byte when the gateway went away.

use openshell_types::TerminalSize;
use openshell_wire::native::{self, attach_input, attach_output};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::connect::{Client, plain};
use crate::error::ClientError;
use crate::limits;
use crate::stream::{Channel, Event, Input, Stream};

/// How to attach to a main command.
#[derive(Clone, Debug)]
pub struct AttachOptions {
    /// The sandbox.
    pub sandbox: String,
    /// Whether to hold standard input.
    pub hold_stdin: bool,
    /// The size of the caller's terminal.
    pub terminal: Option<TerminalSize>,
}

impl Client {
    /// Attaches to the main command of a sandbox: all output that is kept, then what comes.
    ///
    /// When the gateway goes away, the stream connects again for ten seconds and goes on at the
    /// next byte. Input that was on its way in that moment may be lost; output is not.
    pub fn attach(&self, options: AttachOptions) -> Stream {
        let client = self.clone();
        Stream::start(move |input, output| {
            Attachment { client, options, resume: Resume::default() }.run(input, output)
        })
    }
}

struct Attachment {
    client: Client,
    options: AttachOptions,
    resume: Resume,
}

/// What a new connection must know of the one before.
#[derive(Default)]
struct Resume {
    /// The first byte that has not been delivered; none before the first start.
    offset: Option<u64>,
    /// Standard input has ended.
    half_closed: bool,
}

/// How one connection ended.
enum End {
    /// With all that there is to say.
    Said,
    /// The caller is gone.
    Dropped,
    /// The gateway went away.
    Lost(Status),
    /// The gateway refused.
    Refused(ClientError),
}

impl Attachment {
    async fn run(
        mut self,
        mut input: mpsc::Receiver<Input>,
        output: mpsc::Sender<Result<Event, ClientError>>,
    ) {
        let mut lost_at: Option<Instant> = None;
        loop {
            let before = self.resume.offset;
            let end = self.once(&mut input, &output).await;
            let error = match end {
                End::Said | End::Dropped => return,
                End::Refused(error) => error,
                End::Lost(status) if self.resume.offset.is_none() => status.into(),
                End::Lost(status) => {
                    if self.resume.offset != before {
                        lost_at = None;
                    }
                    let since = *lost_at.get_or_insert_with(Instant::now);
                    if since.elapsed() < limits::REATTACH_WINDOW {
                        sleep(limits::REATTACH_POLL).await;
                        continue;
                    }
                    ClientError::Lost(plain(status.message()))
                }
            };
            // A caller that is gone does not need the reason.
            let _ = output.send(Err(error)).await;
            return;
        }
    }

    async fn once(
        &mut self,
        input: &mut mpsc::Receiver<Input>,
        output: &mpsc::Sender<Result<Event, ClientError>>,
    ) -> End {
        let (to_wire, requests) = mpsc::channel(limits::STREAM_DEPTH);
        let mut first = vec![attach_input::Payload::Start(self.start())];
        if self.resume.half_closed {
            first.push(attach_input::Payload::HalfClose(native::HalfClose {}));
        }
        for payload in first {
            // Cannot fail: the receiver is alive and the channel is empty.
            let _ = to_wire.send(native::AttachInput { payload: Some(payload) }).await;
        }
        let mut native = self.client.native.clone();
        let mut answers = match native.attach_main(ReceiverStream::new(requests)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return ended(status),
        };
        let Self { options, resume, .. } = self;
        let Resume { offset, half_closed } = resume;
        tokio::select! {
            end = receive(&mut answers, offset, output) => end,
            () = send(input, &to_wire, half_closed, options) => End::Dropped,
        }
    }

    fn start(&self) -> native::AttachStart {
        native::AttachStart {
            sandbox: self.options.sandbox.clone(),
            workspace_scope: self.client.scope(),
            resume_offset: self.resume.offset,
            hold_stdin: self.options.hold_stdin,
            terminal: self.options.terminal.map(wire_size),
        }
    }
}

/// Moves input to the wire until the caller drops its half; then waits for ever if output is still
/// wanted, which the other half of the select decides.
async fn send(
    input: &mut mpsc::Receiver<Input>,
    to_wire: &mpsc::Sender<native::AttachInput>,
    half_closed: &mut bool,
    options: &mut AttachOptions,
) {
    loop {
        // The place first, so that a cancelled wait loses no input.
        let Ok(place) = to_wire.reserve().await else { return std::future::pending().await };
        let Some(item) = input.recv().await else { return std::future::pending().await };
        let payload = match item {
            Input::Stdin(bytes) => attach_input::Payload::Stdin(bytes),
            Input::HalfClose => {
                *half_closed = true;
                attach_input::Payload::HalfClose(native::HalfClose {})
            }
            Input::Resize(size) => {
                options.terminal = Some(size);
                attach_input::Payload::Resize(wire_size(size))
            }
            Input::Signal(number) => attach_input::Payload::Signal(number.into()),
        };
        place.send(native::AttachInput { payload: Some(payload) });
    }
}

async fn receive(
    answers: &mut Streaming<native::AttachOutput>,
    offset: &mut Option<u64>,
    output: &mpsc::Sender<Result<Event, ClientError>>,
) -> End {
    loop {
        let payload = match answers.message().await {
            Ok(Some(native::AttachOutput { payload: Some(payload) })) => payload,
            Ok(Some(_)) => continue,
            Ok(None) => return End::Lost(Status::unavailable("the stream ended early")),
            Err(status) => return ended(status),
        };
        let (event, last) = match payload {
            attach_output::Payload::Started(started) => {
                // What was delivered stays delivered, wherever the gateway begins.
                *offset = Some(offset.unwrap_or(0).max(started.offset));
                (Event::Started { tty: started.tty, stdin_held: started.stdin_held }, false)
            }
            attach_output::Payload::Output(chunk) => {
                let channel = match chunk.channel() {
                    native::Channel::Stderr => Channel::Stderr,
                    native::Channel::Stdout | native::Channel::Unspecified => Channel::Stdout,
                };
                let Some(data) = advance(offset, chunk.offset, chunk.data) else { continue };
                (Event::Output(channel, data), false)
            }
            attach_output::Payload::Exit(exit) => {
                let error = (!exit.error.is_empty()).then_some(exit.error);
                (Event::Exit { code: exit.exit_code, error }, true)
            }
        };
        if output.send(Ok(event)).await.is_err() {
            return End::Dropped;
        }
        if last {
            return End::Said;
        }
    }
}

/// Counts a chunk as delivered and cuts off what was delivered before; `None`: all of it was.
fn advance(offset: &mut Option<u64>, at: u64, mut data: Vec<u8>) -> Option<Vec<u8>> {
    let next = offset.unwrap_or(at);
    let end = at.saturating_add(data.len() as u64);
    if end <= next {
        return None;
    }
    let seen = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
    data.drain(..seen.min(data.len()));
    *offset = Some(end);
    Some(data)
}

/// Whether a status means that the gateway is gone, or that it said no.
fn ended(status: Status) -> End {
    // A connection that breaks under a stream is reported by the HTTP/2 layer as one of these.
    let gone = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
        || (status.code() == Code::Internal && std::error::Error::source(&status).is_some());
    if gone { End::Lost(status) } else { End::Refused(status.into()) }
}

fn wire_size(size: TerminalSize) -> native::TerminalSize {
    native::TerminalSize { cols: size.cols.into(), rows: size.rows.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_delivered_once() {
        let mut offset = Some(10);
        assert_eq!(advance(&mut offset, 8, b"abcd".to_vec()), Some(b"cd".to_vec()));
        assert_eq!(offset, Some(12));
        assert_eq!(advance(&mut offset, 8, b"abcd".to_vec()), None);
        assert_eq!(advance(&mut offset, 12, b"ef".to_vec()), Some(b"ef".to_vec()));
        assert_eq!(offset, Some(14));
    }

    #[test]
    fn output_that_is_no_longer_kept_is_skipped() {
        let mut offset = Some(10);
        assert_eq!(advance(&mut offset, 100, b"z".to_vec()), Some(b"z".to_vec()));
        assert_eq!(offset, Some(101));
    }
}
