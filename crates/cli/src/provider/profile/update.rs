//! `openshell provider profile update`.

use std::path::PathBuf;
use std::slice;

use openshell_client::ClientError;

use super::files;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape};
use crate::progress;
use crate::style::Style;

/// Put another text in the place of a profile of your own
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Returns when all sandboxes with a provider of the type go by it. It is refused when the profile was
changed since it was exported: `resource_version` in the text says from which version it was made.

Examples:
  openshell provider profile export ours > ours.yaml
  openshell provider profile update ours -f ours.yaml")]
pub(crate) struct Args {
    /// Type
    id: String,

    /// The text; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let style = Style::of_error(context.config);
    let file = files::read(&args.file)?;
    let client = context.connect().await?;
    let updating = client.update_profile(&args.id, &file);
    let updated = progress::while_waiting(context.config, "updating", updating).await;
    let (version, findings) = updated.map_err(|error| failed(error, &args.id))?;
    files::tell(slice::from_ref(&file), slice::from_ref(&findings), style)?;
    let Some(version) = version else {
        return Err(CliError::new(Exit::FAILED, "the gateway stored nothing"));
    };
    output::print(&format!("updated `{}` to version {version}\n", escape(&args.id)))?;
    Ok(Exit::OK)
}

/// An error of the call, with the next step where somebody else changed the profile.
fn failed(error: ClientError, id: &str) -> CliError {
    match error {
        ClientError::Conflict(_) => CliError::from(error).help(format!(
            "`openshell provider profile export {}` prints it; make the change in that text",
            escape(id)
        )),
        error => error.into(),
    }
}
