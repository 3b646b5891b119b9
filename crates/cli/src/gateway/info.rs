//! `openshell gateway info`.

use openshell_client::Info;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs};

/// Show what the gateway is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell gateway info
  openshell gateway info -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View {
    name: String,
    gateway_endpoint: String,
    gateway_version: String,
    compute_drivers: Vec<DriverView>,
}

#[derive(Debug, Serialize)]
struct DriverView {
    name: String,
    version: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let gateway = context.gateway()?;
    let info = context.connect_running().await?.info().await?;
    let view = view(gateway.name(), gateway.endpoint(), info);
    output::show(args.format.output, &view, table)?;
    Ok(Exit::OK)
}

fn view(name: &str, gateway_endpoint: String, info: Info) -> View {
    let driver = |driver: openshell_client::Driver| DriverView {
        name: driver.name,
        version: driver.version,
    };
    View {
        name: name.to_owned(),
        gateway_endpoint,
        gateway_version: info.version,
        compute_drivers: info.drivers.into_iter().map(driver).collect(),
    }
}

fn table(view: &View) -> String {
    let drivers: Vec<String> = view
        .compute_drivers
        .iter()
        .map(|driver| format!("{} {}", driver.name, driver.version).trim().to_owned())
        .collect();
    output::fields([
        ("Gateway", view.name.clone()),
        ("Endpoint", view.gateway_endpoint.clone()),
        ("Version", view.gateway_version.clone()),
        ("Drivers", drivers.join(", ")),
    ])
}
