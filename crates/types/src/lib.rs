//! Names, addresses and ids that everything else speaks in, parsed once and valid for ever.
//!
//! A value of these types came through its `parse`, so no later layer checks it again. There is no
//! I/O here, no clock and no randomness; what makes a fresh id passes the random bytes in.

mod budget;
mod credential;
mod digest;
mod file;
mod generation;
mod host;
mod name;
mod proxy;
mod redacted;
mod route;
mod spec;

pub use budget::{CallBudget, CallBudgetError, Period};
pub use credential::{
    Binding, CREDENTIAL, Credential, CredentialSet, Payload, Placement, PlacementError, SigV4,
    SigV4Part,
};
pub use digest::{Digest, DigestError};
pub use file::FileId;
pub use generation::Generation;
pub use host::{Authority, AuthorityError, Host, HostName, HostNameError, Port};
pub use name::{NameError, SandboxId, SandboxName, WorkspaceName};
pub use proxy::{
    ConnectBy, PlainHttp, ProxyException, ProxyExceptionError, ProxyScheme, ProxyUrl, ProxyUrlError,
};
pub use redacted::Redacted;
pub use route::{BaseUrl, BaseUrlError, ModelProtocol, ModelProtocolError, Route};
pub use spec::{Identity, Mount, SandboxSpec, TerminalSize};
