//! What authenticates a sandbox's programs: provider profiles, the placeholders that the jail holds
//! in the place of secrets, how secrets are kept, and where they are put on the wire.
//!
//! No network, no tasks and no clock: who asks passes the time in. The one I/O is that of [`Kek`],
//! the key of the store, which is read from a file or a command.

mod body;
pub mod builtin;
pub mod configured;
mod echo;
mod fill;
mod forms;
mod held;
pub mod limits;
mod misuse;
mod place;
mod placeholder;
pub mod profile;
mod seal;
mod sigv4;
mod tail;
#[cfg(test)]
mod tests;
mod value;

pub use body::BodySearch;
pub use echo::{EchoSearch, Echoes};
pub use fill::{Filled, Kind};
pub use held::{Credentials, Going};
pub use misuse::{Disclosure, Misuse, Place};
pub use place::{Asked, Placed};
pub use placeholder::{Minter, Placeholder, Shape, looks_secret};
pub use profile::{Category, CredentialSpec, Placement, Profile};
pub use seal::{Kek, KekError, KekId, SealError, Sealed, rewrap};
pub use sigv4::Unsignable;
pub use value::{CredentialName, NameError, SecretValue, ValueError};
