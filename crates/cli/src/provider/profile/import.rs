//! `openshell provider profile import`.

use super::files::{self, Source};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape};
use crate::style::Style;

/// Store profiles of your own: all that are named, or none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell provider profile import -f ours.yaml
  openshell provider profile import --from profiles/")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let style = Style::of_error(context.config);
    let files = args.source.read()?;
    files::tell(&files, &files::check(&files), style)?;
    let imported = context.connect().await?.import_profiles(&files).await?;
    if imported.ids.is_empty() {
        files::tell(&files, &imported.findings, style)?;
        return Err(CliError::new(Exit::FAILED, "the gateway stored nothing"));
    }
    let ids: String =
        imported.ids.iter().map(|id| format!("imported `{}`\n", escape(id))).collect();
    output::print(&ids)?;
    Ok(Exit::OK)
}
