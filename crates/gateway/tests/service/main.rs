//! The gateway as its clients and supervisors see it.

mod access;
mod attach;
mod exec;
mod policy;
mod sandbox;
mod session;
mod support;
