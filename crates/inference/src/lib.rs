//! Route for inference: which requests are calls of models, and what goes to the backend in their
//! place.
//!
//! [`Door`] is where a call came in, [`Operation`] what it asks for, [`Routes`] the backends, and
//! [`Outgoing`] the request that a backend gets: written anew, with nothing of the caller's but
//! what is on a list, and with the route's credential and model. [`Observer`] reads how many tokens
//! an answer cost. Deliberately absent: I/O and a clock; `egress` serves calls and dials backends.

mod door;
mod json;
mod limits;
mod operation;
mod outgoing;
mod refused;
mod routes;
mod usage;

pub use door::Door;
pub use limits::BODY;
pub use operation::Operation;
pub use outgoing::{Call, Outgoing, is_passed_back};
pub use refused::Refused;
pub use routes::Routes;
pub use usage::{Observer, Tokens, estimate};
