//! Credentials that are renewed: by whom the server is asked, with what, and when.
//!
//! `material` is what is asked with, `plan` how, `token` asks; `worker` does it before values end.

mod failure;
mod material;
mod plan;
#[cfg(test)]
mod tests;
mod token;
mod worker;

pub(crate) use failure::{Failure, Recovery};
pub(crate) use material::Material;
pub(crate) use plan::{Plan, strategy};
pub(crate) use token::{Token, mint};
pub(crate) use worker::{Missed, Outcome, Refreshes, Worker};
