//! The task that owns one session: its streams, and what the supervisor reports.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use openshell_types::SandboxId;
use openshell_wire::session::{
    self as wire, Data, Event, EventsAck, Exit, GatewayFrame, Hello, Open, Opened, PolicyAck,
    SupervisorFrame, gateway_frame, open::Target, supervisor_frame::Payload,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::registry::{Order, Session};
use super::server::SessionService;
use super::stream::{Closed, Feedback, Input, Output, Stream, StreamEvent, close, credit};
use crate::compose::{ComposeError, compose};
use crate::limits::{SESSION_QUEUE, SESSION_STALL, SESSION_STREAMS, STREAM_CREDIT, STREAM_SLACK};
use crate::store::rows::sandbox::{Observed, Phase, Sandbox};
use crate::store::{Store, StoreError};

/// Owner of one session.
pub(super) struct Owner {
    service: SessionService,
    id: SandboxId,
    name: String,
    handle: Session,
    out: mpsc::Sender<Result<GatewayFrame, Status>>,
    streams: HashMap<u64, Entry>,
    last_stream: u64,
    boot_id: String,
    last_sequence: u64,
    stored_sequence: u64,
    /// What went out in this session and was not answered yet: generation and epoch, and the digest.
    pushed: BTreeMap<(u64, u64), String>,
    frames: (mpsc::Sender<GatewayFrame>, mpsc::Receiver<GatewayFrame>),
    feedback: (mpsc::UnboundedSender<Feedback>, mpsc::UnboundedReceiver<Feedback>),
}

/// A stream as its owner sees it.
struct Entry {
    /// Whoever asked for it, until the supervisor has opened it.
    waiting: Option<oneshot::Sender<Result<Stream, Closed>>>,
    output: Option<Output>,
    events: mpsc::UnboundedSender<Result<StreamEvent, Closed>>,
    /// Bytes that the supervisor may still send.
    credit: u64,
}

/// Why a session ends.
enum End {
    /// The connection ended, or the gateway does.
    Gone,
    /// The supervisor broke the protocol, or is too slow.
    Violation(&'static str),
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Owner {
    pub(super) fn new(
        service: SessionService,
        sandbox: Sandbox,
        handle: Session,
        out: mpsc::Sender<Result<GatewayFrame, Status>>,
    ) -> Self {
        Self {
            service,
            name: sandbox.name.to_string(),
            id: sandbox.id,
            handle,
            out,
            streams: HashMap::new(),
            last_stream: 0,
            boot_id: String::new(),
            last_sequence: sandbox.last_sequence,
            stored_sequence: sandbox.last_sequence,
            pushed: BTreeMap::new(),
            frames: mpsc::channel(SESSION_QUEUE),
            feedback: mpsc::unbounded_channel(),
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(
        mut self,
        hello: Hello,
        mut inbound: Streaming<SupervisorFrame>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        self.boot_id.clone_from(&hello.boot_id);
        // Shows the session before the state, so that whoever sees READY finds a session; and before
        // anything is stored, so that a command need not wait for that.
        self.service.registry.insert(&self.id, self.handle.clone());
        let end = match self.saw_sequence(hello.last_sequence).await {
            Ok(()) => self.serve(hello, &mut inbound, &mut orders).await,
            Err(error) => error,
        };
        match &end {
            End::Gone => tracing::info!(sandbox = %self.name, "Supervisor left"),
            End::Violation(what) => {
                tracing::warn!(sandbox = %self.name, what, "Session ended");
                drop(self.out.try_send(Err(Status::invalid_argument(*what))));
            }
            End::Store(error) => {
                tracing::error!(sandbox = %self.name, %error, "Session ended");
                drop(self.out.try_send(Err(Status::unavailable("the database failed"))));
            }
        }
        if let Err(error) = self.store_sequence().await {
            tracing::error!(sandbox = %self.name, %error, "Event number could not be stored");
        }
        for (_, stream) in self.streams.drain() {
            stream.end(Closed::Lost);
        }
        self.service.registry.remove(&self.id, self.handle.number);
        self.service.kick.sandbox(&self.id);
    }

    async fn serve(
        &mut self,
        hello: Hello,
        inbound: &mut Streaming<SupervisorFrame>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> End {
        let shutdown = self.service.shutdown.clone();
        let greeted = greeted(self.service.clone(), self.id.clone(), hello);
        tokio::pin!(greeted);
        let mut welcome = true;
        loop {
            let step = tokio::select! {
                () = shutdown.cancelled() => return End::Gone,
                newer = &mut greeted, if welcome => {
                    welcome = false;
                    self.caught_up(newer).await
                }
                // Word of what came after the hello is taken after it.
                frame = inbound.message(), if !welcome => match frame {
                    Ok(Some(SupervisorFrame { payload: Some(payload) })) => {
                        self.frame(payload).await
                    }
                    // A frame of a later version: this one does without it.
                    Ok(Some(SupervisorFrame { payload: None })) => Ok(()),
                    Ok(None) | Err(_) => return End::Gone,
                },
                Some(order) = orders.recv() => self.order(order).await,
                Some(frame) = self.frames.1.recv() => self.input(frame).await,
                Some(feedback) = self.feedback.1.recv() => self.feedback(feedback).await,
            };
            if let Err(end) = step {
                return end;
            }
            if self.replaced() {
                return End::Gone;
            }
        }
    }

    /// After the hello is stored: a newer policy goes out, and waiting readers look again.
    async fn caught_up(
        &mut self,
        newer: Result<Option<wire::Policy>, StoreError>,
    ) -> Result<(), End> {
        if let Some(newest) = newer? {
            self.push(newest).await?;
        }
        self.service.registry.changed(&self.id);
        Ok(())
    }

    /// Sends what is to be in force, unless something newer has gone out already.
    async fn push(&mut self, policy: wire::Policy) -> Result<(), End> {
        let state = (policy.generation, policy.epoch);
        if self.pushed.last_key_value().is_some_and(|(newest, _)| *newest > state) {
            return Ok(());
        }
        self.pushed.insert(state, policy.digest.clone());
        self.send(gateway_frame::Payload::Policy(policy)).await
    }

    /// Whether the supervisor has come back on another connection.
    fn replaced(&self) -> bool {
        self.service.registry.session(&self.id).is_none_or(|s| s.number != self.handle.number)
    }

    async fn frame(&mut self, payload: Payload) -> Result<(), End> {
        match payload {
            Payload::Hello(_) => Err(End::Violation("a second hello")),
            Payload::PolicyAck(ack) => self.acknowledged(ack).await,
            Payload::Event(event) => self.event(event).await,
            Payload::Status(status) => self.status(status).await,
            Payload::Opened(opened) => {
                self.opened(opened);
                Ok(())
            }
            Payload::Data(data) => self.data(data).await,
            Payload::Exit(exit) => {
                self.exit(exit);
                Ok(())
            }
            Payload::Done(done) => {
                if let Some(stream) = self.streams.remove(&done.stream) {
                    stream.end(Closed::Refused(done.error));
                }
                Ok(())
            }
        }
    }

    async fn acknowledged(&mut self, ack: PolicyAck) -> Result<(), End> {
        let Ok(number) = u32::try_from(ack.generation) else {
            return Err(End::Violation("a generation that was never given"));
        };
        let state = (ack.generation, ack.epoch);
        let Some(digest) = self.pushed.get(&state) else {
            return Err(End::Violation("a generation that was never given"));
        };
        if ack.error.is_empty() && *digest != ack.digest {
            return Err(End::Violation("a digest that is not the policy's"));
        }
        // The newest stays: nothing older may go out after it.
        self.pushed.retain(|other, _| *other >= state);
        let refused = (!ack.error.is_empty()).then(|| ack.error.clone());
        self.service.registry.answer(&self.id, (state, refused));
        if ack.error.is_empty() {
            let now_ms = Timestamp::now().as_millisecond();
            self.store().enforce_revision(&self.id, number, now_ms).await?;
        } else {
            self.store().fail_revision(&self.id, number, &ack.error).await?;
        }
        self.service.registry.changed(&self.id);
        Ok(())
    }

    /// Events are in the sandbox's own log before they come here; what readers need is the news.
    async fn event(&mut self, event: Event) -> Result<(), End> {
        self.saw_sequence(event.seq).await?;
        self.send(gateway_frame::Payload::EventsAck(EventsAck { seq: event.seq })).await
    }

    async fn saw_sequence(&mut self, sequence: u64) -> Result<(), End> {
        /// A number that was not stored costs a repetition after a crash, and no more.
        const STORE_EVERY: u64 = 256;
        self.last_sequence = self.last_sequence.max(sequence);
        self.service.registry.saw_event(&self.id, sequence);
        if self.last_sequence.saturating_sub(self.stored_sequence) >= STORE_EVERY {
            self.store_sequence().await?;
        }
        Ok(())
    }

    async fn store_sequence(&mut self) -> Result<(), StoreError> {
        if self.last_sequence > self.stored_sequence {
            self.store().set_last_sequence(&self.id, self.last_sequence).await?;
            self.stored_sequence = self.last_sequence;
        }
        Ok(())
    }

    async fn status(&mut self, status: wire::Status) -> Result<(), End> {
        Ok(observe(&self.service, &self.id, &self.boot_id, status).await?)
    }

    async fn order(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Send(payload) => {
                if let gateway_frame::Payload::Policy(policy) = payload {
                    return self.push(policy).await;
                }
                self.send(payload).await
            }
            Order::Open(target, answer) => self.open(target, answer).await,
        }
    }

    async fn open(
        &mut self,
        target: Target,
        answer: oneshot::Sender<Result<Stream, Closed>>,
    ) -> Result<(), End> {
        if self.streams.len() >= SESSION_STREAMS {
            drop(answer.send(Err(Closed::Refused("the sandbox has too many open streams".into()))));
            return Ok(());
        }
        self.last_stream = self.last_stream.saturating_add(1);
        let stream = self.last_stream;
        let (events, receiver) = mpsc::unbounded_channel();
        let output = Output::new(stream, receiver, self.feedback.0.clone());
        let entry = Entry {
            waiting: Some(answer),
            output: Some(output),
            events,
            credit: STREAM_CREDIT + STREAM_SLACK,
        };
        self.streams.insert(stream, entry);
        self.send(gateway_frame::Payload::Open(Open { stream, target: Some(target) })).await?;
        self.send_frame(credit(stream, STREAM_CREDIT)).await
    }

    fn opened(&mut self, opened: Opened) {
        let number = opened.stream;
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let (Some(waiting), Some(output)) = (stream.waiting.take(), stream.output.take()) else {
            return;
        };
        let input = Input::new(number, self.frames.0.clone());
        // If nobody waits any more, dropping the output closes the stream.
        drop(waiting.send(Ok(Stream { opened, input, output })));
    }

    async fn data(&mut self, data: Data) -> Result<(), End> {
        let number = data.stream;
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        let bytes = u64::try_from(data.data.len()).unwrap_or(u64::MAX);
        // SECURITY: a supervisor that ignores its credit would fill the gateway's memory.
        if let Some(left) = stream.credit.checked_sub(bytes) {
            stream.credit = left;
            // A receiver that is gone has sent word of it.
            drop(stream.events.send(Ok(StreamEvent::Data(data))));
            return Ok(());
        }
        if let Some(stream) = self.streams.remove(&number) {
            stream.end(Closed::Overrun);
        }
        self.send_frame(close(number)).await
    }

    fn exit(&mut self, exit: Exit) {
        if let Some(stream) = self.streams.remove(&exit.stream) {
            let Exit { exit_code, error, .. } = exit;
            drop(stream.events.send(Ok(StreamEvent::Exit { exit_code, error })));
            if let Some(waiting) = stream.waiting {
                drop(waiting.send(Err(Closed::Refused("the command ended at once".into()))));
            }
        }
    }

    /// Input of a stream that has ended meanwhile is dropped.
    async fn input(&mut self, frame: GatewayFrame) -> Result<(), End> {
        let stream = match &frame.payload {
            Some(gateway_frame::Payload::Data(data)) => data.stream,
            Some(gateway_frame::Payload::HalfClose(end)) => end.stream,
            Some(gateway_frame::Payload::Resize(size)) => size.stream,
            Some(gateway_frame::Payload::Signal(signal)) => signal.stream,
            _ => return Ok(()),
        };
        if self.streams.contains_key(&stream) { self.send_frame(frame).await } else { Ok(()) }
    }

    async fn feedback(&mut self, feedback: Feedback) -> Result<(), End> {
        match feedback {
            Feedback::Credit { stream, bytes } => {
                let Some(entry) = self.streams.get_mut(&stream) else { return Ok(()) };
                entry.credit = entry.credit.saturating_add(bytes);
                self.send_frame(credit(stream, bytes)).await
            }
            Feedback::Closed { stream } => match self.streams.remove(&stream) {
                Some(_) => self.send_frame(close(stream)).await,
                None => Ok(()),
            },
        }
    }

    async fn send(&self, payload: gateway_frame::Payload) -> Result<(), End> {
        self.send_frame(GatewayFrame { payload: Some(payload) }).await
    }

    async fn send_frame(&self, frame: GatewayFrame) -> Result<(), End> {
        match timeout(SESSION_STALL, self.out.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Violation("the supervisor takes nothing any more")),
        }
    }

    const fn store(&self) -> &Store {
        &self.service.store
    }
}

impl Entry {
    fn end(self, why: Closed) {
        match self.waiting {
            Some(waiting) => drop(waiting.send(Err(why))),
            None => drop(self.events.send(Err(why))),
        }
    }
}

/// Stores what the supervisor says about itself, and finds the policy that it lacks.
async fn greeted(
    service: SessionService,
    id: SandboxId,
    hello: Hello,
) -> Result<Option<wire::Policy>, StoreError> {
    let (store, now_ms) = (&service.store, Timestamp::now().as_millisecond());
    store.set_placed(&id, now_ms).await?;
    if let Ok(generation) = u32::try_from(hello.generation)
        && generation > 0
        && store.revision(&id, Some(generation)).await?.is_some()
    {
        store.enforce_revision(&id, generation, now_ms).await?;
    }
    if let Some(status) = hello.status {
        observe(&service, &id, &hello.boot_id, status).await?;
    }
    let has = (hello.generation, hello.epoch);
    service.registry.answer(&id, (has, None));
    let composed = match compose(store, &id).await {
        Ok(composed) => composed,
        Err(ComposeError::Store(error)) => return Err(error),
        Err(error) => return Ok(kept(&id, &error)),
    };
    if (u64::from(composed.revision.number), composed.epoch) <= has {
        return Ok(None);
    }
    match composed.into_message(&service.vault) {
        Ok(message) => Ok(Some(message)),
        Err(error) => Ok(kept(&id, &error)),
    }
}

/// What is in force stays.
fn kept(id: &SandboxId, error: &ComposeError) -> Option<wire::Policy> {
    tracing::error!(sandbox = %id, %error, "Nothing newer can be put in force");
    None
}

/// Stores a status.
async fn observe(
    service: &SessionService,
    id: &SandboxId,
    boot_id: &str,
    status: wire::Status,
) -> Result<(), StoreError> {
    let phase = match status.phase() {
        wire::Phase::Unspecified | wire::Phase::Starting => Phase::Provisioning,
        wire::Phase::Ready => Phase::Ready,
        wire::Phase::Completed => Phase::Completed,
        wire::Phase::Error => Phase::Error,
    };
    let observed = Observed {
        phase,
        exit_code: status.exit_code,
        reason: reason(phase, &status.error).to_owned(),
        message: status.error,
        main_pid: status.main_pid,
        boot_id: boot_id.to_owned(),
        report: status.report,
    };
    service.store.set_observed(id, &observed, Timestamp::now().as_millisecond()).await?;
    service.registry.changed(id);
    if phase.is_last() {
        service.kick.sandbox(id);
    }
    Ok(())
}

/// The word for a phase that its status condition carries.
const fn reason(phase: Phase, error: &str) -> &'static str {
    match phase {
        Phase::Provisioning => "Starting",
        Phase::Ready => "SupervisorReady",
        Phase::Completed if error.is_empty() => "MainProcessExited",
        Phase::Completed => "MainProcessNotStarted",
        Phase::Error => "SupervisorFailed",
    }
}
