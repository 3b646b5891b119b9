//! The policy document: text to spanned document to checked policy to decision.

mod decision;

pub use decision::{
    AddressRefusal, Caller, Decision, Denial, Destination, Grant, Predicate, Program,
};
