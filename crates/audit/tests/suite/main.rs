//! The tests of the public interface.
//!
//! `cfg(test)` says to the linter that `unwrap` and indexing are a test's way to fail.

#[cfg(test)]
mod log;
