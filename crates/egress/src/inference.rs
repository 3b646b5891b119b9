//! Route for inference: whoever asks for a model at `inference.local`, or at a vendor's name that no
//! rule allows, is served here, and the call goes to the backend of its protocol.
//!
//! `visit` takes a connection and reads its requests; `call` makes of each the one that goes to the
//! backend; `backend` dials and keeps the connections there; `answer` is what comes back, byte for
//! byte as it comes; `cost` is what it takes of its route's budget; `record` is the one event of a
//! call. What a call may be, and what of it goes
//! on, is decided in the crate `inference`. No byte of the caller's head leaves the sandbox.

mod answer;
mod backend;
mod call;
mod cost;
mod failure;
mod record;
mod visit;

pub(crate) use backend::Backends;
pub(crate) use visit::{Visit, serve};
