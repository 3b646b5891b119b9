//! What is to be reached, or not.

use openshell_types::Port;

use crate::document::{check_path, expand};
use crate::pattern::HostPattern;

/// A host, and what narrows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub host: HostPattern,
    pub port: Option<Port>,
    /// The alternatives of its path; empty: any path.
    pub paths: Vec<String>,
}

impl Target {
    pub fn parse(text: &str) -> Option<Self> {
        let (place, path) = match text.find('/') {
            Some(at) => (text.get(..at)?, text.get(at..)?),
            None => (text, ""),
        };
        let (host, port) = match place.rsplit_once(':') {
            // An IPv6 address without brackets has no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(Port::parse(port)?))
            }
            _ => (place, None),
        };
        let paths = match path {
            "" => Vec::new(),
            path => check_path(path).and_then(|(spelled, _)| expand(&spelled)).ok()?,
        };
        Some(Self { host: HostPattern::parse(host).ok()?, port, paths })
    }
}
