//! `openshell provider refresh status`.

use super::view;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::FormatArgs;

/// Show how the credentials of a provider are renewed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell provider refresh status codex
  openshell provider refresh status codex --credential-key CODEX_AUTH_ACCESS_TOKEN -o json")]
pub(crate) struct Args {
    /// Provider
    name: String,

    /// Only this credential
    #[arg(long, value_name = "KEY")]
    credential_key: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let found = client.refreshes(&args.name, args.credential_key.as_deref()).await?;
    view::show_all(found, args.format.output)
}
