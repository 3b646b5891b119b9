//! Tasks of this repository, run as `cargo xtask TASK`.

mod bench;
mod checks;
mod ci;
mod fuzz;
mod install;
mod mutants;
mod needs;
mod oracle;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the two programs and put them into a folder of the PATH.
    Install(install::Options),
    /// Run every test; name the ones that cannot run here.
    Test(test::Options),
    /// Check layers, sizes, unsafe code, format, lints and licences.
    Ci(ci::Options),
    /// Measure the product beside what it is compared with.
    Bench(bench::Options),
    /// Take one protection at a time out of a copy and expect a test to notice.
    Mutants(mutants::Options),
    /// Compare the compiled policy with an interpreter of its meaning.
    Oracle(oracle::Options),
    /// Let a fuzzer choose what is read and what is asked.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Install(options) => install::install(&options),
        Task::Test(options) => test::test(&options),
        Task::Ci(options) => ci::ci(&options),
        Task::Bench(options) => bench::bench(&options),
        Task::Mutants(options) => mutants::mutants(&options),
        Task::Oracle(options) => oracle::oracle(&options),
        Task::Fuzz(options) => fuzz::fuzz(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
