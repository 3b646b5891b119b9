//! `openshell gateway stop`.

use std::time::Duration;

use openshell_client::{Client, ClientError};
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// How long a gateway has to end. It only closes its database.
const DEADLINE: Duration = Duration::from_secs(10);

/// Stop the local gateway; its sandboxes go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The next command that needs a gateway starts one, which finds the sandboxes again.

Examples:
  openshell gateway stop")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    output::print(if stop(context).await? {
        "stopped the gateway; sandboxes go on\n"
    } else {
        "no gateway runs\n"
    })?;
    Ok(Exit::OK)
}

/// Stops the local gateway; `false` when none runs.
pub(super) async fn stop(context: &Context<'_>) -> Result<bool, CliError> {
    let gateway = context.gateway()?;
    if !gateway.is_beside() {
        return Err(CliError::usage(format!("gateway `{}` is not local", gateway.name()))
            .help("stop it where it runs"));
    }
    let client = match Client::connect(&gateway, context.workspace()).await {
        Ok(client) => client,
        Err(ClientError::Unavailable(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match client.shutdown().await {
        // It may be gone before its answer is.
        Ok(()) | Err(ClientError::Unavailable(_) | ClientError::Failed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = async {
        while Client::connect(&gateway, context.workspace()).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(DEADLINE, gone).await.is_err() {
        return Err(CliError::new(Exit::FAILED, "the gateway still answers after 10 s"));
    }
    Ok(true)
}
