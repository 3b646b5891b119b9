//! The policy document: text to spanned document to checked policy to decision.
//!
//! [`parse`] finds all that is wrong with a text in one pass; [`Policy::compile`] makes of a good
//! one the value that is in force; [`Policy::connect`] and [`Policy::request`] decide. No I/O, no
//! clock, no async: who asks passes the time in, and what the policy's binary paths stand for
//! ([`Policy::bind`]).
//!
//! Documents are values, too: [`Document::apply`] edits one, [`Difference`] compares two,
//! [`prove_subset`] compares what they allow, [`propose`] finds the least edit for an intent, and
//! [`generalise`] the least document for what was observed.

pub mod address;
mod binary;
mod budget;
mod check;
mod compiled;
mod decision;
mod diagnostic;
mod diff;
mod document;
mod explain;
mod explanation;
mod generalise;
pub mod limits;
mod merge;
mod pattern;
mod policy;
mod propose;
mod prove;
mod request;
mod schema;
mod sets;
mod settings;
mod trial;
mod words;
pub mod yaml;

pub use binary::{BinaryTable, Binding};
pub use budget::{Budget, BudgetId, Budgets, CoveringBudget};
pub use decision::{
    AddressRefusal, BoundEndpoint, Caller, Decision, Denial, Destination, Grant, Predicate, Program,
};
pub use diagnostic::{Diagnostic, Severity};
pub use diff::{Change, Difference, Direction, Subject};
pub use document::{
    Document, EndpointHost, EndpointView, Fragment, OperationType, Parsed, Protocol, SigningView,
    parse,
};
pub use explain::Explanation;
pub use explanation::{explanation, page};
pub use generalise::{Generalised, Observed, generalise};
pub use merge::{Applied, Clauses, MergeError, NewRule, Operation, Segment, SyntaxError, Target};
pub use pattern::Glob;
pub use policy::{DEFAULT_TEXT, Policy};
pub use propose::{Outcome, Proposal, propose};
pub use prove::{
    CounterExample, Proof, Reach, SampleCall, SampleContent, SampleOperation, SampleRequest,
    prove_subset, reaches,
};
pub use request::{
    Call, Content, GraphqlOperation, Inspection, McpVersions, Refused, Request, RequestDenial,
    RequestGrant, Verdict,
};
pub use schema::SCHEMA;
pub use settings::{Filesystem, Landlock, Process, RunAs};
pub use trial::{TestOutcome, run_tests};

/// The name under which a sandbox reaches its host's own 127.0.0.1, when a rule declares it
/// exactly.
pub const HOST_ALIAS: &str = "host.openshell.internal";
