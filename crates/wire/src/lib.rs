//! The protobuf files, their generated code, and conversions both ways.
//!
//! Only rpc edges name a generated type: everything below them works with the types of
//! `openshell-types` and of its own crate.

mod access;
pub mod credential;
mod generated;
pub mod policy;
pub mod profile;
pub mod route;

pub use access::{METHODS, Method, Mode, WorkspaceRole};
pub use generated::openshell::datamodel::v1 as datamodel;
pub use generated::openshell::native::v1 as native;
pub use generated::openshell::options::v1 as options;
pub use generated::openshell::sandbox::v1 as sandbox;
pub use generated::openshell::session::v1 as session;
pub use generated::openshell::v1;

/// The descriptors of all `.proto` files with their imports, encoded.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
