//! The closed set of security events, and their encoders.

mod event;

pub use event::*;
