//! What a connection wants: three ways in, one value.

mod connect;
mod forward;
mod proxy;
mod transparent;

use openshell_audit::Way;
use openshell_codec::http1::Body;
use openshell_types::Authority;

pub(crate) use proxy::read_request;
pub(crate) use transparent::from_dialled;

/// What a connection wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Where to.
    pub(crate) to: Authority,
    /// By which way, and what that way brought along.
    pub(crate) opening: Opening,
}

/// What a way in has already taken from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `CONNECT`: bytes behind the head belong to the tunnel.
    Connect {
        /// Those bytes.
        early: Vec<u8>,
    },
    /// One request in absolute form.
    Forward {
        /// The head as the server gets it.
        head: Vec<u8>,
        /// How its body is framed.
        body: Body,
        /// Bytes behind the head.
        early: Vec<u8>,
    },
    /// Nothing was read.
    Transparent,
}

impl Intent {
    /// The way as the audit names it.
    pub(crate) const fn way(&self) -> Way {
        match self.opening {
            Opening::Connect { .. } => Way::Connect,
            Opening::Forward { .. } => Way::Forward,
            Opening::Transparent => Way::Transparent,
        }
    }
}
