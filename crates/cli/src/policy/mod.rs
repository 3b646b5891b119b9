//! `openshell policy`: what a sandbox may reach.

mod diff;
mod explain;
mod file;
mod fmt;
mod get;
mod lint;
mod list;
mod prove;
mod question;
mod rollback;
mod schema;
mod set;
mod source;
mod test;
mod update;

use clap::Subcommand;

pub(crate) use file::PolicyFile;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Set and read the policy of a sandbox, and work on policies
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "pol",
    arg_required_else_help = true,
    after_help = "\
Examples:
  openshell policy set --policy policy.yaml --wait
  openshell policy get brave-otter
  openshell policy lint policy.yaml"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Set(set::Args),
    Update(update::Args),
    Get(get::Args),
    Lint(lint::Args),
    Fmt(fmt::Args),
    Explain(Box<explain::Args>),
    Test(test::Args),
    Diff(diff::Args),
    Prove(prove::Args),
    Schema(schema::Args),
    List(list::Args),
    Rollback(rollback::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Set(args) => set::run(args, context).await,
        Verb::Update(args) => update::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
        Verb::Lint(args) => lint::run(args, context).await,
        Verb::Fmt(args) => fmt::run(args, context).await,
        Verb::Explain(args) => explain::run(*args, context).await,
        Verb::Test(args) => test::run(args, context).await,
        Verb::Diff(args) => diff::run(args, context).await,
        Verb::Prove(args) => prove::run(args, context).await,
        Verb::Schema(schema::Args {}) => schema::run(),
        Verb::List(args) => list::run(args, context).await,
        Verb::Rollback(args) => rollback::run(args, context).await,
    }
}
