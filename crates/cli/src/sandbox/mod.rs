//! `openshell sandbox`: make sandboxes, look at them, work in them, delete them.

mod connect;
mod create;
mod delete;
mod exec;
mod get;
mod list;
pub(crate) mod provider;
mod variables;
mod view;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Create sandboxes and work in them
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "sb",
    arg_required_else_help = true,
    after_help = "\
Examples:
  openshell sandbox create --mount . -- make test
  openshell sandbox list
  openshell sandbox exec -n brave-otter -- bash"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Args),
    List(list::Args),
    Get(get::Args),
    Exec(exec::Args),
    Connect(connect::Args),
    Delete(delete::Args),
    Provider(provider::Group),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Create(args) => create::run(args, context).await,
        Verb::List(args) => list::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
        Verb::Exec(args) => exec::run(args, context).await,
        Verb::Connect(args) => connect::run(args, context).await,
        Verb::Delete(args) => delete::run(args, context).await,
        Verb::Provider(group) => provider::run(group, context).await,
    }
}
