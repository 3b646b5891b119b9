//! What a gateway is started with.

#[cfg(test)]
mod tests;
mod upstream;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use openshell_driver::launch::Upstream;
use openshell_types::Redacted;
use serde::Deserialize;
use upstream::{Table, UpstreamSettings};

#[cfg(test)]
use crate::limits;
use crate::{Environment, GatewayError, Paths};

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where things lie.
    pub paths: Paths,
    /// The content of `gateway.toml`.
    pub settings: Settings,
    /// What the operator's proxy asks for, `user:password`.
    pub proxy_auth: Option<Redacted<String>>,
    /// Whether the environment says that this is a sandbox.
    pub in_sandbox: bool,
}

impl GatewayConfig {
    /// Reads the settings of the user with these variables.
    pub fn load(environment: &Environment) -> Result<Self, GatewayError> {
        let paths = Paths::from_environment(environment)?;
        let path = paths.gateway_toml();
        let settings = Settings::read(&path)?;
        let proxy_auth = settings.upstream.proxy_auth_file.as_deref().map(upstream::read_auth);
        let proxy_auth =
            proxy_auth.transpose().map_err(|detail| GatewayError::Settings { path, detail })?;
        let in_sandbox = environment.openshell_sandbox.is_some();
        Ok(Self { paths, settings, proxy_auth, in_sandbox })
    }
}

/// The content of `gateway.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    upstream: UpstreamSettings,
    key_command: Option<Vec<String>>,
}

impl Settings {
    /// The command that prints the key of the credentials, if the operator has one.
    pub(crate) fn key_command(&self) -> Option<&[String]> {
        self.key_command.as_deref()
    }
}

/// The table `[credentials]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Credentials {
    key_command: Option<Vec<String>>,
}

impl Credentials {
    /// The command, when there is one.
    fn read(self) -> Result<Option<Vec<String>>, String> {
        match &self.key_command {
            // It runs with the little that a gateway in the background knows: no `PATH`, too.
            Some(argv) if argv.first().is_none_or(|program| !Path::new(program).is_absolute()) => {
                Err("`credentials.key_command` is a list whose first entry is the absolute path of \
                     a program"
                    .to_owned())
            }
            _ => Ok(self.key_command),
        }
    }
}

/// The file as it is written. Not for `Debug`: what was put into it by mistake may be a password.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    upstream: Table,
    credentials: Credentials,
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
        let file: File = toml::from_str(text).map_err(|error| wrong(place(text, &error)))?;
        let key_command = file.credentials.read().map_err(wrong)?;
        Ok(Self { upstream: file.upstream.read().map_err(wrong)?, key_command })
    }

    /// How supervisors reach upstreams.
    pub fn upstream(&self) -> Upstream {
        self.upstream.upstream.clone()
    }
}

/// Where the file is wrong, and what is wrong there.
/// SECURITY: I1; without the line itself and without the value, where a proxy's password may stand.
fn place(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let said = error.message();
    let said = match said.split_once("string \"") {
        Some((kind, rest)) => {
            let expected = rest.rsplit_once(", expected ").map_or("another", |(_, kind)| kind);
            format!("{kind}string, expected {expected}")
        }
        None => said.to_owned(),
    };
    format!("line {line}: {}", said.replace('\n', "; "))
}
