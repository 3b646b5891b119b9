//! The control plane: API, state, lifecycle and sessions. The `openshell` binary starts it.
//!
//! `rpc` decodes, `app` has the rules, `store` the SQL; `session` owns the streams of supervisors,
//! and `reconcile` makes what is the same as what is desired. No agent traffic passes here.

mod app;
mod auth;
mod compose;
mod config;
mod error;
mod limits;
mod listen;
mod names;
mod outbound;
mod paths;
mod reconcile;
mod refresh;
mod rpc;
mod serve;
mod session;
mod store;
mod vault;

pub use config::{GatewayConfig, Settings};
pub use error::GatewayError;
pub use paths::{Environment, Paths};
pub use serve::{MountCheck, Parts, run};
pub use store::StoreError;
pub use vault::{Rotation, rotate_key};

/// The version of this gateway, as clients see it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
