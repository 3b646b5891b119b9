//! `openshell sandbox delete`.

use openshell_client::{Deletion, ListOptions};
use openshell_types::SandboxName;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, note};
use crate::progress;

/// Delete sandboxes and their files
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Mounted folders are not touched; the sandbox's own files are removed.

Examples:
  openshell sandbox delete brave-otter
  openshell sandbox delete --all"
)]
pub(crate) struct Args {
    /// Sandboxes
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "NAME")]
    names: Vec<SandboxName>,

    /// All sandboxes of the workspace
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let names: Vec<String> = if args.all {
        let all = client.sandboxes(&ListOptions::default()).await?;
        all.into_iter().map(|sandbox| sandbox.name).collect()
    } else {
        args.names.iter().map(ToString::to_string).collect()
    };
    let mut failed = None;
    for name in names {
        context.forget(&name);
        let deleting = client.delete(&name);
        match progress::while_waiting(context.config, &format!("deleting `{name}`"), deleting).await
        {
            Ok(Deletion::Completed) => output::print(&format!("deleted `{name}`\n"))?,
            Ok(Deletion::Accepted) => output::print(&format!("deleting `{name}`\n"))?,
            Ok(Deletion::AlreadyAbsent) => output::print(&format!("`{name}` was not there\n"))?,
            Err(error) => {
                // The others are deleted all the same; the last failure is the exit code.
                let error = CliError::from(error);
                if let Some(earlier) = failed.replace(error) {
                    note(earlier.to_string().trim_end());
                }
            }
        }
    }
    failed.map_or(Ok(Exit::OK), Err)
}
