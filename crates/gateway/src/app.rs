//! The rules: what a call may do, what it means, and what it answers. No SQL and no protobuf
//! services here; messages appear only where they are the stored form.

pub(crate) mod attach;
pub(crate) mod check;
pub(crate) mod error;
pub(crate) mod exec;
pub(crate) mod logs;
pub(crate) mod mounts;
pub(crate) mod page;
pub(crate) mod policy;
mod probe;
pub(crate) mod profile;
pub(crate) mod provider;
pub(crate) mod readiness;
pub(crate) mod refresh;
pub(crate) mod route;
pub(crate) mod sandbox;
pub(crate) mod workspace;

use std::sync::Arc;

use openshell_driver::Driver;
use tokio_util::sync::CancellationToken;

use crate::outbound::Outbound;
use crate::reconcile::Kick;
use crate::refresh::Refreshes;
use crate::session::Registry;
use crate::store::Store;
use crate::vault::Vault;
use crate::{MountCheck, Paths};

pub(crate) use error::AppError;

/// What the rules work with.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) registry: Arc<Registry>,
    pub(crate) kick: Kick,
    pub(crate) refreshes: Refreshes,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) mount_check: MountCheck,
    pub(crate) paths: Paths,
    /// Sends requests of the gateway's own.
    pub(crate) outbound: Outbound,
    /// Whether supervisors reach servers by a proxy, by which requests of the gateway's own do not go.
    pub(crate) is_behind_proxy: bool,
    pub(crate) shutdown: CancellationToken,
}
