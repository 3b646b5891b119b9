//! The native driver: a supervisor is a process of this machine.
//!
//! Owner of the sandboxes' folders and of their blocks of host ids. A running supervisor is known
//! by the lock that it holds in its folder, never by its name; the kernel says who holds it.

mod blocks;
mod error;
mod folder;
mod launch;
mod lock;
mod native;
mod remove;

pub use blocks::DEFAULT_UID_BLOCKS;
pub use native::{Native, NativeConfig, supervisor_beside_executable};
