//! [`Native`]: supervisors as processes of this machine.

use std::env;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use openshell_driver::launch::{Launch, Upstream};
use openshell_driver::{Driver, DriverError, Observed, Placement};
use openshell_types::{Identity, Redacted, SandboxId};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Signal, getegid, geteuid, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::blocks::{Blocks, Unsynced};
use crate::error::io_error;
use crate::folder::{Folders, last_words, open_log};
use crate::launch::{Start, start};
use crate::lock::{holder, holder_pidfd};
use crate::remove::remove_tree;

/// How long a supervisor may take to end the jail and itself after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long a killed supervisor may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How long the last processes of a jail may go on writing after their supervisor ended.
const REMOVE_DEADLINE: Duration = Duration::from_secs(5);

/// Where the native driver keeps and finds things.
#[derive(Clone, Debug)]
pub struct NativeConfig {
    /// Folder of the sandboxes' folders, `…/openshell/sandboxes`.
    pub state_dir: PathBuf,
    /// Folder that holds the gateway's `session.sock`.
    pub session_dir: PathBuf,
    /// The supervisor's executable; see [`supervisor_beside_executable`].
    pub supervisor_binary: PathBuf,
    /// The host-wide file of uid blocks, used by root only; see
    /// [`DEFAULT_UID_BLOCKS`](crate::DEFAULT_UID_BLOCKS).
    pub uid_blocks: PathBuf,
    /// How upstreams are reached.
    pub upstream: Upstream,
    /// What the proxy of `upstream` asks for, `user:password`.
    pub proxy_auth: Option<Redacted<String>>,
}

/// The native driver.
#[derive(Debug)]
pub struct Native {
    folders: Folders,
    blocks: Blocks,
    config: NativeConfig,
    /// One launch at a time: a second `ensure` of a sandbox finds the lock of the first.
    launching: Mutex<()>,
}

impl Native {
    /// A driver over `config`. Touches nothing yet.
    pub fn new(config: NativeConfig) -> Self {
        Self {
            folders: Folders::new(config.state_dir.clone()),
            blocks: Blocks::new(config.uid_blocks.clone()),
            config,
            launching: Mutex::new(()),
        }
    }

    /// The folder of a sandbox.
    pub fn folder(&self, id: &SandboxId) -> PathBuf {
        self.folders.path(id)
    }

    /// Which host ids stand behind the jail of `id`.
    fn identity(&self, id: &SandboxId) -> Result<(Identity, Option<Unsynced>), DriverError> {
        if geteuid().is_root() {
            // SECURITY: K20: host uid 0 is never mapped into a jail, not even without capability.
            let (identity, unsynced) = self.blocks.allocate(id)?;
            return Ok((identity, Some(unsynced)));
        }
        Ok((Identity::Caller { uid: geteuid().as_raw(), gid: getegid().as_raw() }, None))
    }

    fn observe_now(&self, id: &SandboxId) -> Result<Observed, DriverError> {
        let Some(folder) = self.folders.open(id)? else { return Ok(Observed::Absent) };
        observed(folder.as_fd())
    }

