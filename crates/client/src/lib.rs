//! A typed client of the gateway.
//!
//! It finds the gateway as published clients do, connects over its Unix socket or over TLS, starts
//! the local one on first use, and speaks in values of its own: no caller sees a generated type or
//! a gRPC status. It prints nothing and reads no environment; both are the caller's.

#![forbid(unsafe_code)]

mod attach;
pub mod autostart;
mod connect;
mod error;
mod events;
mod exec;
mod inference;
mod layout;
mod limits;
mod policy;
mod profile;
mod provider;
mod provider_profile;
mod refresh;
mod sandbox;
mod stream;

pub use attach::AttachOptions;
pub use connect::{Client, Driver, Health, Info};
pub use error::{ClientError, Diagnostic, Severity};
pub use events::{AuditLine, AuditLines};
pub use exec::ExecOptions;
pub use inference::{Route, RouteChange, RouteName, RouteValues};
pub use layout::Layout;
pub use policy::{
    Commit, PolicyChange, PolicyEdit, PolicyListed, PolicyRevision, PolicyState, PolicyUpdate,
    SetPolicy, UpdatePolicy,
};
pub use profile::{Choice, Gateway, Tls};
pub use provider::{Provider, ProviderValues};
pub use provider_profile::{ProfileCredential, ProfileFile, ProfileImport, ProviderProfile};
pub use refresh::{NewRefresh, RefreshStatus, RefreshStrategy};
pub use sandbox::{Created, Deletion, ListOptions, NewSandbox, Phase, Sandbox, Selection};
pub use stream::{Channel, Event, Input, Output, Sender, Stream};
