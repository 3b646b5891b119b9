//! The gateway as its clients and supervisors see it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod access;
mod attach;
mod bound;
mod edits;
mod exec;
mod policy;
mod probe;
mod profiles;
mod providers;
mod refresh;
mod route;
mod sandbox;
mod session;
mod support;
