//! The tests of the public interface, in one program.
//!
//! `cfg(test)` says to the linter that `unwrap` and indexing are a test's way to fail.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod properties;
