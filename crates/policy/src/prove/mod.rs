//! Answers over all connections and requests: whether one document allows anything that another
//! does not, and whether anything can reach a host.
//!
//! Patterns are regular, so the values of each dimension (host, port, time, program, path, names
//! and values, operations, calls) fall into finitely many classes that no pattern tells apart.
//! One example of each class is asked, dimension by dimension: only the endpoints that match a
//! host have ports, only those that have the port have programs, and connections that the same
//! endpoints cover are asked once. Every answer that names an example was confirmed by both
//! compiled policies. Where there would be too much to ask, the answer is that it is not known.
//!
//! Assumed is that each literal path of a binary is a file of its own, under that path. Compared
//! is what may pass: not budgets, credentials, body sizes or how bytes are rewritten.

mod addresses;
mod automaton;
mod budget;
mod callers;
mod contents;
mod places;
mod requests;
mod sample;
mod search;
mod target;
mod values;
mod world;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use openshell_types::Port;

use crate::decision::Caller;
use crate::document::Document;
use crate::words;

use search::Goal;
use target::Target;
use world::{Side, World};

pub use sample::{SampleCall, SampleContent, SampleOperation, SampleRequest};

/// Whether one document allows nothing that another does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does not.
    Holds,
    /// It does: here is something.
    Fails(Box<CounterExample>),
    /// There was too much to look at.
    Undecided(String),
}

/// Whether anything can reach a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing can.
    Never,
    /// This can.
    Reached(Box<CounterExample>),
    /// There was too much to look at.
    Undecided(String),
}

/// One connection, and perhaps one request over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// The name or address that is dialled.
    pub host: String,
    /// What the name resolves to, where that makes the difference.
    pub resolved: Option<IpAddr>,
    /// The port.
    pub port: Port,
    /// Whether datagrams are meant, not a TCP connection.
    pub udp: bool,
    /// The program and its ancestors.
    pub by: Caller,
    /// When.
    pub at: Timestamp,
    /// The request; without it the connection itself makes the difference.
    pub request: Option<SampleRequest>,
}

/// Whether `b` allows nothing that `a` does not allow: a connection, an address that it may lead
/// to, or a request over it. A denial that is only noted lets a request pass.
pub fn prove_subset(a: &Document, b: &Document) -> Proof {
    let (a, b) = (a.normal(), b.normal());
    let world = World::new(&a, &b);
    match search::run(&world, Goal::Difference, None) {
        Ok(None) => Proof::Holds,
        Ok(Some(found)) => Proof::Fails(Box::new(found)),
        Err(why) => Proof::Undecided(why.0),
    }
}

/// Whether anything can reach `target`: `host`, `host:port`, or either with a path behind it. The
/// host is a name, an address or a wildcard, the path one of a rule. With a provider: through an
/// endpoint that its credentials are bound to. `None` when `target` is no such text. Where requests
/// are not judged every path is reached.
pub fn reaches(document: &Document, target: &str, provider: Option<&str>) -> Option<Reach> {
    let target = Target::parse(target)?;
    let document = match provider {
        None => document.normal(),
        Some(provider) => only_through(document.normal(), provider),
    };
    let nothing = Document::empty();
    let world = World::new(&nothing, &document);
    Some(match search::run(&world, Goal::Passing, Some(&target)) {
        Ok(None) => Reach::Never,
        Ok(Some(found)) => Reach::Reached(Box::new(found)),
        Err(why) => Reach::Undecided(why.0),
    })
}

/// The document where only endpoints with the provider's credentials allow. The others still deny,
/// and still decide for the paths that they are narrowed to.
fn only_through(document: Document, provider: &str) -> Document {
    let mut document = document;
    for rule in &mut document.rules {
        rule.endpoints.retain_mut(|endpoint| {
            let own = endpoint.options.credential_provider.as_deref() == Some(provider);
            if !own {
                endpoint.access = None;
                endpoint.rules.clear();
                endpoint.options.allow_all_known_mcp_methods = false;
            }
            own || endpoint.protocol.judges_requests()
        });
    }
    document
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |path: Option<&str>| path.map_or("a file without a name".to_owned(), words::scalar);
        write!(f, "{}", name(self.by.exe.path.as_deref()))?;
        if let Some(digest) = self.by.exe.sha256 {
            write!(f, " with sha256 {digest}")?;
        }
        for ancestor in &self.by.ancestors {
            write!(f, " started by {}", name(ancestor.path.as_deref()))?;
            if let Some(digest) = ancestor.sha256 {
                write!(f, " with sha256 {digest}")?;
            }
        }
        let carrier = if self.udp { " (UDP)" } else { "" };
        write!(f, " to {} port {}{carrier}", self.host, self.port)?;
        if let Some(address) = self.resolved {
            write!(f, " at {address}")?;
        }
        if let Some(request) = &self.request {
            write!(f, ": {request}")?;
        }
        Ok(())
    }
}

/// The sides, for messages.
const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Bound => "first",
        Side::Tested => "second",
    }
}

#[cfg(test)]
mod tests;
