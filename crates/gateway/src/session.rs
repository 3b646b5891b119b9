//! Sessions: the streams over which supervisors report and take orders.
//!
//! A supervisor dials in, proves with its token which sandbox it is, and from then on one task owns
//! its session. Nothing here decides: what was observed goes to the store, and what streams carry
//! goes to whoever opened them.

mod hello;
mod owner;
mod registry;
mod server;
mod stream;

pub(crate) use registry::{OpenError, Registry, Session};
pub(crate) use server::SessionService;
pub(crate) use stream::{Closed, Input, Output, Stream, StreamEvent};
