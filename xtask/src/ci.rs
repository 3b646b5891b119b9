//! `cargo xtask ci`: what must hold of the repository itself.

use clap::Args;

use crate::checks::{layers, sizes, unsafety};
use crate::run::{BENCHES, Outcome, cargo, succeed};

/// Options of `ci`.
#[derive(Args)]
pub struct Options {
    /// Leave out the licence check, which needs `cargo deny`.
    #[arg(long)]
    without_licences: bool,
    /// Lint `benches` as well, which takes in the engines that ours is compared with.
    #[arg(long)]
    with_benches: bool,
}

/// Runs every check and names all that fail, not only the first.
pub fn ci(options: &Options) -> Outcome {
    let mut checks: Vec<(&str, Outcome)> = vec![
        ("layers", layers::check()),
        ("sizes", sizes::check()),
        ("unsafe code", unsafety::check()),
        ("format", succeed(cargo().args(["fmt", "--all", "--check"]))),
        ("lints", lint(&["--workspace", "--exclude", BENCHES])),
    ];
    if options.with_benches {
        checks.push(("lints of benches", lint(&["--package", BENCHES])));
    }
    if !options.without_licences {
        checks.push((
            "licences",
            succeed(cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"])),
        ));
    }
    let mut failed = Vec::new();
    for (name, outcome) in checks {
        match outcome {
            Ok(()) => println!("ok      {name}"),
            Err(error) => {
                println!("FAILED  {name}: {error}");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn lint(packages: &[&str]) -> Outcome {
    let mut clippy = cargo();
    clippy.args(["clippy", "--locked"]).args(packages);
    succeed(clippy.args(["--all-targets", "--", "-D", "warnings"]))
}
