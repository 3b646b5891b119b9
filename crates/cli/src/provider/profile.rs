//! `openshell provider profile`: the kinds of providers.

use clap::Subcommand;
use openshell_client::ProviderProfile;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs};

/// See which types of providers there are
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the types
    List(List),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Serialize)]
struct View {
    id: String,
    display_name: String,
    description: String,
    env_vars: Vec<String>,
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    let Verb::List(args) = group.verb;
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
            profile.credentials.into_iter().flat_map(|(variables, _)| variables).collect();
        env_vars.dedup();
        let ProviderProfile { id, display_name, description, .. } = profile;
        Self { id, display_name, description, env_vars }
    }
}
