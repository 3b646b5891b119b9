//! `openshell inference set`.

use openshell_client::RouteValues;

use super::budget::Budget;
use super::{Which, failed, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress;

/// Send model calls to a provider
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server is asked first whether it takes the key. Returns when every running sandbox that it
concerns has the route in force. Which server it is says the provider: `provider update --config`
changes it.

Examples:
  openshell inference set --provider anthropic --model claude-sonnet-4-5
  openshell inference set --provider work --model gpt-5 --budget tokens=2M,requests=1000 --per day
  openshell inference set --provider work --model gpt-5 --sandbox brave-otter --binary /usr/bin/node
  openshell provider create --name local --type openai-compatible --credential OPENAI_API_KEY=none \\
      --config OPENAI_BASE_URL=http://host.openshell.internal:11434/v1
  openshell inference set --provider local --model qwen2.5-coder:7b")]
pub(crate) struct Args {
    /// Provider whose server answers, with its key
    #[arg(long, value_name = "NAME")]
    provider: String,

    /// Model that answers, whichever a call names
    #[arg(long)]
    model: String,

    #[command(flatten)]
    which: Which,

    /// How long the server may be silent, in seconds; 0: ten minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    timeout: u32,

    /// Only this program may use it: a path or glob as in a policy [default: every program]
    #[arg(long, value_name = "PATH")]
    binary: Vec<String>,

    #[command(flatten)]
    budget: Budget,

    /// Do not ask the server whether it takes the key
    #[arg(long)]
    no_verify: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = args.which.name()?;
    let values = RouteValues {
        provider: Some(args.provider),
        model: Some(args.model),
        idle_seconds: Some(args.timeout),
        binaries: Some(args.binary),
        budget: args.budget.said(),
        no_verify: args.no_verify,
    };
    let client = context.connect().await?;
    let setting = client.set_route(name, values);
    let change = progress::while_waiting(context.config, "setting", setting).await;
    view::changed(&change.map_err(failed)?, context)
}
