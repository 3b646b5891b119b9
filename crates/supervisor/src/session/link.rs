//! One session, from the dial to its end.

use std::collections::HashMap;
use std::sync::Arc;

use openshell_types::{Digest, Generation};
use openshell_wire::session::gateway_frame::Payload as Told;
use openshell_wire::session::session_client::SessionClient;
use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, GatewayFrame, Hello, SupervisorFrame, open::Target};
use openshell_wire::{credential, route};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::apply::{Applied, Pushed};
use crate::copy::Input;
use crate::limits;
use crate::sandbox::Sandbox;
use crate::status::Status;
use crate::stdio::terminal_size;

use super::stream::{Control, Handle, open};
use super::{Dial, SessionError, VERSION, attach, exec, frames, tell};

/// Longest frame that is taken from the gateway, in bytes: a policy's text is the longest.
const LONGEST_FRAME: usize = 1024 * 1024;

/// A session that the gateway has welcomed.
pub(crate) struct Joined {
    incoming: Streaming<GatewayFrame>,
    out: mpsc::Sender<SupervisorFrame>,
    welcome: wire::Welcome,
}

/// Serves one session; returns when the gateway ended it.
pub(super) async fn serve(sandbox: &Arc<Sandbox>, joined: Joined) -> Result<(), SessionError> {
    let Joined { mut incoming, out, welcome } = joined;
    sandbox.journal.reach(welcome.events_after);
    sandbox.connected.send_replace(true);
    tracing::info!(events_after = welcome.events_after, "Session is up");

    let teller = tell::tell(Arc::clone(sandbox), welcome.events_after, out.clone());
    let link = Link { sandbox: Arc::clone(sandbox), out, streams: HashMap::new() };
    tokio::select! {
        result = teller => return result,
        result = link.receive(&mut incoming) => return result,
        () = sandbox.leaving.cancelled() => {}
    }
    // Our end of the stream ended with its senders; the gateway's end says that it has all.
    while incoming.message().await?.is_some() {}
    Ok(())
}

/// Says hello and hears a welcome, and nothing more.
pub(super) async fn greet(dial: &Dial, hello: Hello) -> Result<(), SessionError> {
    join(dial.clone(), hello).await?.part().await;
    Ok(())
}

impl Joined {
    /// Tells how it ended with the sandbox, and nothing more.
    pub(super) async fn tell(self, status: &Status) {
        // A gateway that is gone hears nothing, and asks the driver.
        let _ = self.out.send(frames::frame(Payload::Status(frames::status(status)))).await;
        self.part().await;
    }

    /// Ends our side. What was said is taken when the gateway ends its own.
    async fn part(self) {
        let Self { mut incoming, out, .. } = self;
        drop(out);
        let ended = async { while let Ok(Some(_)) = incoming.message().await {} };
        // Nothing is lost with a gateway that does not.
        let _ = timeout(limits::GOODBYE, ended).await;
    }
}

/// Dials the gateway, says hello and hears its welcome.
pub(crate) async fn join(dial: Dial, hello: Hello) -> Result<Joined, SessionError> {
    let (out, frames_out) = mpsc::channel(limits::OUTGOING_FRAMES);
    let greeting = async {
        let mut client =
            SessionClient::new(dial.connect().await?).max_decoding_message_size(LONGEST_FRAME);
        // The receiver is still here and empty, so this never waits.
        let _ = out.send(frames::frame(Payload::Hello(hello))).await;
        let mut incoming = client.join(ReceiverStream::new(frames_out)).await?.into_inner();
        match incoming.message().await?.and_then(|frame| frame.payload) {
            Some(Told::Welcome(welcome)) if welcome.version == VERSION => Ok((incoming, welcome)),
            Some(Told::Welcome(_)) => Err(SessionError::Protocol("speaks another version")),
            _ => Err(SessionError::Protocol("did not start with a welcome")),
        }
    };
    let (incoming, welcome) = timeout(limits::WELCOME, greeting)
        .await
        .map_err(|_| SessionError::Protocol("did not answer in time"))??;
    Ok(Joined { incoming, out, welcome })
}

/// The receiving side of a session.
struct Link {
    sandbox: Arc<Sandbox>,
    out: mpsc::Sender<SupervisorFrame>,
    streams: HashMap<u64, Handle>,
}

impl Link {
    async fn receive(mut self, incoming: &mut Streaming<GatewayFrame>) -> Result<(), SessionError> {
        let mut tasks: JoinSet<u64> = JoinSet::new();
        let result = loop {
            tokio::select! {
                ended = tasks.join_next(), if !tasks.is_empty() => {
                    if let Some(Ok(stream)) = ended {
                        self.streams.remove(&stream);
                    }
                }
                frame = incoming.message() => match frame {
                    Ok(Some(GatewayFrame { payload: Some(told) })) => {
                        self.take(told, &mut tasks).await;
                    }
                    Ok(Some(GatewayFrame { payload: None })) => {}
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(status.into()),
                },
            }
        };
        // The streams hear that their clients are gone, and end their commands by themselves.
        tasks.detach_all();
        result
    }

