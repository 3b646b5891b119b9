//! The rows, one file per noun. Only here is SQL.

pub(crate) mod policy;
pub(crate) mod profile;
pub(crate) mod provider;
pub(crate) mod refresh;
pub(crate) mod route;
pub(crate) mod sandbox;
mod sealed;
pub(crate) mod setting;
pub(crate) mod workspace;
