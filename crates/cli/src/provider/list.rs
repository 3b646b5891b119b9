//! `openshell provider list`.

use openshell_client::Selection;

use super::view;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};

/// List providers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell provider list
  openshell provider list --names")]
pub(crate) struct Args {
    /// At most this many
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,

    /// Leave out this many of the first
    #[arg(long, default_value_t = 0, value_name = "NUMBER", hide_default_value = true)]
    offset: usize,

    /// Print names only, one a line
    #[arg(long, conflicts_with = "output")]
    names: bool,

    /// Those of all workspaces
    #[arg(long)]
    all_workspaces: bool,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let within = if args.all_workspaces { Selection::All } else { Selection::Own };
    let found = context.connect().await?.providers(within).await?;
    let found: Vec<_> = found.into_iter().skip(args.offset).take(args.limit).collect();
    if args.names {
        let names: String = found.iter().map(|one| escape(&one.name) + "\n").collect();
        output::print(&names)?;
        return Ok(Exit::OK);
    }
    view::show_all(found, args.format.output)
}
