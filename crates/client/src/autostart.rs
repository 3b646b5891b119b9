//! Starts the local gateway on first use (contract 5).
//!
//! The starter holds a lock beside the socket, so that any number of first uses make one gateway.
//! The gateway gets its own session, `/` as its folder, a cleared environment and a log file, and
//! stays when this program ends.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use openshell_types::WorkspaceName;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use crate::connect::Client;
use crate::error::ClientError;
use crate::layout::Layout;
use crate::limits;
use crate::profile::Gateway;

/// The program that becomes the gateway.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file.
    pub file: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// Connects to the gateway; the local one is started when it does not run. A local gateway of
/// another version than ours is refused.
pub async fn connect(
    gateway: &Gateway,
    workspace: &WorkspaceName,
    layout: &Layout,
    program: &Program,
) -> Result<Client, ClientError> {
    if !matches!(gateway, Gateway::Local { .. }) {
        return Client::connect(gateway, workspace).await;
    }
    match reach(gateway, workspace).await {
        Err(ClientError::Unavailable(_)) => start(gateway, workspace, layout, program).await,
        reached => reached,
    }
}

/// A connection over which a gateway of our version has answered. One that is just ending still
/// accepts connections, but answers none.
async fn reach(gateway: &Gateway, workspace: &WorkspaceName) -> Result<Client, ClientError> {
    let client = Client::connect(gateway, workspace).await?;
    client.require_same_version().await?;
    Ok(client)
}

async fn start(
    gateway: &Gateway,
    workspace: &WorkspaceName,
    layout: &Layout,
    program: &Program,
) -> Result<Client, ClientError> {
    let failed =
        |error: io::Error| ClientError::Start { message: error.to_string(), log: layout.log() };
    let deadline = Instant::now() + limits::START_TIMEOUT;
    private_folder(&layout.run()).map_err(failed)?;
    let lock = lock(&layout.run().join("start.lock"), deadline).await.map_err(failed)?;
    let client = loop {
        // Somebody else may have started it while this one waited for a lock.
        match reach(gateway, workspace).await {
            Err(ClientError::Unavailable(_)) => {}
            reached => break reached?,
        }
        // One that is ending has given up its socket, but not its lock and its database yet.
        if Instant::now() < deadline && is_locked(&layout.lock()) {
            sleep(limits::START_POLL).await;
            continue;
        }
        break run(gateway, workspace, layout, (program, deadline)).await?;
    };
    drop(lock);
    Ok(client)
}

/// Runs the program, and waits until it answers.
async fn run(
    gateway: &Gateway,
    workspace: &WorkspaceName,
    layout: &Layout,
    (program, deadline): (&Program, Instant),
) -> Result<Client, ClientError> {
    let failed =
        |error: io::Error| ClientError::Start { message: error.to_string(), log: layout.log() };
    let (mut child, log_start) = spawn(layout, program).map_err(failed)?;
    loop {
        match reach(gateway, workspace).await {
            Err(ClientError::Unavailable(_)) => {}
            reached => return reached,
        }
        let ended = child.try_wait().map_err(failed)?;
        if ended.is_some() || Instant::now() >= deadline {
            let message = said(&layout.log(), log_start).unwrap_or_else(|| match ended {
                Some(status) => format!("it ended with {status}"),
                None => format!("no answer within {} s", limits::START_TIMEOUT.as_secs()),
            });
            return Err(ClientError::Start { message, log: layout.log() });
        }
        sleep(limits::START_POLL).await;
    }
}

/// Whether a gateway holds the lock of a running one.
fn is_locked(path: &Path) -> bool {
    // It opens nothing that is not there: without the file no gateway has ever run.
    let Ok(file) = OpenOptions::new().write(true).open(path) else { return false };
    let taken = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    matches!(taken, Err(Errno::WOULDBLOCK))
}

/// Starts the program and tells where in the log its words begin.
fn spawn(layout: &Layout, program: &Program) -> io::Result<(Child, u64)> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(layout.log())?;
    let log_start = log.metadata()?.len();
    let child = Command::new(&program.file)
        .args(&program.arguments)
        .env_clear()
        .envs(program.environment.iter().cloned())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok((child, log_start))
}

/// Makes a folder and those above it, for this user alone.
fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // SECURITY: a folder that others can write would let them put their socket in place of ours.
    let meta = fs::symlink_metadata(path)?;
    let private = std::os::unix::fs::MetadataExt::mode(&meta) & 0o077 == 0;
    if !meta.is_dir() || !private {
        let said = format!("`{}` is not a folder for this user alone", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, said));
    }
    Ok(())
}

async fn lock(path: &Path, deadline: Instant) -> io::Result<File> {
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                sleep(limits::START_POLL).await;
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another program is still starting it",
                ));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The last line that a gateway wrote to its log since it was started.
fn said(log: &Path, start: u64) -> Option<String> {
    const ENOUGH: u64 = 16 << 10;
    let mut file = File::open(log).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(ENOUGH)))).ok()?;
    let mut bytes = Vec::new();
    file.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn layout(home: &Path) -> Layout {
        Layout::new(|name| (name == "HOME").then(|| home.as_os_str().to_owned())).unwrap()
    }

    fn shell(script: &str) -> Program {
        Program {
            file: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("ONLY".into(), "this".into())],
        }
    }

    async fn connect_local(layout: &Layout, program: &Program) -> ClientError {
        let gateway = Gateway::Local { socket: layout.socket() };
        connect(&gateway, &WorkspaceName::default_workspace(), layout, program).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_gateway_that_ends_is_reported_with_its_last_words() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let error =
            connect_local(&layout, &shell("echo first; echo the last word >&2; exit 3")).await;
        let ClientError::Start { message, log } = error else { panic!("not a start error") };
        assert_eq!(message, "the last word");
        assert_eq!(log, layout.log());
    }

    #[tokio::test]
    async fn a_gateway_gets_a_cleared_environment_and_the_root_folder() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let error = connect_local(&layout, &shell("echo \"$(pwd) $ONLY $HOME\"")).await;
        let ClientError::Start { message, .. } = error else { panic!("not a start error") };
        assert_eq!(message, "/ this");
    }

    #[tokio::test]
    async fn a_run_folder_that_others_can_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        fs::create_dir_all(layout.run()).unwrap();
        fs::set_permissions(layout.run(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = connect_local(&layout, &shell("exit 0")).await;
        assert!(error.to_string().contains("for this user alone"), "{error}");
    }
}
