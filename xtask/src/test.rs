//! `cargo xtask test`: every test, and the name of each one that could not run here.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use clap::Args;

use crate::needs;
use crate::run::{BENCHES, Outcome, cargo, succeed};

/// What a test prints at the start of a line when it cannot run here, before its name and reason.
const SKIPPED: &str = "skipped ";

/// Options of `test`.
#[derive(Args)]
pub struct Options {
    /// First install the programs that the tests run (needs root and apt-get).
    #[arg(long)]
    install: bool,
    /// Run only tests whose name contains this.
    filter: Option<String>,
}

/// Installs what is asked for, then runs the tests.
pub fn test(options: &Options) -> Outcome {
    if options.install {
        needs::install()?;
    }
    let packages = ["--workspace", "--exclude", BENCHES];
    succeed(cargo().args(["build", "--locked", "--bins"]).args(packages))?;
    let mut tests = cargo();
    tests.args(["test", "--locked", "--no-fail-fast"]).args(packages);
    if let Some(filter) = &options.filter {
        tests.args(["--", filter]);
    }
    let mut running = tests
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run cargo test: {error}"))?;
    let mut skipped = Vec::new();
    if let Some(stdout) = running.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            if let Some(name) = line.strip_prefix(SKIPPED) {
                skipped.push(name.to_owned());
            }
        }
    }
    let status = running.wait().map_err(|error| format!("cargo test: {error}"))?;
    for name in &skipped {
        println!("not run here: {name}");
    }
    if !status.success() {
        return Err(format!("tests failed ({status})"));
    }
    if !skipped.is_empty() && env::var_os("CI").is_some() {
        return Err(format!("{} tests could not run, and CI runs them all", skipped.len()));
    }
    Ok(())
}
