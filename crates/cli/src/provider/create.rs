//! `openshell provider create`.

use openshell_client::ProviderValues;

use super::{values, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape};

/// Store credentials under a name
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true),
    after_help = "\
Values are encrypted in the gateway's database and never printed.

Examples:
  openshell provider create --name claude --type claude-code --from-existing
  openshell provider create --name git --type github --credential GITHUB_TOKEN"
)]
pub(crate) struct Args {
    /// Name
    #[arg(long)]
    name: String,

    /// What it is for; `openshell provider profile list` lists the types
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,

    /// Take the values from this environment
    #[arg(long, group = "source")]
    from_existing: bool,

    /// Take this variable from this environment, or the value as given, which others may see
    #[arg(long, value_name = "KEY[=VALUE]", group = "source")]
    credential: Vec<String>,

    /// Setting
    #[arg(long, value_name = "K=V")]
    config: Vec<String>,

    /// How to show the created provider
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let config = values::settings(&args.config)?;
    let mut credentials = values::credentials(&args.credential, context.config)?;
    let client = context.connect().await?;
    if args.from_existing {
        let profiles = client.provider_profiles().await?;
        let known = || profiles.iter().map(|own| own.id.as_str()).collect::<Vec<_>>().join(", ");
        let profile = profiles.iter().find(|profile| profile.id == args.kind).ok_or_else(|| {
            CliError::usage(format!("there is no type `{}`", escape(&args.kind)))
                .help(format!("there are {}", known()))
        })?;
        credentials = values::existing(profile, context.config)?;
    }
    let values = ProviderValues { credentials, config, ..ProviderValues::default() };
    let made = client.create_provider((&args.name, &args.kind), values).await?;
    match args.output {
        Some(format) => view::show(made, format),
        None => {
            let variables = made.credentials.join(", ");
            let name = escape(&made.name);
            output::print(&format!("created `{name}` with {}\n", escape(&variables)))?;
            Ok(Exit::OK)
        }
    }
}
