//! Compares the compiled policy with the interpreter of its meaning on many generated documents and
//! questions: `cargo xtask oracle`. Or has the interpreter alone answer for one policy.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use openshell_policy_oracle::{
    Answer, Asked, Carried, Connection, Program, Question, Run, Target, World, run,
};

/// How much to compare.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Pairs of a document and a question.
    #[arg(long, default_value_t = 1_000_000)]
    pairs: u64,
    /// Where the choices start; the same seed asks the same.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Prints those of some paths that a GET is allowed for, one a line.
    Allowed(Allowed),
}

#[derive(Args)]
struct Allowed {
    /// The policy's file.
    #[arg(long)]
    policy: PathBuf,
    /// The name of the server.
    #[arg(long)]
    host: String,
    /// Its port.
    #[arg(long)]
    port: u16,
    /// The path of the program that asks.
    #[arg(long)]
    binary: String,
    /// Canonical paths.
    paths: Vec<String>,
}

/// Questions to each document.
const QUESTIONS: u64 = 60;

fn main() -> ExitCode {
    let Options { command, pairs, seed } = Options::parse();
    let done = match command {
        Some(Command::Allowed(asked)) => allowed(&asked),
        None => compare(pairs, seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(pairs: u64, seed: u64) -> Result<(), String> {
    let started = Instant::now();
    let tally = run(Run { pairs, seed, questions: QUESTIONS })
        .map_err(|difference| format!("the two differ (seed {seed}):\n{difference}"))?;
    print!("{tally}");
    println!("no difference in {} s, seed {seed}", started.elapsed().as_secs());
    Ok(())
}

fn allowed(asked: &Allowed) -> Result<(), String> {
    const INODE: u64 = 1;
    let text = std::fs::read_to_string(&asked.policy)
        .map_err(|error| format!("`{}`: {error}", asked.policy.display()))?;
    let world = World::new(&text, &[(&asked.binary, &[INODE])])?;
    let exe = Program { inode: INODE, path: Some(asked.binary.clone()), sha256: None };
    for path in &asked.paths {
        let connection = Connection {
            to: Target::Name(asked.host.clone()),
            port: asked.port,
            exe: exe.clone(),
            ancestors: Vec::new(),
            now: Timestamp::now(),
        };
        let request = Asked {
            method: "GET".to_owned(),
            path: path.clone(),
            query: Vec::new(),
            headers: Vec::new(),
            content: Carried::Plain,
        };
        if let Answer::Allow { .. } = world.answer(&Question::Request(connection, request)) {
            println!("{path}");
        }
    }
    Ok(())
}
