//! `openshell provider delete`.

use openshell_client::Deletion;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape, note};

/// Delete providers that no sandbox has
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  openshell provider delete claude"
)]
pub(crate) struct Args {
    /// Providers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let mut failed = None;
    for name in &args.names {
        match client.delete_provider(name).await {
            Ok(Deletion::AlreadyAbsent) => {
                output::print(&format!("`{}` was not there\n", escape(name)))?;
            }
            Ok(_) => output::print(&format!("deleted `{}`\n", escape(name)))?,
            Err(error) => {
                // The others are deleted all the same; the last failure is the exit code.
                if let Some(earlier) = failed.replace(CliError::from(error)) {
                    note(earlier.to_string().trim_end());
                }
            }
        }
    }
    failed.map_or(Ok(Exit::OK), Err)
}
