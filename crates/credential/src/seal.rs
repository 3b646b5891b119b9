//! Secrets at rest: envelope encryption with AES-256-GCM.
//!
//! Each secret is sealed with a data key of its own, and that with the key encryption key ([`Kek`]),
//! which is not in the database. Both are bound to a context, the place where the sealed value
//! belongs, so that a value that is moved to another row does not open there. A new [`Kek`] wraps
//! the data keys again and leaves what they sealed as it is.

mod command;
mod file;
mod kek;
mod sealed;
#[cfg(test)]
mod tests;

pub use kek::{Kek, KekError, KekId};
pub use sealed::{SealError, Sealed, rewrap};
