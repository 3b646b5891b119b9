//! The main command's output and input.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use openshell_driver::launch::file::MAIN_LOG;
use openshell_types::SandboxId;
use openshell_wire::session::{self, open::Target};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::{App, AppError};
use crate::limits::{LEFTOVER, PROVISION_WAIT};
use crate::session::{OpenError, Stream};
use crate::store::rows::sandbox::{Desired, Observed, Phase, Sandbox};

/// An attachment that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attach {
    /// Output from this byte on; all that is kept when unset.
    pub(crate) resume_offset: Option<u64>,
    pub(crate) hold_stdin: bool,
    pub(crate) terminal: Option<(u32, u32)>,
}

/// What an attachment finds.
pub(crate) enum Attached {
    /// The main command runs, or its supervisor still has its output.
    Live(Stream),
    /// It ended, and its supervisor with it. What is left of the output is in a file.
    Ended(Leftover),
}

/// The end of a main command, as its files tell it.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) offset: u64,
    pub(crate) output: Vec<u8>,
    pub(crate) tty: bool,
    pub(crate) observed: Observed,
}

/// Counts as an attachment until it is dropped.
pub(crate) struct AttachGuard {
    app: App,
    id: SandboxId,
    /// Set once the client was given the exit code.
    pub(crate) exit_fetched: bool,
}

impl Drop for AttachGuard {
    fn drop(&mut self) {
        self.app.registry.detach(&self.id, self.exit_fetched);
        self.app.kick.sandbox(&self.id);
    }
}

impl App {
    /// Attaches to the main command. A sandbox that is being made is waited for.
    pub(crate) async fn attach(
        &self,
        sandbox: &Sandbox,
        attach: Attach,
    ) -> Result<(Attached, AttachGuard), AppError> {
        self.registry.attach(&sandbox.id);
        let guard = AttachGuard { app: self.clone(), id: sandbox.id.clone(), exit_fetched: false };
        let attached = self.find_main(&sandbox.id, attach).await?;
        Ok((attached, guard))
    }

    async fn find_main(&self, id: &SandboxId, attach: Attach) -> Result<Attached, AppError> {
        let mut changes = self.registry.state(id);
        let deadline = Instant::now().checked_add(PROVISION_WAIT).unwrap_or_else(Instant::now);
        loop {
            changes.mark_unchanged();
            let sandbox = self.sandbox_by_id(id).await?;
            if sandbox.desired == Desired::Absent {
                return Err(AppError::no_sandbox(sandbox.name.as_str()));
            }
            let phase = sandbox.observed.phase;
            if phase == Phase::Error {
                return Err(AppError::Precondition(failure(&sandbox.observed)));
            }
            // While a main command waits for its first client, the phase is not READY yet.
            if let Some(session) = self.registry.session(id) {
                match session.open(target(attach)).await {
                    Ok(stream) => return Ok(Attached::Live(stream)),
                    // The supervisor ended between our look and the question: look again.
                    Err(OpenError::Closed(crate::session::Closed::Lost)) => {}
                    Err(error) => return Err(error.into()),
                }
            } else if phase == Phase::Completed {
                return self.leftover(sandbox, attach).await;
            }
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(AppError::no_sandbox(sandbox.name.as_str())),
                Err(_) => return Err(AppError::Deadline("making the sandbox", PROVISION_WAIT)),
            }
        }
    }

    async fn leftover(&self, sandbox: Sandbox, attach: Attach) -> Result<Attached, AppError> {
        let folder = self.paths.sandbox(&sandbox.id);
        let read = spawn_blocking(move || read_output(&folder, attach.resume_offset)).await;
        let (offset, output) = read.map_err(|error| AppError::Unavailable(error.to_string()))??;
        Ok(Attached::Ended(Leftover {
            offset,
            output,
            tty: sandbox.spec.terminal.is_some(),
            observed: sandbox.observed,
        }))
    }
}

fn target(attach: Attach) -> Target {
    let (cols, rows) = attach.terminal.unwrap_or_default();
    Target::Attach(session::Attach {
        resume_offset: attach.resume_offset,
        hold_stdin: attach.hold_stdin,
        cols,
        rows,
    })
}

/// Why a sandbox failed, for people.
fn failure(observed: &Observed) -> String {
    if observed.message.is_empty() {
        "the sandbox failed".into()
    } else {
        format!("the sandbox failed: {}", observed.message)
    }
}

/// What main.log still has from an offset on, at most the last [`LEFTOVER`] bytes. Once an older
/// part was dropped, offsets cannot be told any more: somebody who resumes gets nothing twice.
fn read_output(folder: &Path, resume: Option<u64>) -> Result<(u64, Vec<u8>), std::io::Error> {
    let rotated =
        fs::metadata(folder.join(format!("{MAIN_LOG}.1"))).is_ok_and(|older| older.len() > 0);
    if let (Some(offset), true) = (resume, rotated) {
        return Ok((offset, Vec::new()));
    }
    let mut file = match File::open(folder.join(MAIN_LOG)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, Vec::new())),
        Err(error) => return Err(error),
    };
    let start = resume.unwrap_or(0).max(file.metadata()?.len().saturating_sub(LEFTOVER));
    file.seek(SeekFrom::Start(start))?;
    let mut output = Vec::new();
    file.take(LEFTOVER).read_to_end(&mut output)?;
    Ok((start, output))
}
