//! `openshell inference delete`.

use super::{Which, failed, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress;

/// Take a route away
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Returns when no running sandbox has it any more. A sandbox without its own has its workspace's
again.

Examples:
  openshell inference delete
  openshell inference delete --protocol openai --sandbox brave-otter"
)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = args.which.name()?;
    let client = context.connect().await?;
    let deleting = client.delete_route(name);
    let gone = progress::while_waiting(context.config, "deleting", deleting).await;
    output::print(&view::deleted(&gone.map_err(failed)?, context.workspace()))?;
    Ok(Exit::OK)
}
