//! `openshell provider update`.

use openshell_client::ProviderValues;

use super::{values, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape};
use crate::progress;

/// Change values of a provider
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Returns when every running sandbox that has the provider uses the new values, and nothing is sent with
the old ones any more. Programs in it keep their placeholders.

Examples:
  openshell provider update claude --credential ANTHROPIC_API_KEY
  openshell provider update git --credential-expires-at GITHUB_TOKEN=2027-01-31T12:00:00Z")]
pub(crate) struct Args {
    /// Provider
    name: String,

    /// Take the values from this environment
    #[arg(long, conflicts_with = "credential")]
    from_existing: bool,

    /// Take this variable from this environment, or the value as given, which others may see
    #[arg(long, value_name = "KEY[=VALUE]")]
    credential: Vec<String>,

    /// Setting
    #[arg(long, value_name = "K=V")]
    config: Vec<String>,

    /// When a value ends to be good: RFC 3339 or milliseconds since 1970; 0 clears it
    #[arg(long, value_name = "KEY=TIME")]
    credential_expires_at: Vec<String>,

    /// How to show the changed provider
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let mut credentials = values::credentials(&args.credential, context.config)?;
    let config = values::settings(&args.config)?;
    let expiries = values::expiries(&args.credential_expires_at)?;
    let client = context.connect().await?;
    if args.from_existing {
        let kind = client.provider(&args.name).await?.kind;
        let profiles = client.provider_profiles().await?;
        if let Some(profile) = profiles.iter().find(|profile| profile.id == kind) {
            credentials = values::existing(profile, context.config)?;
        }
    }
    if credentials.is_empty() && config.is_empty() && expiries.is_empty() {
        return Err(CliError::usage("nothing to change was named".to_owned())
            .help("`--credential KEY` sets a new value"));
    }
    let values = ProviderValues { credentials, config, expiries };
    let updating = client.update_provider(&args.name, values);
    let changed = progress::while_waiting(context.config, "updating", updating).await?;
    match args.output {
        Some(format) => view::show(changed, format),
        None => {
            output::print(&format!("updated `{}`\n", escape(&changed.name)))?;
            Ok(Exit::OK)
        }
    }
}
