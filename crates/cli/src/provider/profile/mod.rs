//! `openshell provider profile`: the types of providers.

mod delete;
mod export;
mod files;
mod import;
mod lint;
pub(super) mod list;
mod update;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// See which types of providers there are, and add your own
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
A profile says under which variables programs look for a credential, where in a request it stands,
and to which servers it goes. Those that come with OpenShell stay as they are; one of your own may
start from one of them.

Examples:
  openshell provider profile export gitlab > ours.yaml     then change `id` and `host`
  openshell provider profile lint -f ours.yaml
  openshell provider profile import -f ours.yaml"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Args),
    Export(export::Args),
    Import(import::Args),
    Lint(lint::Args),
    Update(update::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::List(args) => list::run(args, context).await,
        Verb::Export(args) => export::run(args, context).await,
        Verb::Import(args) => import::run(args, context).await,
        Verb::Lint(args) => lint::run(args, context),
        Verb::Update(args) => update::run(args, context).await,
        Verb::Delete(args) => delete::run(args, context).await,
    }
}
