//! `openshell inference get`.

use super::{Whose, failed, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::FormatArgs;

/// Show which models answer, and where
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With `--sandbox` it shows what holds for that sandbox: its own routes, and those of its workspace
for the other protocols.

Examples:
  openshell inference get
  openshell inference get --sandbox brave-otter -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    whose: Whose,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let sandbox = args.whose.name()?;
    let found = context.connect().await?.routes(sandbox.as_deref()).await.map_err(failed)?;
    view::show_all(found, args.format.output)
}
