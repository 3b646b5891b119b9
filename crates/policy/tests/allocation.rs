//! Decisions allocate nothing, and large policies are compiled in little time and memory.
//!
//! `cfg(test)` says to the linter that `unwrap` and indexing are a test's way to fail.

#[cfg(test)]
mod counted;
