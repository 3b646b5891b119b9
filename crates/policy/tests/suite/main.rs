//! The tests of the public interface, in one program.
//!
//! `cfg(test)` says to the linter that `unwrap` and indexing are a test's way to fail.

#[cfg(test)]
mod algebra;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod by_case;
#[cfg(test)]
mod by_rule;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod credential_binding;
#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod editor;
#[cfg(test)]
mod explanations;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod prove;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod trials;
