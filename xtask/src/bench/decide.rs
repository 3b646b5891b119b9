//! The decision itself, beside other engines. They are heavy to build, so the program that asks is
//! a package of its own, which is built only here.

use std::path::PathBuf;

use crate::run::{BENCHES, Outcome, cargo, command, succeed};

use super::release_folder;

/// Builds the programs of `benches`, and returns their folder.
pub fn build() -> Outcome<PathBuf> {
    succeed(cargo().args(["build", "--release", "--locked", "--package", BENCHES]))?;
    release_folder()
}

/// Measures; with `smoke` only compares the answers of the engines.
pub fn measure(smoke: bool) -> Outcome {
    let programs = build()?;
    if smoke {
        return succeed(command(programs.join("bench-decide")).arg("--smoke"));
    }
    succeed(&mut command(programs.join("bench-decide")))?;
    succeed(&mut command(programs.join("bench-heap")))
}
