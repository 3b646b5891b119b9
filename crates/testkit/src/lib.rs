//! The test world, and what tests stand in it with. Nothing here ships.
//!
//! * [`world`] runs a test in namespaces of its own, with an "internet" behind a cable: a DNS
//!   server, public and private addresses, servers that count. It needs no privilege.
//! * [`harness`] runs tests that must be processes of their own (`harness = false`).
//! * [`Product`] drives the built `openshell` with a home of its own.
//! * [`switch_off`] takes a kernel feature away from a child process.

pub mod harness;
pub mod http;
pub mod switch_off;

mod dns;
mod internet;
mod process;
mod product;
mod reexec;
mod serve;
mod tls;
mod world;

pub use dns::{Dns, Question};
pub use process::{Finished, finish};
pub use product::{Product, RunAs};
pub use reexec::{alone, world};
pub use serve::{Connection, Counts, Server};
pub use tls::Flaw;
pub use world::World;
