//! Credentials: what the agent holds in their place, and the real values that are put on the wire
//! where they are bound to, and nowhere else.
//!
//! No network and no clock: who asks passes the time in.

mod forms;
mod held;
mod misuse;
mod place;
mod placeholder;
mod profile;
mod seal;
#[cfg(test)]
mod tests;

pub use held::Credentials;
pub use misuse::{Misuse, Place};
pub use place::{Asked, Placed};
pub use placeholder::{Minter, Shape};
pub use profile::{Category, CredentialSpec, Profile, ProfileError};
pub use seal::{Kek, SealError};
