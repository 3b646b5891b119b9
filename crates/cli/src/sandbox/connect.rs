//! `openshell sandbox connect`.

use openshell_client::AttachOptions;
use openshell_types::SandboxName;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::terminal::{self, Conversation};

/// Attach to the main command of a sandbox
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "attach",
    after_help = "\
Shows the output that is kept, then what comes. Ctrl-P Ctrl-Q leaves; the command goes on.
The exit code is the main command's, 0 after leaving.

Examples:
  openshell sandbox connect
  openshell sandbox connect brave-otter"
)]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    talk(name, context).await.map_err(CliError::into_ours)
}

async fn talk(name: String, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let stream = client.attach(AttachOptions {
        sandbox: name.clone(),
        hold_stdin: true,
        terminal: terminal::size(context.config),
    });
    let earlier = context.remember(&name);
    let ended = terminal::converse(stream, Conversation::main(&name), context.config).await;
    if ended.as_ref().is_err_and(CliError::is_before_start) {
        context.take_back(&name, earlier);
    }
    ended
}
