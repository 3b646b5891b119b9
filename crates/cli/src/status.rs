//! `openshell status`: whether the gateway can be reached, and whether it knows us.

use openshell_client::{Client, ClientError, Gateway};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs};

/// Show whether the gateway can be reached
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It starts nothing: a local gateway that does not run is reported as unreachable.
Exit code 0 when the gateway answers, 4 when it does not.

Examples:
  openshell status
  openshell status -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Status {
    gateway: String,
    endpoint: String,
    status: &'static str,
    authentication: &'static str,
    gateway_version: Option<String>,
    client_version: &'static str,
    detail: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let gateway = context.gateway()?;
    let mut status = Status {
        gateway: gateway.name().to_owned(),
        endpoint: gateway.endpoint(),
        status: "Unreachable",
        authentication: "Unverified",
        gateway_version: None,
        client_version: Client::VERSION,
        detail: None,
    };
    let mut exit = Exit::UNAVAILABLE;
    match reach(context).await {
        Ok((client, healthy, version)) => {
            exit = Exit::OK;
            status.status = if healthy { "Healthy" } else { "Unhealthy" };
            status.gateway_version = Some(version);
            status.authentication = match client.info().await {
                // One who may not know was recognised.
                Ok(_) => "Authenticated",
                Err(ClientError::Denied(said)) => {
                    status.detail = Some(said);
                    "Failed"
                }
                Err(_) => "Unverified",
            };
        }
        Err(error) if matches!(gateway, Gateway::Local { .. }) => {
            status.detail = Some(format!("{error}; the next command that needs it starts it"));
        }
        Err(error) => status.detail = Some(error),
    }
    output::show(args.format.output, &status, table)?;
    Ok(exit)
}

async fn reach(context: &Context<'_>) -> Result<(Client, bool, String), String> {
    let gateway = context.gateway().map_err(|error| error.to_string())?;
    let asking = async {
        let client = Client::connect(&gateway, context.workspace()).await?;
        let health = client.health().await?;
        Ok::<_, ClientError>((client, health.healthy, health.version))
    };
    asking.await.map_err(|error| error.to_string())
}

fn table(status: &Status) -> String {
    output::fields([
        ("Gateway", status.gateway.clone()),
        ("Endpoint", status.endpoint.clone()),
        ("Status", status.status.to_owned()),
        ("Authentication", status.authentication.to_owned()),
        ("Gateway version", status.gateway_version.clone().unwrap_or_default()),
        ("Client version", status.client_version.to_owned()),
        ("Detail", status.detail.clone().unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_down_is_shown_with_the_reason() {
        let status = Status {
            gateway: "local".into(),
            endpoint: "unix:///s/gateway.sock".into(),
            status: "Unreachable",
            authentication: "Unverified",
            gateway_version: None,
            client_version: "0.1.0",
            detail: Some("no gateway answers at `/s/gateway.sock`: no such file".into()),
        };
        insta::assert_snapshot!(table(&status));
    }
}
