//! One stream of a session: what its task is given, and how it answers.

use openshell_types::TerminalSize;
use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, SupervisorFrame};
use tokio::sync::{mpsc, watch};

use crate::copy::Input;
use crate::limits;
use crate::output::Channel;

use super::frames;

/// What a client wants of its command, but for input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    /// Another terminal size.
    Resize(TerminalSize),
    /// A signal to the process group.
    Signal(i32),
}

/// The session's end of a stream. Dropping it tells the stream that its client is gone.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) input: mpsc::Sender<Input>,
    pub(super) control: mpsc::Sender<Control>,
    credit: watch::Sender<Option<u64>>,
}

/// The task's end of a stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) control: mpsc::Receiver<Control>,
    pub(super) out: Out,
}

/// Where a stream's frames go.
#[derive(Clone, Debug)]
pub(super) struct Out {
    id: u64,
    frames: mpsc::Sender<SupervisorFrame>,
    credit: watch::Sender<Option<u64>>,
}

/// The session has ended; nobody hears this stream any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// Both ends of stream `id`.
pub(super) fn open(id: u64, frames: mpsc::Sender<SupervisorFrame>) -> (Handle, Stream) {
    let (input, input_received) = mpsc::channel(limits::INPUT_FRAMES);
    let (control, control_received) = mpsc::channel(16);
    let credit = watch::Sender::new(None);
    let out = Out { id, frames, credit: credit.clone() };
    (
        Handle { input, control, credit },
        Stream { input: input_received, control: control_received, out },
    )
}

impl Handle {
    /// The gateway takes `bytes` more. A gateway that never says so takes all.
    pub(super) fn grant(&self, bytes: u64) {
        self.credit.send_modify(|credit| {
            *credit = Some(credit.unwrap_or(0).saturating_add(bytes));
        });
    }
}

impl Out {
    /// How many of `wanted` bytes may be sent; waits while there are none.
    async fn credit(&self, wanted: usize) -> usize {
        let mut watched = self.credit.subscribe();
        // The sender is ours, so waiting cannot fail.
        let _ = watched.wait_for(|credit| *credit != Some(0)).await;
        let mut allowed = wanted;
        self.credit.send_if_modified(|credit| {
            if let Some(left) = credit {
                allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(wanted);
                *left = left.saturating_sub(u64::try_from(allowed).unwrap_or(u64::MAX));
            }
            false
        });
        allowed
    }

    /// Sends output; `offset` is that of its first byte, where offsets mean something.
    pub(super) async fn data(
        &self,
        channel: Channel,
        data: &[u8],
        offset: u64,
    ) -> Result<(), Gone> {
        let mut rest = data;
        let mut offset = offset;
        while !rest.is_empty() {
            let allowed = self.credit(rest.len().min(limits::CHUNK)).await;
            let (now, later) = rest.split_at_checked(allowed).unwrap_or((rest, &[]));
            rest = later;
            self.send(Payload::Data(wire::Data {
                stream: self.id,
                channel: frames::channel(channel),
                data: now.to_vec(),
                offset,
            }))
            .await?;
            offset = offset.saturating_add(u64::try_from(now.len()).unwrap_or(0));
        }
        Ok(())
    }

    /// Says that the stream is open.
    pub(super) async fn opened(
        &self,
        tty: bool,
        stdin_held: bool,
        offset: u64,
    ) -> Result<(), Gone> {
        let opened = wire::Opened { stream: self.id, tty, stdin_held, offset };
        self.send(Payload::Opened(opened)).await
    }

    /// Says how the command ended: the last frame.
    pub(super) async fn exit(&self, exit_code: i32, error: String) -> Result<(), Gone> {
        self.send(Payload::Exit(wire::Exit { stream: self.id, exit_code, error })).await
    }

    /// Refuses the stream: the last frame.
    pub(super) async fn refuse(&self, error: impl Into<String>) -> Result<(), Gone> {
        self.send(Payload::Done(wire::Done { stream: self.id, error: error.into() })).await
    }

    async fn send(&self, payload: Payload) -> Result<(), Gone> {
        self.frames.send(frames::frame(payload)).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_waits_for_credit_once_a_gateway_gives_some() {
        let (frames, mut received) = mpsc::channel(8);
        let (handle, stream) = open(3, frames);
        stream.out.data(Channel::Stdout, b"free", 0).await.expect("sent");
        handle.grant(2);
        let out = stream.out.clone();
        let sender = tokio::spawn(async move { out.data(Channel::Stderr, b"abcde", 10).await });
        let mut next = async || match received.recv().await.and_then(|f| f.payload) {
            Some(Payload::Data(data)) => (data.data, data.offset),
            other => panic!("data, not {other:?}"),
        };
        assert_eq!(next().await, (b"free".to_vec(), 0));
        assert_eq!(next().await, (b"ab".to_vec(), 10));
        handle.grant(100);
        assert_eq!(next().await, (b"cde".to_vec(), 12));
        sender.await.expect("task").expect("sent");
    }
}
