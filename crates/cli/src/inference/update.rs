//! `openshell inference update`.

use openshell_client::RouteValues;

use super::budget::Budget;
use super::{Which, failed, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress;

/// Change what is named of a route
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell inference update --model claude-opus-4-5
  openshell inference update --protocol openai --binary '/**'   every program may use it again
  openshell inference update --budget bytes=1G --per hour            in place of the one before
  openshell inference update --no-budget")]
pub(crate) struct Args {
    /// Provider whose server answers, with its key
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,

    /// Model that answers, whichever a call names
    #[arg(long)]
    model: Option<String>,

    #[command(flatten)]
    which: Which,

    /// How long the server may be silent, in seconds; 0: ten minutes
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// Only this program may use it, in place of those before
    #[arg(long, value_name = "PATH")]
    binary: Vec<String>,

    #[command(flatten)]
    budget: Budget,

    /// Calls may take any amount again
    #[arg(long, conflicts_with = "budget")]
    no_budget: bool,

    /// Do not ask the server whether it takes the key
    #[arg(long)]
    no_verify: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = args.which.name()?;
    let values = RouteValues {
        provider: args.provider,
        model: args.model,
        idle_seconds: args.timeout,
        binaries: (!args.binary.is_empty()).then_some(args.binary),
        budget: if args.no_budget { Some(None) } else { args.budget.said() },
        no_verify: args.no_verify,
    };
    if values == (RouteValues { no_verify: args.no_verify, ..RouteValues::default() }) {
        return Err(CliError::usage("nothing to change was named")
            .help("`--model NAME` sets another model"));
    }
    let client = context.connect().await?;
    let updating = client.update_route(name, values);
    let change = progress::while_waiting(context.config, "updating", updating).await;
    view::changed(&change.map_err(failed)?, context)
}
