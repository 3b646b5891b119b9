//! Who calls, and whether they may.
//!
//! What each method demands is declared once, in the `.proto` files; here it is compared with the
//! caller before anything else looks at a request.

mod layer;
mod peer;

pub(crate) use layer::AuthorizeLayer;
pub(crate) use peer::{overflow_uid, peer_is_ours};

use crate::app::AppError;

/// Who calls, for the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ctx {
    /// Which way the call came.
    pub(crate) channel: Channel,
}

/// Which way a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The Unix socket, from a process of the gateway's own uid and user namespace.
    Unix,
    /// Loopback TLS, with a client certificate of this gateway's own authority.
    Tls,
}

impl Ctx {
    /// What only a person at this machine may ask for.
    pub(crate) fn require_unix(self, denied: &'static str) -> Result<(), AppError> {
        match self.channel {
            Channel::Unix => Ok(()),
            Channel::Tls => Err(AppError::Denied(denied)),
        }
    }
}
