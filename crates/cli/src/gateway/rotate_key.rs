//! `openshell gateway rotate-key`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use openshell_gateway::{GatewayConfig, GatewayError, rotate_key};
use tokio::time::sleep;

use super::run::{environment, failed};
use super::stop::stop;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// How long the gateway that was stopped has to close its database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Encrypt the stored credentials with another key; sandboxes go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The local gateway is stopped for it; the next command that needs one starts it again. Without
`--from` a new key is made and the old one destroyed. With `key_command` in `gateway.toml`, the
command prints the new key, and `--from` names a file with the old one.

A new key does not help against somebody who has had the old one and the database: then replace the
credentials, too.

Examples:
  openshell gateway rotate-key
  openshell gateway rotate-key --from ~/.local/state/openshell/gateway/credentials.key")]
pub(crate) struct Args {
    /// File with the old key, mode 0600, when it is not the gateway's own
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    stop(context).await?;
    let begun = Instant::now();
    let rotation = loop {
        let config = GatewayConfig::load(&environment(context)).map_err(failed)?;
        match rotate_key(config, args.from.as_deref()).await {
            // It does not answer any more, and still ends.
            Err(GatewayError::AlreadyRuns(_)) if begun.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(20)).await;
            }
            rotated => break rotated.map_err(failed)?,
        }
    };
    output::print(&format!(
        "{} values are encrypted with the key {} now\n",
        rotation.sealed, rotation.key
    ))?;
    if let Some(from) = args.from {
        let from = output::escape(&from.display().to_string());
        output::note(&format!("help: nothing needs `{from}` any more: destroy it"));
    }
    Ok(Exit::OK)
}
