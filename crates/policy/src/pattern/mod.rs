//! The little languages inside of a policy: hosts, paths, ports and address ranges.
//!
//! Each has one meaning, wherever it stands.

mod glob;
mod globset;
mod host;
mod network;
pub(crate) mod port_set;
mod ports;

pub use glob::Glob;
pub(crate) use glob::{Piece, escaped};
pub(crate) use globset::{Case, GlobSet, GlobSetBuilder, Spelling};
pub(crate) use host::HostPattern;
pub(crate) use network::{Network, masked};
pub(crate) use ports::PortRange;
