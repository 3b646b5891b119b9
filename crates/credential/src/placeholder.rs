//! What the jail holds in the place of secrets.
//!
//! A placeholder looks like what it stands for, so that programs that check the shape of their keys
//! take it, and has nothing of it. It differs for each sandbox and credential, and ends in a mark by
//! which the gateway that made it knows it again, wherever it turns up.

mod jwt;
mod minter;
mod shape;
#[cfg(test)]
mod tests;

use std::fmt;

pub use minter::Minter;
pub(crate) use minter::{LONGEST_RUN, is_of_token};
pub use shape::{Shape, looks_secret};

/// A text that stands for a secret. It is none itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placeholder(String);

impl Placeholder {
    /// The text that the jail gets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
