//! Compares the compiled policy with the interpreter of its meaning on many generated documents and
//! questions: `cargo xtask oracle`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use openshell_policy_oracle::{Run, run};

/// How much to compare.
#[derive(Parser)]
struct Options {
    /// Pairs of a document and a question.
    #[arg(long, default_value_t = 1_000_000)]
    pairs: u64,
    /// Where the choices start; the same seed asks the same.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Questions to each document.
const QUESTIONS: u64 = 60;

fn main() -> ExitCode {
    let started = Instant::now();
    let Options { pairs, seed } = Options::parse();
    match run(Run { pairs, seed, questions: QUESTIONS }) {
        Ok(tally) => {
            print!("{tally}");
            println!("no difference in {} s, seed {seed}", started.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(difference) => {
            eprintln!("the two differ (seed {seed}):\n{difference}");
            ExitCode::FAILURE
        }
    }
}
