//! The little languages inside of a policy: hosts, paths, ports and address ranges.
//!
//! Each has one meaning, wherever it stands.

mod glob;
mod host;
mod network;
mod ports;

pub(crate) use glob::Glob;
pub(crate) use host::{HostPattern, Label, Wildcard, label_matches};
pub(crate) use network::{Network, masked};
pub(crate) use ports::PortRange;
