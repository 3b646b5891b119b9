//! The policy engine beside two others, on the same rules and the same questions.
//!
//! [`workload`] makes rules and questions, each engine's module puts them into that engine's own
//! words, and the two programs ask: `bench-decide` takes times, `bench-heap` counts bytes. The
//! others are written as their manuals advise, and given what helps them: parsed once, inputs made
//! before the clock starts, caches large enough for every pattern.

mod cedar;
mod engine;
mod ours;
mod rego;
pub mod table;
pub mod workload;

pub use engine::{Contender, Engine, agree};

/// What a step ends with when it fails: a text for the person who ran it.
pub type Outcome<T = ()> = Result<T, String>;
