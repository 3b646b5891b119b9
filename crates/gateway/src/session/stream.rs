//! One stream of a session: a command, or an attachment to the main command.

use openshell_wire::session::{
    Close, Credit, Data, GatewayFrame, HalfClose, Opened, Resize, Signal, gateway_frame::Payload,
};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::limits::DATA_CHUNK;

/// A stream that the supervisor has opened.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) opened: Opened,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

/// What a stream brings.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// Output.
    Data(Data),
    /// The command ended; nothing follows.
    Exit {
        exit_code: i32,
        /// Why it could not be started, when it could not.
        error: String,
    },
}

/// Why a stream ended without an exit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Closed {
    /// The supervisor refused it.
    #[error("{0}")]
    Refused(String),
    /// The session ended.
    #[error("the sandbox's supervisor went away")]
    Lost,
    /// The supervisor broke the protocol.
    #[error("the sandbox's supervisor sent more than was asked for")]
    Overrun,
}

/// What the owner of a session is told about a stream, beside its input. Unbounded, because each
/// item answers to one that the owner delivered before.
#[derive(Debug)]
pub(crate) enum Feedback {
    /// Output was taken.
    Credit { stream: u64, bytes: u64 },
    /// Nobody reads it any more.
    Closed { stream: u64 },
}

/// The way into a stream.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    stream: u64,
    frames: mpsc::Sender<GatewayFrame>,
}

impl Input {
    pub(super) const fn new(stream: u64, frames: mpsc::Sender<GatewayFrame>) -> Self {
        Self { stream, frames }
    }

    /// Sends input, and waits for room.
    pub(crate) async fn data(&self, bytes: &[u8]) -> Result<(), Closed> {
        for chunk in bytes.chunks(DATA_CHUNK) {
            let data = Data { stream: self.stream, data: chunk.to_vec(), ..Data::default() };
            self.send(Payload::Data(data)).await?;
        }
        Ok(())
    }

    /// Ends the input.
    pub(crate) async fn half_close(&self) -> Result<(), Closed> {
        self.send(Payload::HalfClose(HalfClose { stream: self.stream })).await
    }

    /// Tells the terminal's size.
    pub(crate) async fn resize(&self, cols: u32, rows: u32) -> Result<(), Closed> {
        self.send(Payload::Resize(Resize { stream: self.stream, cols, rows })).await
    }

    /// Sends a signal to the command's process group.
    pub(crate) async fn signal(&self, signal: u32) -> Result<(), Closed> {
        self.send(Payload::Signal(Signal { stream: self.stream, signal })).await
    }

    async fn send(&self, payload: Payload) -> Result<(), Closed> {
        let frame = GatewayFrame { payload: Some(payload) };
        self.frames.send(frame).await.map_err(|_| Closed::Lost)
    }
}

/// The way out of a stream. Dropping it closes the stream.
#[derive(Debug)]
pub(crate) struct Output {
    stream: u64,
    events: mpsc::UnboundedReceiver<Result<StreamEvent, Closed>>,
    feedback: mpsc::UnboundedSender<Feedback>,
}

impl Output {
    pub(super) const fn new(
        stream: u64,
        events: mpsc::UnboundedReceiver<Result<StreamEvent, Closed>>,
        feedback: mpsc::UnboundedSender<Feedback>,
    ) -> Self {
        Self { stream, events, feedback }
    }

    /// The next event. After an exit or an error there is none.
    pub(crate) async fn next(&mut self) -> Result<StreamEvent, Closed> {
        let event = self.events.recv().await.unwrap_or(Err(Closed::Lost))?;
        if let StreamEvent::Data(data) = &event {
            let bytes = u64::try_from(data.data.len()).unwrap_or(u64::MAX);
            // The owner is gone: the next event says so.
            drop(self.feedback.send(Feedback::Credit { stream: self.stream, bytes }));
        }
        Ok(event)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        drop(self.feedback.send(Feedback::Closed { stream: self.stream }));
    }
}

pub(super) const fn credit(stream: u64, bytes: u64) -> GatewayFrame {
    GatewayFrame { payload: Some(Payload::Credit(Credit { stream, bytes })) }
}

pub(super) const fn close(stream: u64) -> GatewayFrame {
    GatewayFrame { payload: Some(Payload::Close(Close { stream })) }
}
