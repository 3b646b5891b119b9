//! The built programs, tried as a person and as an attacker would; the tests are in `tests/`.
//!
//! Here is what they share: a [`Sandbox`] that is driven through the command line, and the
//! [`log`](Sandbox::log) of what it tried; and scripted [`models`] for agents.

pub mod models;

mod audit;
mod both;
mod repository;
mod sandbox;

pub use audit::Log;
pub use both::main;
pub use repository::{Repositories, Repository};
pub use sandbox::Sandbox;

/// Waits up to ten seconds for `found` to answer with something.
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
