//! Renews credentials before they end, and at once when somebody asks.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::Failure;
use crate::app::App;
use crate::limits::{REFRESH_CLAIM, REFRESH_DRAIN, REFRESH_LOOK, REFRESHES};
use crate::store::StoreError;
use crate::store::rows::refresh::Refresh;

/// Which credential: its provider's id, and its variable.
pub(crate) type Key = (String, String);

/// How a renewal ended.
pub(crate) type Outcome = Result<(), Missed>;

/// Why a renewal did not come to its end.
#[derive(Clone, Debug)]
pub(crate) enum Missed {
    /// The server gave nothing.
    Failed(Failure),
    /// It was configured anew or removed meanwhile.
    Superseded,
    /// It is stored, and not in force everywhere.
    NotInForce(String),
    /// The database failed, or the gateway ends.
    Broken,
}

/// Asks the worker.
#[derive(Clone, Debug)]
pub(crate) struct Refreshes(mpsc::UnboundedSender<Order>);

/// What the worker is asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Look what is due.
    Look,
    /// Renew this now.
    Now(Key, oneshot::Sender<Outcome>),
}

impl Refreshes {
    /// The worker's other end. Unbounded: each order answers to a call that waits, or to a stored
    /// change.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Makes the worker look what is due.
    pub(crate) fn look(&self) {
        // A gateway that ends renews nothing; the next one does.
        drop(self.0.send(Order::Look));
    }

    /// Renews a credential now; returns when it is in force. It goes on when the caller does not
    /// wait: what a server gave must be stored.
    pub(crate) async fn now(&self, key: Key) -> Outcome {
        let (answer, answered) = oneshot::channel();
        drop(self.0.send(Order::Now(key, answer)));
        answered.await.unwrap_or(Err(Missed::Broken))
    }
}

/// The one that renews.
pub(crate) struct Worker {
    app: App,
    orders: mpsc::UnboundedReceiver<Order>,
    tasks: JoinSet<(Key, u64, Outcome)>,
    running: HashMap<Key, Running>,
}

/// A renewal that runs.
struct Running {
    /// Of the row that was taken.
    version: u64,
    answers: Answers,
    /// Who asked after it began: a server may have answered before, and they want what comes after.
    next: Answers,
}

type Answers = Vec<oneshot::Sender<Outcome>>;

impl Worker {
    pub(crate) fn new(app: App, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        Self { app, orders, tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Runs until the gateway ends.
    pub(crate) async fn run(mut self) {
        // The lock of the gateway's folder is ours: whoever had taken them is gone.
        if let Err(error) = self.app.store.release_refreshes().await {
            tracing::error!(%error, "Renewals that were taken could not be given up");
        }
        loop {
            let patience = match self.start_due().await {
                Ok(patience) => patience,
                Err(error) => {
                    tracing::error!(%error, "Renewals could not be looked at");
                    REFRESH_LOOK
                }
            };
            tokio::select! {
                () = self.app.shutdown.cancelled() => break,
                Some(order) = self.orders.recv() => match order {
                    Order::Look => {}
                    Order::Now(key, answer) => self.start_now(key, vec![answer]).await,
                },
                Some(done) = self.tasks.join_next() => self.finished(done).await,
                () = sleep(patience) => {}
            }
        }
        // What a server has given already is stored.
        let _ =
            timeout(REFRESH_DRAIN, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    /// Starts what is due, and tells how long nothing more will be.
    async fn start_due(&mut self) -> Result<Duration, StoreError> {
        let now = Timestamp::now().as_millisecond();
        while self.tasks.len() < REFRESHES {
            let taken = self.app.store.claim_refresh(None, now, now.saturating_add(CLAIM)).await?;
            match taken {
                Some(taken) => self.start(taken, Vec::new()),
                None => {
                    let next = self.app.store.next_refresh().await?;
                    let left = next.map(|next| next.saturating_sub(now).max(0));
                    let left =
                        left.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
                    // A machine that slept, or whose clock was set, is late by no more than this.
                    return Ok(left.unwrap_or(REFRESH_LOOK).min(REFRESH_LOOK));
                }
            }
        }
        Ok(REFRESH_LOOK)
    }

    async fn start_now(&mut self, key: Key, answers: Answers) {
        if let Some(running) = self.running.get_mut(&key) {
            return running.next.extend(answers);
        }
        let now = Timestamp::now().as_millisecond();
        let which = Some((key.0.as_str(), key.1.as_str()));
        let missed = match self.app.store.claim_refresh(which, now, now.saturating_add(CLAIM)).await
        {
            Ok(Some(taken)) => return self.start(taken, answers),
            Ok(None) => Missed::Superseded,
            Err(error) => {
                tracing::error!(%error, "A renewal could not be taken");
                Missed::Broken
            }
        };
        tell(answers, &Err(missed));
    }

    fn start(&mut self, taken: Refresh, mut answers: Answers) {
        let key = (taken.provider_id.clone(), taken.variable.clone());
        let version = taken.resource_version;
        // What was configured anew while it ran answers for both.
        if let Some(before) = self.running.remove(&key) {
            answers.extend(before.answers.into_iter().chain(before.next));
        }
        self.running.insert(key.clone(), Running { version, answers, next: Vec::new() });
        let app = self.app.clone();
        self.tasks.spawn(async move { (key, version, app.renew(taken).await) });
    }

    async fn finished(&mut self, done: Result<(Key, u64, Outcome), JoinError>) {
        let (key, version, outcome) = match done {
            Ok(done) => done,
            Err(error) => {
                // Which one it was is unknown: nobody waits on, and the claim ends by itself.
                tracing::error!(%error, "A renewal broke");
                return self.running.clear();
            }
        };
        if self.running.get(&key).is_none_or(|running| running.version != version) {
            return;
        }
        let Some(Running { answers, next, .. }) = self.running.remove(&key) else { return };
        tell(answers, &outcome);
        if !next.is_empty() {
            self.start_now(key, next).await;
        }
    }
}

fn tell(answers: Answers, outcome: &Outcome) {
    for answer in answers {
        // One that does not wait any more needs no answer.
        drop(answer.send(outcome.clone()));
    }
}

/// How long a renewal is its taker's, in milliseconds.
const CLAIM: i64 = REFRESH_CLAIM.as_secs().cast_signed() * 1000;
