//! What a connection wants: the ways in become one value.
//!
//! `CONNECT` and the address that was dialled say it once for a connection. Requests in absolute
//! form say it one by one; `proxy` takes each for itself.

mod transparent;

use openshell_audit::Way;
use openshell_types::Authority;

pub(crate) use transparent::from_dialled;

/// What a connection wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Where to.
    pub(crate) to: Authority,
    /// By which way.
    pub(crate) way: Way,
    /// SECURITY: C2; bytes behind the head of a `CONNECT` are the tunnel's, and wait here until it
    /// is permitted.
    pub(crate) early: Vec<u8>,
}
