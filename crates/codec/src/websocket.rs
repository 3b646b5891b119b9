//! WebSocket as a proxy relays it: the handshake, messages of the client, frames of the server
//! (RFC 6455), and compression (RFC 7692).
//!
//! What a client sends is read to whole, inflated messages, and what the server gets is written
//! anew from them, so that the server reads what was judged. What a server sends passes unchanged,
//! but only in legal frames. Time limits are the caller's; nothing here knows a clock.

mod client;
pub mod encode;
mod extension;
mod frame;
mod inflate;
mod message;
mod server;
#[cfg(test)]
mod tests;
mod upgrade;
mod violation;

pub use client::ClientReader;
pub use extension::Deflate;
pub use message::Message;
pub use server::{Passed, Piece, ServerReader};
pub use upgrade::{Agreed, AnswerError, Upgrade, UpgradeError};
pub use violation::Violation;
