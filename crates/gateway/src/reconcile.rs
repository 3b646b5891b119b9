//! Makes what is the same as what is desired.
//!
//! Every step is idempotent and takes nothing but a sandbox's id: a crash anywhere is repaired by
//! the next one. Steps run when something asks for them, and for everything from time to time.

mod sandbox;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use openshell_driver::Driver;
use openshell_types::SandboxId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::Paths;
use crate::limits::RECONCILE_EVERY;
use crate::session::Registry;
use crate::store::Store;

/// Asks the reconciler to look at a sandbox now.
#[derive(Clone, Debug)]
pub(crate) struct Kick(mpsc::UnboundedSender<SandboxId>);

impl Kick {
    /// The kick and the reconciler's end of it. Unbounded: each item answers to a stored change,
    /// and the reconciler does nothing but take them.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<SandboxId>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Looks at a sandbox soon.
    pub(crate) fn sandbox(&self, id: &SandboxId) {
        // A gateway that ends repairs nothing; the next one does.
        drop(self.0.send(id.clone()));
    }
}

/// What a step works with.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) paths: Paths,
}

impl Reconciler {
    /// Runs until the gateway ends. Steps that are under way are finished.
    pub(crate) async fn run(
        self,
        mut kicks: mpsc::UnboundedReceiver<SandboxId>,
        shutdown: CancellationToken,
    ) {
        let mut ticks = interval(RECONCILE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = JoinSet::new();
        // Steps of one sandbox never overlap; one that is asked for meanwhile follows.
        let mut busy = HashSet::new();
        let mut again = HashSet::new();
        loop {
            let wanted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(id) = kicks.recv() => vec![id],
                _ = ticks.tick() => self.everything().await,
                Some(done) = running.join_next() => match done {
                    Ok(id) => {
                        busy.remove(&id);
                        if again.remove(&id) { vec![id] } else { Vec::new() }
                    }
                    Err(error) => {
                        // Which step it was is unknown; the next tick looks at everything.
                        tracing::error!(%error, "Reconcile step broke");
                        busy.clear();
                        Vec::new()
                    }
                },
            };
            for id in wanted {
                if busy.insert(id.clone()) {
                    running.spawn(self.clone().step(id));
                } else {
                    again.insert(id);
                }
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// All sandboxes that are known or that left a folder behind.
    async fn everything(&self) -> Vec<SandboxId> {
        let mut ids: HashSet<SandboxId> = match self.store.sandbox_ids().await {
            Ok(ids) => ids.into_iter().collect(),
            Err(error) => {
                tracing::error!(%error, "Sandboxes could not be listed");
                return Vec::new();
            }
        };
        let folders = fs::read_dir(self.paths.sandboxes()).into_iter().flatten().flatten();
        ids.extend(folders.filter_map(|folder| {
            folder.file_name().to_str().and_then(|name| SandboxId::parse(name).ok())
        }));
        ids.into_iter().collect()
    }

    async fn step(self, id: SandboxId) -> SandboxId {
        if let Err(error) = self.sandbox(&id).await {
            tracing::warn!(%id, %error, "Sandbox could not be reconciled");
        }
        id
    }
}
