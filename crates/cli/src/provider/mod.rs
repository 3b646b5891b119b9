//! `openshell provider`: credentials that sandboxes may use without holding them.

mod create;
mod delete;
mod get;
mod list;
mod profile;
mod refresh;
mod registries;
mod update;
pub(crate) mod values;
pub(crate) mod view;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::sandbox::provider::{self as attached, Pair};

/// Keep credentials that sandboxes use and never hold
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
A sandbox with a provider has a placeholder in each of its variables. It looks like the real value,
which is put in its place outside the sandbox, in requests to the provider's own endpoints only.

Examples:
  openshell provider create --name claude --type claude-code --from-existing
  openshell sandbox create --provider claude -- claude
  openshell provider update claude --credential ANTHROPIC_API_KEY"
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
    Update(update::Args),
    Delete(delete::Args),
    /// Give a provider to a sandbox
    Attach(Pair),
    /// Take a provider from a sandbox
    Detach(Pair),
    Profile(profile::Group),
    Refresh(refresh::Group),
    #[command(hide = true)]
    ListProfiles(profile::list::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Create(args) => create::run(args, context).await,
        Verb::List(args) => list::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
        Verb::Update(args) => update::run(args, context).await,
        Verb::Delete(args) => delete::run(args, context).await,
        Verb::Attach(pair) => attached::attach(pair, context).await,
        Verb::Detach(pair) => attached::detach(pair, context).await,
        Verb::Profile(group) => profile::run(group, context).await,
        Verb::Refresh(group) => refresh::run(group, context).await,
        Verb::ListProfiles(args) => profile::list::run(args, context).await,
    }
}
