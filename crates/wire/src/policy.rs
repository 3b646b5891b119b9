//! Policies as published clients send them, and as text: conversions both ways.
//!
//! The text is what a gateway stores and a supervisor enforces; it alone is judged, by the policy
//! crate. So the way to text drops nothing: what the schema does not know becomes a key that it
//! refuses.

pub(crate) mod message;
pub(crate) mod text;
pub(crate) mod yaml;

pub use message::{PolicyTextError, from_text};
pub use text::to_text;

#[cfg(test)]
mod tests;
