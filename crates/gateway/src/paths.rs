//! Where things lie on disk. The one place that knows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openshell_types::SandboxId;

use crate::GatewayError;

/// The variables that say where a user's files are, as values.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `OPENSHELL_SANDBOX`: set within a jail.
    pub openshell_sandbox: Option<OsString>,
}

/// Where things lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    home: Option<PathBuf>,
    config: PathBuf,
    state: PathBuf,
}

impl Paths {
    /// The paths of the user with these variables. Relative ones are ignored, as XDG demands.
    pub fn from_environment(environment: &Environment) -> Result<Self, GatewayError> {
        let absolute = |value: &Option<OsString>| {
            value.as_ref().map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let home = absolute(&environment.home);
        let base = |xdg: &Option<OsString>, below: &str| {
            absolute(xdg)
                .or_else(|| home.as_ref().map(|home| home.join(below)))
                .map(|base| base.join("openshell"))
                .ok_or(GatewayError::NoHome)
        };
        Ok(Self {
            config: base(&environment.xdg_config_home, ".config")?,
            state: base(&environment.xdg_state_home, ".local/state")?,
            home,
        })
    }

    /// The user's home, when there is one.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// What people configure.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What the program keeps.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The gateway's own settings.
    pub fn gateway_toml(&self) -> PathBuf {
        self.config.join("gateway.toml")
    }

    /// The name of the gateway that clients use.
    pub fn active_gateway(&self) -> PathBuf {
        self.config.join("active_gateway")
    }

    /// How clients find this machine's gateway.
    pub fn registration(&self) -> PathBuf {
        self.config.join("gateways/local")
    }

    /// What the gateway keeps.
    pub fn gateway(&self) -> PathBuf {
        self.state.join("gateway")
    }

    /// The gateway's database.
    pub fn database(&self) -> PathBuf {
        self.gateway().join("gateway.db")
    }

    /// What the gateway logs.
    pub fn log(&self) -> PathBuf {
        self.gateway().join("gateway.log")
    }

    /// The key that seals the credentials in the database.
    pub fn credential_key(&self) -> PathBuf {
        self.gateway().join("credentials.key")
    }

    /// The keys of the gateway's own certificates.
    pub fn tls(&self) -> PathBuf {
        self.gateway().join("tls")
    }

    /// Lock and sockets. Not in `XDG_RUNTIME_DIR`, which vanishes at logout.
    pub fn run(&self) -> PathBuf {
        self.gateway().join("run")
    }

    /// Held by the gateway as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.run().join("gateway.lock")
    }

    /// The socket of people's programs.
    pub fn socket(&self) -> PathBuf {
        self.run().join("gateway.sock")
    }

    /// The folder of the supervisors' socket. They get a descriptor of it: as another uid they
    /// could not walk here.
    pub fn session_folder(&self) -> PathBuf {
        self.run().join("session")
    }

    /// The supervisors' socket.
    pub fn session_socket(&self) -> PathBuf {
        self.session_folder().join(openshell_driver::launch::file::SESSION_SOCKET)
    }

    /// The folders of all sandboxes.
    pub fn sandboxes(&self) -> PathBuf {
        self.state.join("sandboxes")
    }

    /// The folder of one sandbox.
    pub fn sandbox(&self, id: &SandboxId) -> PathBuf {
        self.sandboxes().join(id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xdg_variables_win_over_home_and_relative_ones_are_ignored() {
        let environment = Environment {
            home: Some("/home/ada".into()),
            xdg_config_home: Some("relative".into()),
            xdg_state_home: Some("/state".into()),
            openshell_sandbox: None,
        };
        let paths = Paths::from_environment(&environment).expect("home is set");
        assert_eq!(paths.gateway_toml(), Path::new("/home/ada/.config/openshell/gateway.toml"));
        assert_eq!(paths.socket(), Path::new("/state/openshell/gateway/run/gateway.sock"));
        assert!(matches!(
            Paths::from_environment(&Environment::default()),
            Err(GatewayError::NoHome)
        ));
    }
}
