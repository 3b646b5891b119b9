//! The program as a process.
//!
//! `cfg(test)` says to the linter that `unwrap` and indexing are a test's way to fail.

#[cfg(test)]
mod policy;
#[cfg(test)]
mod profile;
