//! Everything of a running sandbox that a session works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_types::{SandboxId, SandboxSpec};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::Policies;
use crate::journal::Journal;
use crate::main_command::MainCommand;
use crate::processes::Processes;
use crate::session::Dial;
use crate::status::Status;

/// One running sandbox.
pub(crate) struct Sandbox {
    /// What it is.
    pub(crate) spec: SandboxSpec,
    /// The kernel's boot id.
    pub(crate) boot_id: String,
    /// The environment that every process of it starts with.
    pub(crate) environment: BTreeMap<String, String>,
    /// Its processes.
    pub(crate) processes: Processes,
    /// Its main command.
    pub(crate) main: Arc<MainCommand>,
    /// Its security events.
    pub(crate) journal: Arc<Journal>,
    /// Its policy.
    pub(crate) policies: Policies,
    /// What the gateway is told.
    pub(crate) status: watch::Sender<Status>,
    /// The newest event that the gateway keeps.
    pub(crate) acknowledged: watch::Sender<u64>,
    /// Whether a gateway is connected.
    pub(crate) connected: watch::Sender<bool>,
    /// How many clients are at the main command.
    pub(crate) attached: watch::Sender<usize>,
    /// The way to the gateway.
    pub(crate) dial: Dial,
    /// Cancelled when the sandbox shall end.
    pub(crate) stop: CancellationToken,
    /// Cancelled when all is said and the session shall end.
    pub(crate) leaving: CancellationToken,
}

impl Sandbox {
    /// Its id.
    pub(crate) const fn id(&self) -> &SandboxId {
        &self.spec.id
    }
}
