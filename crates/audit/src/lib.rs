//! The closed set of security events, and their encoders.
//!
//! An [`Event`] becomes one line of a sandbox's log through [`Chain::append`]; [`shorthand`] and
//! [`ocsf()`] are other views of the same [`Record`]. There is no I/O and no clock here: who writes
//! the lines passes the time in.

mod bounded;
mod chain;
mod event;
pub mod limits;
mod ocsf;
mod shorthand;

pub use bounded::{bounded, bounded_argv};
pub use chain::{Chain, ChainError, Line, RecordError, Summary, verify};
pub use event::*;
pub use ocsf::ocsf;
pub use shorthand::shorthand;
