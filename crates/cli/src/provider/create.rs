//! `openshell provider create`.

use openshell_client::{ClientError, ProviderValues};

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
    args.check()?;
    let mut config = values::settings(&args.config)?;
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
    let made = client.create_provider((&args.name, &args.kind), values).await.map_err(failed)?;
    match args.output {
        Some(format) => view::show(made, format),
        None => {
            let has = made.credentials.iter().chain(made.config.keys());
            let has = has.map(|key| escape(key)).collect::<Vec<_>>().join(", ");
            let with = if has.is_empty() { String::new() } else { format!(" with {has}") };
            let name = escape(&made.name);
            output::print(&format!("created `{name}`{with}\n"))?;
            if args.runtime_credentials {
                note(&format!(
                    "help: `openshell provider refresh configure {name}` has its values got"
                ));
            }
            Ok(Exit::OK)
        }
    }
}

impl Args {
    /// Refuses a line that says nothing of values, for it is seldom meant.
    fn check(&self) -> Result<(), CliError> {
        let has_source = self.from_existing || self.runtime_credentials;
        if has_source || !self.credential.is_empty() || !self.config.is_empty() {
            return Ok(());
        }
        Err(CliError::usage("no value is given").help(
            "`--from-existing` takes them from here; or name one with `--credential KEY`; \
             `--runtime-credentials` begins without",
        ))
    }
}

/// An error of the call, with the next step where a setting is missing.
fn failed(error: ClientError) -> CliError {
    match &error {
        ClientError::BadInput { message, .. }
            if message.starts_with("config: ") && message.contains(" needs ") =>
        {
            CliError::from(error).help("`--config KEY=VALUE` gives it")
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn values_are_named_or_said_to_come_later() {
        let check = |more: &[&str]| {
            let line = ["create", "--name", "a", "--type", "generic"].iter().chain(more);
            Line::try_parse_from(line).unwrap().args.check()
        };
        let fine: [&[&str]; 4] = [
            &["--from-existing"],
            &["--credential", "KEY"],
            &["--config", "A=b"],
            &["--runtime-credentials"],
        ];
        for more in fine {
            assert!(check(more).is_ok(), "{more:?}");
        }
        let refused = check(&[]).unwrap_err().to_string();
        assert!(refused.contains("--runtime-credentials"), "{refused}");
    }
}
