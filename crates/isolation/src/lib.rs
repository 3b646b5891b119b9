//! The jail: namespaces, root file system, Landlock, seccomp, capture and the identity of callers.
//!
//! [`jail::build`] makes one from a [`JailSpec`] and hands out what the supervisor needs of it: the
//! control socket of the jail's init, its root, its listeners, and a [`Report`] of what is in force
//! as the kernel says it. A jail that lacks a layer is not built. Nothing here knows a policy, a
//! gateway or a secret.

pub mod control;
pub mod identity;
pub mod jail;
pub mod mounts;
pub mod net;
pub mod probe;
pub mod seal;
pub mod seccomp;

mod error;
mod landlock;
mod privileges;
mod report;
mod rootfs;
mod selftest;
mod spec;
mod sys;
mod view;

#[cfg(test)]
mod testing;

pub use error::BuildError;
pub use jail::{Building, Jail, Trial, begin, build};
pub use privileges::drop_privileges;
pub use report::{LandlockReport, ProbeResult, Report, SeccompReport};
pub use spec::{Access, Bind, JailSpec, LandlockMode, Origin, TRUST};
pub use sys::end_descriptors_at_exec;
pub use view::{View, default_binds};
