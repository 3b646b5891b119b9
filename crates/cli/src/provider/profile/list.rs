//! `openshell provider profile list`.

use openshell_client::ProviderProfile;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs};

/// List the types
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell provider profile list
  openshell provider profile list -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Serialize)]
struct View {
    id: String,
    display_name: String,
    description: String,
    source: String,
    resource_version: u64,
    env_vars: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let found = context.connect().await?.provider_profiles().await?;
    let views: Vec<View> = found.into_iter().map(View::from).collect();
    output::show(args.format.output, &views, |views| {
        let rows = views
            .iter()
            .map(|view| [view.id.clone(), view.env_vars.join(", "), view.description.clone()]);
        output::table(["TYPE", "VARIABLES", "FOR"], rows)
    })?;
    Ok(Exit::OK)
}

impl From<ProviderProfile> for View {
    fn from(profile: ProviderProfile) -> Self {
        let mut env_vars: Vec<String> =
            profile.credentials.into_iter().flat_map(|own| own.variables).collect();
        env_vars.dedup();
        let ProviderProfile { id, display_name, description, source, resource_version, .. } =
            profile;
        Self { id, display_name, description, source, resource_version, env_vars }
    }
}
