//! What a gateway is started with.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use openshell_driver::launch::Upstream;
use serde::Deserialize;

use crate::{Environment, GatewayError, Paths};

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where things lie.
    pub paths: Paths,
    /// The content of `gateway.toml`.
    pub settings: Settings,
    /// Whether the environment says that this is a sandbox.
    pub in_sandbox: bool,
}

impl GatewayConfig {
    /// Reads the settings of the user with these variables.
    pub fn load(environment: &Environment) -> Result<Self, GatewayError> {
        let paths = Paths::from_environment(environment)?;
        let settings = Settings::read(&paths.gateway_toml())?;
        Ok(Self { paths, settings, in_sandbox: environment.openshell_sandbox.is_some() })
    }
}

/// The content of `gateway.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    upstream: UpstreamSettings,
}

/// The table `[upstream]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UpstreamSettings {
    resolver: Option<SocketAddr>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

impl Settings {
    fn read(path: &Path) -> Result<Self, GatewayError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(GatewayError::io(format!("reading {}", path.display()))(error)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, GatewayError> {
        let wrong = |detail: String| GatewayError::Settings { path: path.to_owned(), detail };
        let settings: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if settings.upstream.ca_file.as_ref().is_some_and(|file| !file.is_absolute()) {
            return Err(wrong("`upstream.ca_file` must be an absolute path".into()));
        }
        if settings.upstream.proxy.is_some() {
            // Ignoring it would send around the proxy what its owner wants to see.
            return Err(wrong("`upstream.proxy`: this version dials upstreams directly".into()));
        }
        Ok(settings)
    }

    /// How supervisors reach upstreams.
    pub fn upstream(&self) -> Upstream {
        let UpstreamSettings { resolver, ca_file, proxy } = self.upstream.clone();
        Upstream { resolver, ca_file, proxy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_upstream_table_and_refuses_what_it_does_not_know() {
        let path = Path::new("/gateway.toml");
        let text = "[upstream]\nresolver = \"192.0.2.1:53\"\nca_file = \"/ca.pem\"\n";
        let upstream = Settings::parse(path, text).expect("settings").upstream();
        assert_eq!(upstream.resolver, "192.0.2.1:53".parse().ok());
        assert_eq!(upstream.ca_file.as_deref(), Some(Path::new("/ca.pem")));
        for bad in [
            "[upstream]\nresolvers = \"x\"",
            "[upstream]\nca_file = \"ca.pem\"",
            "[upstream]\nproxy = \"http://proxy:3128\"",
            "debug = true",
        ] {
            assert!(Settings::parse(path, bad).is_err(), "{bad}");
        }
    }
}
