//! Where a supervisor runs: the trait that every place implements.
//!
//! A driver places a supervisor and tells whether it is there. It decides nothing else: the jail,
//! the policy and the session are the supervisor's, the same in every place.

pub mod launch;

use async_trait::async_trait;
use openshell_types::{Redacted, SandboxId, SandboxSpec};
use thiserror::Error;

/// A place where supervisors run.
///
/// All methods are idempotent: a reconciler calls them again after a crash at any point.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The driver's name, such as `native`.
    fn name(&self) -> &'static str;

    /// Makes sure that a supervisor with this placement runs; one that already runs is left alone.
    async fn ensure(&self, placement: &Placement) -> Result<Observed, DriverError>;

    /// Ends the supervisor and with it the jail; the sandbox's files stay.
    async fn stop(&self, id: &SandboxId) -> Result<(), DriverError>;

    /// Ends the supervisor and removes all that the driver keeps for the sandbox.
    async fn delete(&self, id: &SandboxId) -> Result<(), DriverError>;

    /// Whether the supervisor runs.
    async fn observe(&self, id: &SandboxId) -> Result<Observed, DriverError>;
}

/// What a supervisor is started with.
#[derive(Clone, Debug)]
pub struct Placement {
    /// What the sandbox shall be.
    pub spec: SandboxSpec,
    /// The policy's text, already checked.
    pub policy: String,
    /// The generation of that policy.
    pub generation: u64,
    /// Proves to the gateway that a session is this sandbox's. Reaches the supervisor through an
    /// inherited pipe, never argv, environment or a file.
    pub token: Redacted<String>,
}

/// What a driver sees of a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// There is none.
    Absent,
    /// It runs.
    Running {
        /// Its process id, where that means something.
        pid: Option<u32>,
    },
}

/// Why a driver could not do what it was asked.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The host lacks something, or refuses it.
    #[error("{0}")]
    Host(String),
    /// A path, an id or a setting of this sandbox cannot be used.
    #[error("{0}")]
    Spec(String),
    /// Reading or writing the sandbox's files failed.
    #[error("{context}")]
    Io {
        /// What was being done.
        context: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
