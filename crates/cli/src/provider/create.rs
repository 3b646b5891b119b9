//! `openshell provider create`.

use openshell_client::ProviderValues;

use super::{registries, values, view};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape, note};

/// The type whose hosts and credentials are in the configuration of pip, npm and cargo.
const REGISTRIES: &str = "package-registries";

/// Store credentials under a name
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source"),
    after_help = "\
Values are encrypted in the gateway's database and never printed. For `package-registries` the
configuration of the user's pip, npm and cargo says which servers these are, and what they take.

Examples:
  openshell provider create --name claude --type claude-code --from-existing
  openshell provider create --name git --type github --credential GITHUB_TOKEN
  openshell provider create --name packages --type package-registries --from-existing
  openshell provider create --name own --type openai-compatible \\
      --config OPENAI_BASE_URL=https://models.example.com/v1 --credential OPENAI_API_KEY"
)]
pub(crate) struct Args {
    /// Name
    #[arg(long)]
    name: String,

    /// What it is for; `openshell provider profile list` lists the types
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,

    /// Take the values from this environment, in which the type says where
    #[arg(long, group = "source")]
    from_existing: bool,

    /// Take this variable from this environment, or the value as given, which others may see
    #[arg(long, value_name = "KEY[=VALUE]", group = "source")]
    credential: Vec<String>,

    /// Begin without values: `openshell provider refresh configure` has them got
    #[arg(long, group = "source")]
    runtime_credentials: bool,

    /// Setting
    #[arg(long, value_name = "K=V")]
    config: Vec<String>,

    /// How to show the created provider
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let mut config = values::settings(&args.config)?;
    if !args.from_existing && args.credential.is_empty() && config.is_empty() {
        return Err(CliError::usage("no value is given")
            .help("`--from-existing` takes them from here; or name one with `--credential KEY`"));
    }
    let mut credentials = values::credentials(&args.credential, context.config)?;
    let client = context.connect().await?;
    if args.from_existing {
        let profiles = client.provider_profiles().await?;
        let known = || profiles.iter().map(|own| own.id.as_str()).collect::<Vec<_>>().join(", ");
        let profile = profiles.iter().find(|profile| profile.id == args.kind).ok_or_else(|| {
            CliError::usage(format!("there is no type `{}`", escape(&args.kind)))
                .help(format!("there are {}", known()))
        })?;
        if args.kind == REGISTRIES {
            let found = registries::existing(context.config)?;
            found.notes.iter().for_each(|said| note(said));
            credentials = found.credentials;
            // What is said on the line is meant.
            config = found.config.into_iter().chain(config).collect();
        } else {
            credentials = values::existing(profile, context.config)?;
        }
    }
    let values = ProviderValues { credentials, config, ..ProviderValues::default() };
    let made = client.create_provider((&args.name, &args.kind), values).await?;
    match args.output {
        Some(format) => view::show(made, format),
        None => {
            let has = made.credentials.iter().chain(made.config.keys());
            let has = has.map(|key| escape(key)).collect::<Vec<_>>().join(", ");
            let with = if has.is_empty() { String::new() } else { format!(" with {has}") };
            output::print(&format!("created `{}`{with}\n", escape(&made.name)))?;
            Ok(Exit::OK)
        }
    }
}
