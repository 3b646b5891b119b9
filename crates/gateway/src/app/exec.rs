//! Commands in a running sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use openshell_types::SandboxId;
use openshell_wire::session::{self, open::Target};

use super::{App, AppError};
use crate::compose::compose;
use crate::limits::{OPEN_FRAME, SESSION_WAIT};
use crate::session::{Session, Stream};
use crate::store::rows::sandbox::{Desired, Phase, Sandbox};

/// A command that is asked for; texts are checked already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exec {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) workdir: String,
    pub(crate) terminal: Option<(u32, u32)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) login_shell: bool,
}

impl App {
    /// Starts a command.
    pub(crate) async fn exec(&self, sandbox: &Sandbox, exec: Exec) -> Result<Stream, AppError> {
        let not_ready = || Err(AppError::Precondition("sandbox is not ready".into()));
        if sandbox.observed.phase != Phase::Ready || sandbox.desired == Desired::Absent {
            return not_ready();
        }
        let session = self.session(&sandbox.id).await?;
        let mut environment = compose(&self.store, &sandbox.id).await?.environment();
        environment.extend(exec.environment);
        let (cols, rows) = exec.terminal.unwrap_or_default();
        let target = Target::Exec(session::Exec {
            argv: if exec.login_shell { in_login_shell(exec.argv) } else { exec.argv },
            environment: environment.into_iter().collect(),
            workdir: exec.workdir,
            tty: exec.terminal.is_some(),
            cols,
            rows,
            timeout_ms: exec
                .timeout
                .map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1)),
        });
        if target.encoded_len() > OPEN_FRAME {
            return Err(AppError::invalid(
                "command",
                format!("more than {OPEN_FRAME} bytes together with its environment"),
            ));
        }
        Ok(session.open(target).await?)
    }

    /// The session of a sandbox; it may be reconnecting.
    pub(crate) async fn session(&self, id: &SandboxId) -> Result<Session, AppError> {
        self.registry.wait_for_session(id, SESSION_WAIT).await.ok_or_else(|| {
            AppError::Unavailable("the sandbox's supervisor is not connected".into())
        })
    }
}

/// The same command with what a login shell sets up around it. The words stay words.
fn in_login_shell(argv: Vec<String>) -> Vec<String> {
    ["bash", "-lc", "exec \"$@\"", "bash"].into_iter().map(str::to_owned).chain(argv).collect()
}
