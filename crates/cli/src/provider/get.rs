//! `openshell provider get`.

use super::view;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::FormatArgs;

/// Show a provider, without its values
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell provider get claude -o json")]
pub(crate) struct Args {
    /// Provider
    name: String,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let found = context.connect().await?.provider(&args.name).await?;
    view::show(found, args.format.output)
}
