//! `openshell gateway`: the control plane on this machine.

mod info;
mod rotate_key;
mod run;
mod stop;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Run, stop and look at the gateway
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "gw",
    arg_required_else_help = true,
    after_help = "\
Examples:
  openshell gateway info
  openshell gateway stop"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(run::Args),
    Stop(stop::Args),
    Info(info::Args),
    RotateKey(rotate_key::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Run(args) => run::run(args, context).await,
        Verb::Stop(args) => stop::run(args, context).await,
        Verb::Info(args) => info::run(args, context).await,
        Verb::RotateKey(args) => rotate_key::run(args, context).await,
    }
}
