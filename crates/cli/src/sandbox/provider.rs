//! `openshell sandbox provider`: what a sandbox may authenticate with.

use clap::Subcommand;
use openshell_types::SandboxName;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};
use crate::progress;
use crate::provider::view;

/// Give providers to a sandbox, and take them away
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Both reach a running sandbox at once: when they return, nothing more is sent with what was taken away.
Commands that run already keep their variables; new ones see the change.

Examples:
  openshell sandbox provider attach brave-otter claude
  openshell sandbox provider list brave-otter"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the providers of a sandbox
    List(List),
    /// Give a provider to a sandbox
    Attach(Pair),
    /// Take a provider from a sandbox
    Detach(Pair),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    #[command(flatten)]
    format: FormatArgs,
}

/// A sandbox and a provider.
#[derive(Debug, clap::Args)]
pub(crate) struct Pair {
    /// Sandbox
    #[arg(value_name = "SANDBOX")]
    sandbox: SandboxName,

    /// Provider
    #[arg(value_name = "PROVIDER")]
    provider: String,
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::List(args) => list(args, context).await,
        Verb::Attach(pair) => attach(pair, context).await,
        Verb::Detach(pair) => detach(pair, context).await,
    }
}

async fn list(args: List, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    let found = client.attached_providers(&name).await?;
    view::show_all(found, args.format.output)
}

/// Attaches.
pub(crate) async fn attach(pair: Pair, context: &Context<'_>) -> Result<Exit, CliError> {
    let (sandbox, provider) = (pair.sandbox.to_string(), pair.provider);
    let client = context.connect().await?;
    let attaching = client.attach_provider(&sandbox, &provider);
    let is_new = progress::while_waiting(context.config, "attaching", attaching).await?;
    let word = if is_new { "attached" } else { "was attached already:" };
    output::print(&format!("{word} `{}` to `{sandbox}`\n", escape(&provider)))?;
    Ok(Exit::OK)
}

/// Detaches.
pub(crate) async fn detach(pair: Pair, context: &Context<'_>) -> Result<Exit, CliError> {
    let (sandbox, provider) = (pair.sandbox.to_string(), pair.provider);
    let client = context.connect().await?;
    let detaching = client.detach_provider(&sandbox, &provider);
    let was_attached = progress::while_waiting(context.config, "detaching", detaching).await?;
    let word = if was_attached { "detached" } else { "was not attached:" };
    output::print(&format!("{word} `{}` from `{sandbox}`\n", escape(&provider)))?;
    Ok(Exit::OK)
}
