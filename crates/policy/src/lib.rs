//! The policy document: text to spanned document to checked policy to decision.
//!
//! [`parse`] finds all that is wrong with a text in one pass; [`Policy::compile`] makes of a good
//! one the value that is in force; [`Policy::connect`] decides. No I/O, no clock, no async: who
//! asks passes the time in, and what the policy's binary paths stand for ([`Policy::bind`]).

pub mod address;
mod binary;
mod check;
mod compile;
mod decision;
mod diagnostic;
mod document;
mod explain;
mod index;
pub mod limits;
mod pattern;
mod policy;
mod settings;

pub use binary::{BinaryTable, Binding};
pub use decision::{
    AddressRefusal, Caller, Decision, Denial, Destination, Grant, Predicate, Program,
};
pub use diagnostic::{Diagnostic, Severity};
pub use document::{Document, Parsed, parse};
pub use explain::Explanation;
pub use policy::{DEFAULT_TEXT, Policy};
pub use settings::{Filesystem, Landlock, Process, RunAs};

/// The name under which a sandbox reaches its host's own 127.0.0.1, when a rule declares it
/// exactly.
pub const HOST_ALIAS: &str = "host.openshell.internal";
