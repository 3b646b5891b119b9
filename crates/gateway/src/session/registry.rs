//! Which sandbox has a session, and who waits for news of a sandbox.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openshell_types::SandboxId;
use openshell_wire::session::{Policy, gateway_frame::Payload, open::Target};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::stream::{Closed, Stream};
use crate::limits::STREAM_OPEN;

/// The live sessions of a gateway. Its lock is held for look-ups only.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sandboxes: Mutex<HashMap<SandboxId, Entry>>,
}

/// What is known of one sandbox while the gateway runs.
#[derive(Debug)]
struct Entry {
    session: Option<Session>,
    /// Changes with the session, the observed state and the policy's status.
    state: watch::Sender<u64>,
    /// The number of the newest event.
    events: watch::Sender<u64>,
    /// The newest state that the supervisor answered for.
    answered: Option<Answer>,
    /// Attachments that are open, and whether one of them got the exit code.
    attached: usize,
    exit_fetched: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            session: None,
            state: watch::Sender::new(0),
            events: watch::Sender::new(0),
            answered: None,
            attached: 0,
            exit_fetched: false,
        }
    }
}

/// Generation and epoch of what was pushed, and why the supervisor refused it, if it did.
pub(crate) type Answer = ((u64, u64), Option<String>);

/// A handle to one session; the session's task owns the rest.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Tells this session from a later one of the same sandbox.
    pub(super) number: u64,
    pub(super) orders: mpsc::Sender<Order>,
}

/// What a session's owner is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// Open a stream, and answer once the supervisor has.
    Open(Target, oneshot::Sender<Result<Stream, Closed>>),
    /// Send a frame that belongs to no stream.
    Send(Payload),
}

/// Why a stream was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// There is no session, or it ended or refused.
    Closed(Closed),
    /// The supervisor did not answer in time.
    Timeout,
}

impl Session {
    /// Opens a stream.
    pub(crate) async fn open(&self, target: Target) -> Result<Stream, OpenError> {
        let (answer, opened) = oneshot::channel();
        let open = async {
            self.orders.send(Order::Open(target, answer)).await.map_err(|_| Closed::Lost)?;
            opened.await.map_err(|_| Closed::Lost)?
        };
        match timeout(STREAM_OPEN, open).await {
            Ok(result) => result.map_err(OpenError::Closed),
            Err(_) => Err(OpenError::Timeout),
        }
    }

    /// Pushes a policy. Its acknowledgement arrives as a change of state.
    pub(crate) async fn push(&self, policy: Policy) {
        // A session that ended gets the newest policy when it comes back.
        drop(self.orders.send(Order::Send(Payload::Policy(policy))).await);
    }

    /// Asks the supervisor to end the sandbox.
    pub(crate) async fn stop(&self) {
        let stop = Payload::Stop(openshell_wire::session::Stop {});
        drop(self.orders.send(Order::Send(stop)).await);
    }
}

impl Registry {
    /// The live session of a sandbox.
    pub(crate) fn session(&self, id: &SandboxId) -> Option<Session> {
        self.lock().get(id).and_then(|entry| entry.session.clone())
    }

    /// The live session of a sandbox, waiting for one to come.
    pub(crate) async fn wait_for_session(
        &self,
        id: &SandboxId,
        patience: Duration,
    ) -> Option<Session> {
        let mut changes = self.state(id);
        let wait = async {
            loop {
                if let Some(session) = self.session(id) {
                    return Some(session);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(patience, wait).await.ok().flatten()
    }

    /// Changes of a sandbox's state: look again when it changes.
    pub(crate) fn state(&self, id: &SandboxId) -> watch::Receiver<u64> {
        self.lock().entry(id.clone()).or_default().state.subscribe()
    }

    /// The number of a sandbox's newest event, as it changes.
    pub(crate) fn events(&self, id: &SandboxId) -> watch::Receiver<u64> {
        self.lock().entry(id.clone()).or_default().events.subscribe()
    }

    /// Tells those who watch a sandbox to look again.
    pub(crate) fn changed(&self, id: &SandboxId) {
        if let Some(entry) = self.lock().get(id) {
            entry.state.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// The newest state that the supervisor of a sandbox answered for.
    pub(crate) fn answered(&self, id: &SandboxId) -> Option<Answer> {
        self.lock().get(id).and_then(|entry| entry.answered.clone())
    }

    /// Notes an answer of a supervisor's.
    pub(super) fn answer(&self, id: &SandboxId, answer: Answer) {
        let mut sandboxes = self.lock();
        let entry = sandboxes.entry(id.clone()).or_default();
        if entry.answered.as_ref().is_none_or(|known| known.0 <= answer.0) {
            entry.answered = Some(answer);
            entry.state.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Forgets a sandbox that is gone. Those who watch it see their channel end.
    pub(crate) fn forget(&self, id: &SandboxId) {
        self.lock().remove(id);
    }

    /// Counts an attachment until the guard is dropped.
    pub(crate) fn attach(&self, id: &SandboxId) {
        let mut sandboxes = self.lock();
        let entry = sandboxes.entry(id.clone()).or_default();
        entry.attached = entry.attached.saturating_add(1);
    }

    /// Ends the count of an attachment, which did or did not get the exit code.
    pub(crate) fn detach(&self, id: &SandboxId, exit_fetched: bool) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.attached = entry.attached.saturating_sub(1);
            entry.exit_fetched |= exit_fetched;
        }
    }

    /// Whether somebody is attached, and whether somebody got the exit code.
    pub(crate) fn attachments(&self, id: &SandboxId) -> (bool, bool) {
        self.lock().get(id).map_or((false, false), |entry| (entry.attached > 0, entry.exit_fetched))
    }

    /// Makes a session the sandbox's. The one before, if there is one, ends: its supervisor came
    /// back on a new connection before the old one was seen to break.
    pub(super) fn insert(&self, id: &SandboxId, session: Session) {
        let mut sandboxes = self.lock();
        let entry = sandboxes.entry(id.clone()).or_default();
        entry.session = Some(session);
        entry.answered = None;
        entry.state.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Removes a session that ended, unless a later one took its place.
    pub(super) fn remove(&self, id: &SandboxId, number: u64) {
        if let Some(entry) = self.lock().get_mut(id) {
            if entry.session.as_ref().is_some_and(|session| session.number == number) {
                entry.session = None;
            }
            entry.state.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    pub(super) fn saw_event(&self, id: &SandboxId, sequence: u64) {
        if let Some(entry) = self.lock().get(id) {
            entry.events.send_if_modified(|newest| {
                let is_newer = sequence > *newest;
                *newest = sequence.max(*newest);
                is_newer
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, Entry>> {
        // Nothing panics while it is held, and every entry is valid on its own.
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
