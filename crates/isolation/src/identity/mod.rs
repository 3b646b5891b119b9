//! Who opened a connection: known before it exists, and tied to it by its socket's cookie.
//!
//! The agent's filter hands every `connect` to the **identifier**, a small process of ours outside
//! of the jail ([`spawn`], [`Identifier::attach`]). It takes a copy of the socket, reads which
//! program is calling, tells the supervisor ([`RecordReader`], [`Record`]) and then connects its
//! own copy. At accept the supervisor finds the peer's cookie ([`sock_diag`]) and takes the record
//! of that cookie from its [`Table`], once.
//!
//! No `connect` is ever continued in the kernel. While a call waits for its answer, a sibling
//! thread can swap another socket under the descriptor and rewrite the address; what is connected
//! is therefore the copy that was looked at, to the address that was copied.
//!
//! What an identity is worth: a fact about which program asked. It is not a wall between processes
//! of one user, and a descriptor that is passed on keeps its creator's identity.

mod digests;
mod family;
mod filter;
mod process;
mod record;
mod serve;
mod spawn;
mod sys;
mod table;
mod unix;
mod worker;

pub mod sock_diag;

#[cfg(test)]
mod tests;

pub use record::{Exe, Record, RecordReader};
pub use spawn::{Hashing, Identifier, Ids, JailView, Options, spawn};
pub use table::Table;
