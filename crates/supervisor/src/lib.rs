//! The trusted process of one sandbox.
//!
//! It builds the jail, tells who connects, decides by the policy, keeps the audit log and a session
//! with its gateway, and runs the sandbox's commands. It lives outside of the jail, and ends with
//! it: when it dies, whatever the cause, the kernel ends every process of the jail. [`run`] boots
//! in one thread ([`boot`]), seals itself, and only then starts a runtime ([`life`]). Deliberately
//! absent: any choice of where it runs (the driver's), and any state that outlives it but the files
//! in the sandbox's folder.

mod apply;
mod binaries;
mod boot;
mod bypass;
mod callers;
mod capture;
mod config;
mod copy;
mod environment;
mod host;
mod journal;
mod launched;
mod life;
mod limits;
mod lock;
mod main_command;
mod main_log;
mod output;
mod processes;
mod raise;
mod ready;
mod sandbox;
mod session;
mod status;
mod stdio;
mod trust;
mod view;

pub use boot::{BootError, run};
