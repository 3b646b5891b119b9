//! The files by which clients find this machine's gateway, in the published form.

use serde::Serialize;

use super::certificates::write_private;
use super::private_folder;
use crate::{GatewayError, Paths};

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    gateway_endpoint: String,
    is_remote: bool,
    gateway_port: u16,
    auth_mode: &'static str,
}

/// The name under which the local gateway is registered.
const NAME: &str = "local";

/// Registers the gateway, and makes it the active one if there is none.
pub(crate) fn register(paths: &Paths, port: u16) -> Result<(), GatewayError> {
    let folder = paths.registration();
    private_folder(&folder)?;
    let metadata = Metadata {
        name: NAME,
        gateway_endpoint: format!("https://127.0.0.1:{port}"),
        is_remote: false,
        gateway_port: port,
        auth_mode: "mtls",
    };
    // Strings and numbers always serialise.
    let text = serde_json::to_string_pretty(&metadata).unwrap_or_default();
    write_private(&folder.join("metadata.json"), &text)?;
    if !paths.active_gateway().exists() {
        write_private(&paths.active_gateway(), NAME)?;
    }
    Ok(())
}
