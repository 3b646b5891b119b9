//! What verbs share: the chosen gateway, the connection to it, and the sandbox used last.

use std::fs;
use std::path::PathBuf;

use openshell_client::autostart::{self, Program};
use openshell_client::{Choice, Client, Gateway, Layout};
use openshell_types::{SandboxName, WorkspaceName};

use crate::args::Global;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::note;
use crate::progress;

/// One command line's surroundings.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The environment.
    pub config: &'a Config,
    global: &'a Global,
}

impl<'a> Context<'a> {
    pub const fn new(global: &'a Global, config: &'a Config) -> Self {
        Self { config, global }
    }

    /// The workspace to work in.
    pub const fn workspace(&self) -> &WorkspaceName {
        &self.global.workspace
    }

    /// How much to say: 0 is the least.
    pub const fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    /// Where the files are.
    pub fn layout(&self) -> Result<Layout, CliError> {
        Layout::new(|name| self.config.variable(name).map(ToOwned::to_owned))
            .map_err(|error| CliError::from(error).help("set `HOME` to the folder of this user"))
    }

    /// The gateway that the flags, the environment and the records choose.
    pub fn gateway(&self) -> Result<Gateway, CliError> {
        let choice = Choice {
            endpoint: self.global.gateway_endpoint.clone().filter(|text| !text.is_empty()),
            name: self.global.gateway.clone().filter(|text| !text.is_empty()),
        };
        Ok(Gateway::choose(&self.layout()?, &choice)?)
    }

    /// Connects, and starts the local gateway when it does not run.
    pub async fn connect(&self) -> Result<Client, CliError> {
        let layout = self.layout()?;
        let gateway = self.gateway()?;
        let program = Program {
            file: self.config.program.clone().ok_or_else(|| {
                CliError::new(Exit::FAILED, "this program's own file cannot be found")
            })?,
            arguments: ["gateway", "run", "--background"].map(Into::into).to_vec(),
            environment: self.config.gateway_environment(),
        };
        let connecting = autostart::connect(&gateway, self.workspace(), &layout, &program);
        Ok(progress::while_waiting(self.config, "connecting to the gateway", connecting).await?)
    }

    /// Connects to a gateway that runs, of whatever version.
    pub async fn connect_running(&self) -> Result<Client, CliError> {
        let gateway = self.gateway()?;
        let connecting = Client::connect(&gateway, self.workspace());
        Ok(progress::while_waiting(self.config, "connecting to the gateway", connecting).await?)
    }

    /// The sandbox that was named, else the one used last in this gateway and workspace.
    pub fn sandbox(&self, named: Option<&SandboxName>) -> Result<String, CliError> {
        if let Some(name) = named {
            return Ok(name.to_string());
        }
        let missing = || {
            CliError::usage("no sandbox is named, and none was used before")
                .help("name one; `openshell sandbox list` shows what there is")
        };
        let path = self.last_sandbox_file()?;
        let text = fs::read_to_string(path).map_err(|_| missing())?;
        let name = SandboxName::parse(text.trim()).map_err(|_| missing())?;
        note(&format!("using sandbox `{name}`, the last one used"));
        Ok(name.to_string())
    }

    /// Remembers a sandbox as the one used last. It is a convenience: a failure is not told.
    /// Returns the one that was remembered before.
    pub fn remember(&self, name: &str) -> Option<String> {
        let path = self.last_sandbox_file().ok()?;
        let earlier = fs::read_to_string(&path).ok();
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        // Written aside and renamed, so that two programs at once leave one whole name.
        let aside = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::write(&aside, format!("{name}\n")).and_then(|()| fs::rename(&aside, &path));
        Some(earlier?.trim().to_owned())
    }

    /// Takes back [`Self::remember`] of a sandbox that turned out not to be there.
    pub fn take_back(&self, name: &str, earlier: Option<String>) {
        self.forget(name);
        if let Some(earlier) = earlier.filter(|earlier| earlier != name) {
            self.remember(&earlier);
        }
    }

    /// Forgets a sandbox that is not there, if it is the one that is remembered.
    pub fn forget(&self, name: &str) {
        let Ok(path) = self.last_sandbox_file() else { return };
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == name) {
            let _ = fs::remove_file(&path);
        }
    }

    fn last_sandbox_file(&self) -> Result<PathBuf, CliError> {
        let gateway = self.gateway()?;
        // An endpoint given by hand has no record; its letters become a file name.
        let folder: String = gateway
            .name()
            .chars()
            .map(
                |c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' },
            )
            .collect();
        let folder = self.layout()?.gateway(&folder);
        let workspace = self.workspace();
        Ok(if *workspace == WorkspaceName::default_workspace() {
            folder.join("last_sandbox")
        } else {
            folder.join(format!("last_sandbox.{workspace}"))
        })
    }
}
