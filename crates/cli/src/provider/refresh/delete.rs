//! `openshell provider refresh delete`.

use openshell_client::Deletion;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape};

/// Renew a credential no more; it keeps its value until that ends
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What it was renewed with is forgotten.

Examples:
  openshell provider refresh delete codex --credential-key CODEX_AUTH_ACCESS_TOKEN")]
pub(crate) struct Args {
    /// Provider
    name: String,

    /// Credential: the variable that it is in
    #[arg(long, value_name = "KEY")]
    credential_key: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let client = context.connect().await?;
    let (key, name) = (escape(&args.credential_key), escape(&args.name));
    match client.delete_refresh(&args.name, &args.credential_key).await? {
        Deletion::AlreadyAbsent => {
            output::print(&format!("`{key}` of `{name}` was not renewed\n"))?;
        }
        _ => output::print(&format!("`{key}` of `{name}` is renewed no more\n"))?,
    }
    Ok(Exit::OK)
}
