//! `CONNECT host:port`.

use openshell_types::Authority;

use super::{Intent, Opening};

/// SECURITY: C2; what follows the head is the tunnel's, and waits there until it is permitted.
pub(super) const fn from_head(to: Authority, early: Vec<u8>) -> Intent {
    Intent { to, opening: Opening::Connect { early } }
}
