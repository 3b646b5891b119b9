//! The command line of OpenShell: one file per verb. It prints and asks; what is decided is
//! decided by the gateway.

#![forbid(unsafe_code)]

mod args;
mod completions;
mod config;
mod context;
mod diagnostics;
mod doctor;
mod error;
mod exit;
mod gateway;
mod inference;
mod logs;
mod output;
mod pages;
mod policy;
mod progress;
mod provider;
mod sandbox;
mod status;
mod style;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use tokio::runtime::{Builder, Runtime};

use args::{Cli, Verb};
pub use config::Config;
use context::Context;
use error::CliError;
use exit::Exit;

/// Runs one command line and tells how the process ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>, config: Config) -> ExitCode {
    let parsed = args::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output is no reason for another exit code.
            let _ = error.print();
            return if error.use_stderr() { Exit::USAGE.into() } else { Exit::OK.into() };
        }
    };
    match run(cli, &config) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print(&config);
            error.exit().into()
        }
    }
}

fn run(cli: Cli, config: &Config) -> Result<Exit, CliError> {
    // A gateway that this command starts outlives it: a pipe or a lock that the caller's shell left
    // open here must not be kept open there.
    openshell_isolation::end_descriptors_at_exec()
        .map_err(|error| CliError::system("inherited descriptors cannot be marked", error))?;
    // A gateway serves many at once; every other verb is one conversation, and one thread starts
    // faster than several.
    let runtime = match &cli.verb {
        Verb::Gateway(gateway::Group { verb: gateway::Verb::Run(_) }) => {
            Builder::new_multi_thread().enable_all().build()
        }
        _ => Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(|error| CliError::system("the runtime cannot be made", error))?;
    let outcome = runtime.block_on(dispatch(cli, config));
    end(runtime);
    outcome
}

/// Does not wait for a write to an output that nobody reads.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn dispatch(cli: Cli, config: &Config) -> Result<Exit, CliError> {
    let context = Context::new(&cli.global, config);
    match cli.verb {
        Verb::Sandbox(group) => sandbox::run(group, &context).await,
        Verb::Policy(group) => policy::run(group, &context).await,
        Verb::Provider(group) => provider::run(group, &context).await,
        Verb::Inference(group) => inference::run(group, &context).await,
        Verb::Logs(args) => logs::run(args, &context).await,
        Verb::Gateway(group) => gateway::run(group, &context).await,
        Verb::Status(args) => status::run(args, &context).await,
        Verb::Doctor(args) => doctor::run(args, &context),
        Verb::Completions(args) => completions::run(&args, &mut io::stdout().lock()),
    }
}
