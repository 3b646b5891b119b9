//! `openshell sandbox exec`.

use std::time::Duration;

use openshell_client::ExecOptions;
use openshell_types::SandboxName;

use super::variables;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::terminal::{self, Conversation, Tty};

/// Run a further command in a running sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The exit code is the command's; 124 after --timeout, 125 when we failed, 126 and 127 as a shell.

Examples:
  openshell sandbox exec -n brave-otter -- ls -l
  openshell sandbox exec -- bash                    a shell in the sandbox used last
  tar c src | openshell sandbox exec -- tar x -C /sandbox")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    #[arg(short, long, value_name = "NAME")]
    name: Option<SandboxName>,

    /// Sandbox, without the flag
    #[arg(value_name = "NAME", conflicts_with = "name")]
    named: Option<SandboxName>,

    /// Working directory [default: the sandbox's]
    #[arg(long, value_name = "DIR", default_value = "", hide_default_value = true)]
    workdir: String,

    /// End the command after this many seconds; 0 is never
    #[arg(long, default_value_t = 0, value_name = "SECONDS", hide_default_value = true)]
    timeout: u64,

    /// Variable for the command
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,

    #[command(flatten)]
    tty: Tty,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let environment = variables::environment(&args.env)?;
    let name = context.sandbox(args.name.as_ref().or(args.named.as_ref()))?;
    talk(args, name, environment, context).await.map_err(CliError::into_ours)
}

async fn talk(
    args: Args,
    name: String,
    mut environment: std::collections::HashMap<String, String>,
    context: &Context<'_>,
) -> Result<Exit, CliError> {
    let terminal = args.tty.size(context.config);
    if terminal.is_some() {
        terminal::describe(context.config, &mut environment);
    }
    let client = context.connect().await?;
    let stream = client.exec(ExecOptions {
        sandbox: name.clone(),
        command: args.command,
        workdir: args.workdir,
        environment,
        terminal,
        timeout: (args.timeout > 0).then(|| Duration::from_secs(args.timeout)),
    });
    let earlier = context.remember(&name);
    let ended = terminal::converse(stream, Conversation::exec(), context.config).await;
    if ended.as_ref().is_err_and(CliError::is_before_start) {
        context.take_back(&name, earlier);
    }
    ended
}
