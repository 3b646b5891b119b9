//! `openshell policy`: what a sandbox may reach.

mod file;
mod get;
mod set;

use clap::Subcommand;

pub(crate) use file::PolicyFile;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Set and read the policy of a sandbox
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "pol",
    arg_required_else_help = true,
    after_help = "\
Examples:
  openshell policy set --policy policy.yaml --wait
  openshell policy get brave-otter"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Set(set::Args),
    Get(get::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Set(args) => set::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
    }
}
