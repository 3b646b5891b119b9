//! TLS ended here: the sandbox's own authority, the leaf certificates that clients see, and the
//! verified connection to the upstream.
//!
//! [`Authority`] is made once for each start of a sandbox and signs what [`Leaves`] hands out for
//! exactly one name; [`accept`] ends a client's handshake whose first bytes were already read;
//! [`Outward`] speaks to the upstream, whose certificate is always verified; [`Remembered`] knows
//! what an upstream chose to speak. Deliberately absent: any decision, and any way to switch off a
//! verification.

mod alert;
mod alpn;
mod authority;
mod fault;
mod hello;
mod leaf;
mod outward;
mod suites;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use alert::alert;
pub use alpn::{Alpn, Protocol, Remembered};
pub use authority::{Authority, AuthorityError};
pub use fault::OutwardError;
pub use hello::{Rewound, accept};
pub use leaf::Leaves;
pub use outward::{Outward, TrustError, Verified, negotiated};

/// All that ending TLS takes, for one sandbox.
pub struct Tls {
    pub(crate) leaves: Leaves,
    pub(crate) outward: Outward,
    pub(crate) remembered: Remembered,
}

impl Tls {
    /// With the sandbox's own authority towards its clients; `outward` leads to upstreams.
    pub fn new(authority: Arc<Authority>, outward: Outward) -> Result<Self, AuthorityError> {
        Ok(Self { leaves: Leaves::new(authority)?, outward, remembered: Remembered::new() })
    }
}
