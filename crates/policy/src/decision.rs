//! What is asked of a policy, and what it answers.
//!
//! Everything here is a plain value: a decision allocates nothing, and the texts that people read
//! are made from it afterwards, by [`Policy::explain`](crate::Policy::explain).

use std::net::IpAddr;

use openshell_types::{Digest, FileId, HostName, Port};

/// Where a connection wants to go. An address without a name was dialled as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A name that the jail asked our resolver for, or wrote into a proxy request.
    Name(&'a HostName, Port),
    /// An address literal.
    Address(IpAddr, Port),
}

impl Destination<'_> {
    /// The port that is dialled.
    pub const fn port(&self) -> Port {
        match self {
            Self::Name(_, port) | Self::Address(_, port) => *port,
        }
    }
}

/// The program behind a connection, as the kernel knew it at connect(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The running executable.
    pub exe: Program,
    /// Its ancestors within the jail, the parent first.
    pub ancestors: Vec<Program>,
}

/// One executable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The inode that is running.
    pub file: FileId,
    /// Its path within the jail, for globs and for people; `None` when it has none (a memfd, or a
    /// deleted file).
    pub path: Option<Box<str>>,
    /// Digest of the content, when it is known.
    pub sha256: Option<Digest>,
}

/// The answer to one connection. Indexes point into the policy that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A rule allows it.
    Allow(Grant),
    /// Nothing allows it, or a guard forbids it.
    Deny(Denial),
}

/// Which endpoint of which rule allowed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(crate) rule: u32,
    pub(crate) endpoint: u32,
}

/// An endpoint with a `credential_binding` that speaks for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundEndpoint {
    /// The key of its rule.
    pub rule: Box<str>,
    /// Its `path`.
    pub path: Option<Box<str>>,
}

/// Why a connection was denied: the predicate that came closest to holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What failed.
    pub predicate: Predicate,
    /// The endpoint at which it failed, when one came close.
    pub(crate) closest: Option<Grant>,
}

/// A predicate of the decision that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// No rule names this host or address.
    Host,
    /// A rule names the host, but not this port.
    Port,
    /// A rule names host and port, but not this binary.
    Binary,
    /// A rule names the binary's path, but another content digest.
    BinaryDigest,
    /// A rule allowed it until a time that has passed.
    Expired,
    /// The destination is never reachable, whatever the policy says.
    NeverReachable,
}

impl Predicate {
    /// The stable word that stands in denials and audit events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Port => "port",
            Self::Binary => "binary",
            Self::BinaryDigest => "binary_digest",
            Self::Expired => "expired",
            Self::NeverReachable => "never_reachable",
        }
    }
}

/// Why a resolved address may not be dialled under a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRefusal {
    /// Loopback, link-local, metadata, multicast and the like: never reachable.
    NeverReachable(IpAddr),
    /// Private or special, and the matching host is a wildcard.
    NotPublic(IpAddr),
    /// Outside of the endpoint's `allowed_ips`.
    NotListed(IpAddr),
}

impl AddressRefusal {
    /// The stable word that stands in denials and audit events.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NeverReachable(_) => "never_reachable",
            Self::NotPublic(_) => "not_public",
            Self::NotListed(_) => "not_listed",
        }
    }

    /// The address that was refused.
    pub const fn address(&self) -> IpAddr {
        match self {
            Self::NeverReachable(address) | Self::NotPublic(address) | Self::NotListed(address) => {
                *address
            }
        }
    }
}
