//! `openshell provider refresh`: credentials that the gateway renews.

mod configure;
mod delete;
mod prompt;
mod rotate;
mod status;
mod view;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Have credentials renewed before they end
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
The gateway asks the provider's token endpoint in time; sandboxes get the new value at once, and
keep their placeholders.

Examples:
  openshell provider refresh configure codex --credential-key CODEX_AUTH_ACCESS_TOKEN \\
      --strategy oauth2-refresh-token --material client_id=app --secret-material-key refresh_token
  openshell provider refresh status codex"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Args),
    Configure(configure::Args),
    Rotate(rotate::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Status(args) => status::run(args, context).await,
        Verb::Configure(args) => configure::run(args, context).await,
        Verb::Rotate(args) => rotate::run(args, context).await,
        Verb::Delete(args) => delete::run(args, context).await,
    }
}