    async fn take(&mut self, told: Told, tasks: &mut JoinSet<u64>) {
        match told {
            Told::Welcome(_) => {}
            Told::Policy(policy) => self.policy(policy).await,
            Told::EventsAck(ack) => {
                self.sandbox.acknowledged.send_if_modified(|seq| {
                    let newer = ack.seq > *seq;
                    *seq = ack.seq.max(*seq);
                    newer
                });
            }
            Told::Open(asked) => self.open(asked, tasks).await,
            Told::Data(data) => self.input(data.stream, Input::Data(data.data)).await,
            Told::HalfClose(end) => self.input(end.stream, Input::End).await,
            Told::Resize(size) => {
                self.control(size.stream, Control::Resize(terminal_size(size.cols, size.rows)));
            }
            Told::Signal(signal) => {
                // Numbers that no signal has are dropped; 0 would only probe.
                if let Ok(number @ 1..=64) = i32::try_from(signal.signal) {
                    self.control(signal.stream, Control::Signal(number));
                }
            }
            Told::Close(close) => {
                self.streams.remove(&close.stream);
            }
            Told::Credit(credit) => {
                if let Some(stream) = self.streams.get(&credit.stream) {
                    stream.grant(credit.bytes);
                }
            }
            Told::Stop(_) => {
                tracing::info!("Gateway asks to stop");
                self.sandbox.stop.cancel();
            }
        }
    }

    async fn policy(&self, mut policy: wire::Policy) {
        let result = self.apply(&mut policy);
        let wire::Policy { generation, epoch, digest, .. } = policy;
        let ack = move |digest, error| {
            let ack = wire::PolicyAck { generation, epoch, digest, error };
            frames::frame(Payload::PolicyAck(ack))
        };
        let out = self.out.clone();
        match result {
            Ok(applied) => {
                // What is still being sent must not hold up the session.
                tokio::spawn(async move {
                    let digest = applied.settled().await.to_string();
                    // A session that ended needs no answer: the gateway asks again in the next one.
                    let _ = out.send(ack(digest, String::new())).await;
                });
            }
            Err(error) => {
                let _ = out.send(ack(digest, error)).await;
            }
        }
    }

    fn apply(&self, policy: &mut wire::Policy) -> Result<Applied, String> {
        let announced = match policy.digest.as_str() {
            "" => None,
            text => Some(Digest::parse(text).map_err(|error| error.to_string())?),
        };
        let credentials = credential::from_message(policy).map_err(|error| error.to_string())?;
        let routes = route::from_message(policy).map_err(|error| error.to_string())?;
        let generation = Generation::new(policy.generation);
        let pushed = Pushed { generation, announced, text: &policy.text, credentials, routes };
        let epoch = pushed.credentials.epoch;
        let applied = self.sandbox.policies.apply(pushed, &*self.sandbox.journal);
        if applied.is_ok() && epoch > 0 {
            self.sandbox.main.has_credentials();
        }
        applied.map_err(|refused| refused.to_string())
    }

    async fn open(&mut self, asked: wire::Open, tasks: &mut JoinSet<u64>) {
        let id = asked.stream;
        let (handle, stream) = open(id, self.out.clone());
        let refusal = if self.streams.contains_key(&id) {
            Some("the stream's number is in use")
        } else if self.streams.len() >= limits::STREAMS {
            Some("too many commands run in this sandbox")
        } else {
            None
        };
        if let Some(why) = refusal {
            let _ = stream.out.refuse(why).await;
            return;
        }
        let sandbox = Arc::clone(&self.sandbox);
        match asked.target {
            Some(Target::Exec(exec)) => {
                tasks.spawn(async move {
                    exec::serve(&sandbox, exec, stream).await;
                    id
                });
            }
            Some(Target::Attach(attach)) => {
                tasks.spawn(async move {
                    attach::serve(&sandbox, attach, stream).await;
                    id
                });
            }
            None => {
                let _ = stream.out.refuse("this supervisor does not know such a stream").await;
                return;
            }
        }
        self.streams.insert(id, handle);
    }

    /// Hands input to a stream. A command that does not read holds the session up for a while, and
    /// then loses its client.
    async fn input(&mut self, id: u64, input: Input) {
        let Some(stream) = self.streams.get(&id) else { return };
        let Err(mpsc::error::TrySendError::Full(input)) = stream.input.try_send(input) else {
            return;
        };
        if timeout(limits::INPUT_PATIENCE, stream.input.send(input)).await.is_err() {
            tracing::warn!("Input of a command that does not read is given up");
            self.streams.remove(&id);
        }
    }

    fn control(&self, id: u64, control: Control) {
        if let Some(stream) = self.streams.get(&id)
            && stream.control.try_send(control).is_err()
        {
            tracing::debug!("Control of a stream was dropped");
        }
    }
}
