//! `openshell provider refresh rotate`.

use super::view;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape};
use crate::progress;

/// Renew a credential now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Returns when every running sandbox that has the provider uses the new value, and nothing is sent
with the old one any more.

Examples:
  openshell provider refresh rotate codex --credential-key CODEX_AUTH_ACCESS_TOKEN")]
pub(crate) struct Args {
    /// Provider
    name: String,

    /// Credential: the variable that it is in
    #[arg(long, value_name = "KEY")]
    credential_key: String,

    /// How to show how its renewal stands
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let rotating = client.rotate_credential(&args.name, &args.credential_key);
    let status = progress::while_waiting(context.config, "renewing", rotating).await?;
    match args.output {
        Some(format) => view::show(status, format),
        None => {
            let (key, name) = (escape(&status.credential_key), escape(&status.provider));
            output::print(&format!("renewed `{key}` of `{name}`\n"))?;
            Ok(Exit::OK)
        }
    }
}
