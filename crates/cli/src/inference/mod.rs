//! `openshell inference`: which models answer the calls of sandboxes.

mod budget;
mod delete;
mod get;
mod set;
mod update;
mod view;

use clap::Subcommand;
use openshell_client::{ClientError, RouteName};
use openshell_types::{ModelProtocol, ModelProtocolError, SandboxName};

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Say which models answer the calls of sandboxes
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Programs in a sandbox call https://inference.local, or the vendor's own host where no rule of
the policy leads there. The call goes to the server of a provider, with the provider's key and
the model that is set here. The sandbox holds neither a key nor a placeholder.

Examples:
  openshell inference set --provider anthropic --model claude-sonnet-4-5
  openshell inference set --provider local --model qwen2.5-coder:7b --sandbox brave-otter
  openshell inference get"
)]
pub(crate) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Set(set::Args),
    Update(update::Args),
    Get(get::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(group: Group, context: &Context<'_>) -> Result<Exit, CliError> {
    match group.verb {
        Verb::Set(args) => set::run(args, context).await,
        Verb::Update(args) => update::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
        Verb::Delete(args) => delete::run(args, context).await,
    }
}

/// Which route a verb is about.
#[derive(Debug, clap::Args)]
struct Which {
    /// `openai`, `anthropic` or `gemini` [default: the only one there can be]
    #[arg(long, value_parser = protocol)]
    protocol: Option<ModelProtocol>,

    #[command(flatten)]
    whose: Whose,
}

/// Whose routes a verb is about.
#[derive(Debug, clap::Args)]
struct Whose {
    /// Of this sandbox alone [default: of the workspace]
    #[arg(long, value_name = "NAME")]
    sandbox: Option<SandboxName>,

    /// Not there: no program of OpenShell's own calls models
    #[arg(long, hide = true)]
    system: bool,
}

impl Whose {
    fn name(self) -> Result<Option<String>, CliError> {
        if self.system {
            return Err(CliError::usage(
                "there is no `--system` route: nothing in OpenShell calls models by itself, so \
                 there is nothing that such a route would be for",
            )
            .help("leave `--system` out; `--sandbox NAME` sets the route of one sandbox"));
        }
        Ok(self.sandbox.map(|name| name.to_string()))
    }
}

impl Which {
    fn name(self) -> Result<RouteName, CliError> {
        let protocol = self.protocol.map(|protocol| protocol.to_string());
        Ok(RouteName { sandbox: self.whose.name()?, protocol })
    }
}

fn protocol(text: &str) -> Result<ModelProtocol, ModelProtocolError> {
    ModelProtocol::parse(text)
}

/// An error of a call, with the next step where it is one of these verbs'.
fn failed(error: ClientError) -> CliError {
    let help = match &error {
        ClientError::NotFound(what) if what.starts_with("route ") => {
            "`openshell inference get` shows what there is, and `openshell inference set` makes one"
        }
        ClientError::BadInput { message, .. } if message.starts_with("protocol: ") => {
            "`--protocol NAME` names it"
        }
        _ => return error.into(),
    };
    CliError::from(error).help(help)
}
