//! `cargo xtask oracle`: the compiled policy beside the interpreter of its meaning.

use clap::Args;

use crate::run::{Outcome, cargo, succeed};

/// Options of `oracle`.
#[derive(Args)]
pub struct Options {
    /// What the comparison is told: `--pairs N`, `--seed S`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the comparison for release, for a million pairs take long otherwise, and runs it.
pub fn oracle(options: &Options) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "openshell-policy-oracle", "--"]);
    succeed(command.args(&options.arguments))
}
