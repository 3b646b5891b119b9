//! `openshell provider profile delete`.

use openshell_client::Deletion;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape};

/// Delete a profile of your own that no provider uses
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  openshell provider profile delete ours"
)]
pub(crate) struct Args {
    /// Type
    id: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let id = escape(&args.id);
    match context.connect().await?.delete_profile(&args.id).await? {
        Deletion::AlreadyAbsent => output::print(&format!("`{id}` was not there\n"))?,
        _ => output::print(&format!("deleted `{id}`\n"))?,
    }
    Ok(Exit::OK)
}
