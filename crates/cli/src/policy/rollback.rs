//! `openshell policy rollback`.

use openshell_client::ClientError;
use openshell_types::SandboxName;

use super::PolicyFile;
use super::set::{WaitArgs, conclude, difference, set};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::style::Style;

/// Put the policy of an earlier revision in force again, as a new one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes as those of `policy set`.

Examples:
  openshell policy list                      which revisions there are
  openshell policy rollback --to 2 --wait
  openshell policy rollback brave-otter --to 2")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// The revision whose policy it is
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    to: u32,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    let earlier = client.policy(&name, Some(args.to)).await.map_err(|error| match error {
        ClientError::NotFound(_) => {
            CliError::from(error).help("`openshell policy list` shows the revisions that there are")
        }
        error => error.into(),
    })?;
    let file = PolicyFile { name: format!("revision {}", args.to), text: earlier.text };
    let change = set(context, &name, &file, args.wait.commit()).await?;
    output::print(&difference(&change, Style::of_output(context.config)))?;
    conclude(&name, &change, args.wait.commit())
}
