//! DNS messages as a server of a closed list of names sees them (RFC 1035, 6891, 8914).
//!
//! A question is answered from what we know, so no general reader of messages is needed: there is
//! one question, its name is not compressed, and nothing else of the message counts but the OPT
//! record. That leaves no pointer to follow and no record to unpack.

mod answer;
mod query;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use query::{Edns, Query, QueryError, RecordType};