    fn session_dir(&self) -> Result<OwnedFd, DriverError> {
        openat(
            CWD,
            &self.config.session_dir,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(io_error(format!("opening {}", self.config.session_dir.display())))
    }
}

#[async_trait]
impl Driver for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    async fn ensure(&self, placement: &Placement) -> Result<Observed, DriverError> {
        let id = &placement.spec.id;
        let _launching = self.launching.lock().await;
        if let running @ Observed::Running { .. } = self.observe_now(id)? {
            return Ok(running);
        }
        if placement.spec.command.is_empty() {
            return Err(DriverError::Spec("a sandbox needs a command to run".into()));
        }
        let (identity, unsynced) = self.identity(id)?;
        // The table names this sandbox from here on; waiting for the disk takes longer than a start,
        // so it is done beside it, and nothing is told of the sandbox before.
        let synced = spawn_blocking(move || unsynced.map_or(Ok(()), Unsynced::sync));
        let folder = self.folders.prepare(placement, identity, &self.config.upstream)?;
        let session_dir = self.session_dir()?;
        let started = start(Start {
            binary: &self.config.supervisor_binary,
            folder: &self.folders.path(id),
            log: open_log(folder.as_fd())?,
            session_dir: session_dir.as_fd(),
            launch: Launch {
                token: placement.token.clone(),
                generation: placement.generation,
                proxy_auth: self.config.proxy_auth.clone(),
            },
        })
        .await?;
        let synced = synced
            .await
            .unwrap_or_else(|error| Err(DriverError::Host(format!("syncing failed: {error}"))));
        if let Err(error) = synced {
            // SECURITY: K20: ids that are on no record would be given to the next sandbox as well.
            self.stop(id).await?;
            return Err(error);
        }
        match started {
            Some(pid) => Ok(Observed::Running { pid: Some(pid) }),
            // It ended: because another one holds the lock, or because it could not start.
            None => match observed(folder.as_fd())? {
                running @ Observed::Running { .. } => Ok(running),
                Observed::Absent => Err(DriverError::Host(format!(
                    "the supervisor ended at once: {}",
                    last_words(folder.as_fd())?
                ))),
            },
        }
    }

    async fn stop(&self, id: &SandboxId) -> Result<(), DriverError> {
        let Some(folder) = self.folders.open(id)? else { return Ok(()) };
        for (signal, grace) in [(Signal::TERM, STOP_GRACE), (Signal::KILL, KILL_GRACE)] {
            let Some(process) = holder_pidfd(folder.as_fd())? else { return Ok(()) };
            match pidfd_send_signal(&process, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(io_error("signalling the supervisor")(error)),
            }
            if timeout(grace, ended(process)?.readable()).await.is_ok() {
                return Ok(());
            }
        }
        match holder(folder.as_fd())? {
            None => Ok(()),
            Some(_) => Err(DriverError::Host("the supervisor does not end".into())),
        }
    }

    async fn delete(&self, id: &SandboxId) -> Result<(), DriverError> {
        self.stop(id).await?;
        let deadline = Instant::now() + REMOVE_DEADLINE;
        let root = self.folders.open_root()?;
        loop {
            let (parent, name) = (
                root.try_clone().map_err(io_error("copying a descriptor"))?,
                id.as_str().to_owned(),
            );
            let removed = spawn_blocking(move || remove_tree(parent.as_fd(), &name))
                .await
                .map_err(|error| DriverError::Host(format!("removing failed: {error}")))?;
            match removed {
                Ok(()) => break,
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(io_error("removing the sandbox's folder")(error)),
            }
        }
        // Only now: while files of the block's ids exist, nobody else may get these ids.
        if geteuid().is_root() { self.blocks.release(id) } else { Ok(()) }
    }

    async fn observe(&self, id: &SandboxId) -> Result<Observed, DriverError> {
        self.observe_now(id)
    }
}

/// A process's descriptor, readable when the process has ended.
#[expect(deprecated, reason = "sound for an `OwnedFd`, which keeps its descriptor open")]
fn ended(process: OwnedFd) -> Result<AsyncFd<OwnedFd>, DriverError> {
    AsyncFd::new(process).map_err(io_error("watching the supervisor"))
}

fn observed(folder: BorrowedFd<'_>) -> Result<Observed, DriverError> {
    Ok(match holder(folder)? {
        Some(pid) => Observed::Running { pid: u32::try_from(pid.as_raw_nonzero().get()).ok() },
        None => Observed::Absent,
    })
}

/// The supervisor's executable beside the running one, or in its `../libexec`; never from PATH.
pub fn supervisor_beside_executable() -> Result<PathBuf, DriverError> {
    const NAME: &str = "openshell-supervisor";
    let own = env::current_exe().map_err(io_error("finding the running executable"))?;
    let folder = own.parent().map(PathBuf::from).unwrap_or_default();
    let places = [folder.join(NAME), folder.join("../libexec").join(NAME)];
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        DriverError::Host(format!(
            "`{NAME}` is not in `{}` nor in its `../libexec`; install both binaries",
            folder.display()
        ))
    })
}
