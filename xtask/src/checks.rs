//! Checks that no compiler makes.

pub mod layers;
pub mod sizes;
mod sources;
pub mod unsafety;
