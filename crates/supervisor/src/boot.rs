//! The boot order, in one thread until the seal is on.
//!
//! 1. Own session, no core files; descriptors of the driver put away.
//! 2. The lock: from here on a driver finds us.
//! 3. The folder's files, empty lists of authorities, the identifier, the jail's init. No secret is in this process yet, for
//!    both start as copies of it.
//! 4. The launch message with the token; whatever must be opened by name.
//! 5. Privileges dropped, seal on; then the runtime. Init sets the jail up meanwhile: not a byte of
//!    what it says is read before the seal.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openshell_driver::launch::{Launch, Upstream};
use openshell_isolation::seal::{SealError, SupervisorSeal, seal_supervisor};
use openshell_isolation::{BuildError, drop_privileges};
use openshell_policy::Policy;
use openshell_types::{Generation, Redacted, SandboxSpec};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid, umask};
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::environment;
use crate::host::Interfaces;
use crate::journal::Journal;
use crate::launched::Launched;
use crate::life;
use crate::lock;
use crate::main_log::MainLog;
use crate::raise::Raising;
use crate::session::{Dial, Place, hello, tell_failure};
use crate::status::Status;
use crate::trust::Trust;

/// What is read by name after the seal: how names are resolved, and who signs certificates. The
/// folders rather than the files, which are replaced when the host changes networks.
const READABLE: &[&str] = &[
    "/etc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/usr/lib/ssl",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// Why there is no sandbox.
#[derive(Debug, Error)]
pub enum BootError {
    /// The driver did not start us, or broke off.
    #[error("the launch failed: {0}")]
    Launch(#[source] io::Error),
    /// Another supervisor has the sandbox.
    #[error("another supervisor runs this sandbox")]
    Taken,
    /// The sandbox's folder does not describe a sandbox.
    #[error("{0}")]
    Config(String),
    /// The jail was not built.
    #[error("{0}")]
    Jail(#[from] BuildError),
    /// The identifier did not start or did not take the jail.
    #[error("callers cannot be identified: {0}")]
    Identifier(#[source] io::Error),
    /// A file could not be opened.
    #[error("{context}: {source}")]
    Open {
        /// Which.
        context: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Privileges could not be given up.
    #[error("privileges could not be given up: {0}")]
    Privileges(#[source] io::Error),
    /// The supervisor is not sealed.
    #[error("{}", chain(.0))]
    Seal(#[source] SealError),
    /// It ran, and ended in an error.
    #[error("{0}")]
    Life(String),
}

impl From<ConfigError> for BootError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

/// What the runtime starts with.
pub(crate) struct Booted {
    pub(crate) spec: SandboxSpec,
    pub(crate) upstream: Upstream,
    /// What the proxy of `upstream` asks for.
    pub(crate) proxy_auth: Option<Redacted<String>>,
    pub(crate) policy: Policy,
    pub(crate) generation: Generation,
    pub(crate) boot_id: String,
    pub(crate) timezone: String,
    pub(crate) raising: Raising,
    pub(crate) trust: Trust,
    pub(crate) journal: Journal,
    pub(crate) main_log: MainLog,
    pub(crate) interfaces: Interfaces,
    /// Lists the host's ids of init's children, where the kernel has such a file.
    pub(crate) children: Option<fs::File>,
    pub(crate) dial: Dial,
    pub(crate) token: Redacted<String>,
}

/// Boots, and runs the sandbox to its end.
pub fn run() -> Result<(), BootError> {
    detach().map_err(BootError::Launch)?;
    let launched = Launched::open().map_err(BootError::Launch)?;
    let boot_id = boot_id().map_err(open("reading the boot id"))?;
    let lock = lock::take(&boot_id).map_err(open("taking supervisor.lock"))?;
    let _lock = lock.ok_or(BootError::Taken)?;
    launched.confirm().map_err(BootError::Launch)?;

    let folder = env::current_dir().map_err(open("finding the sandbox's folder"))?;
    let begun = Config::read().map_err(BootError::from).and_then(|config| {
        let begun = Raising::begin(&config, &folder)?;
        Ok((config, begun))
    });
    // SECURITY: I1: only now does a secret come into this process.
    let (launch, session_dir) = launched.receive().map_err(BootError::Launch)?;
    let dial = Dial::new(session_dir);
    let place = Place { generation: launch.generation, ..Place::default() };
    let (token, sandbox) = (launch.token.clone(), folder_name(&folder));
    let readied = begun.and_then(|(config, begun)| {
        ready(config, begun, Given { launch, dial: dial.clone(), boot_id: boot_id.clone() })
    });
    match readied {
        Ok(booted) => life::run(booted).map_err(BootError::Life),
        Err(error) => {
            let status = Status::failed(error.to_string());
            report(&dial, hello(&sandbox, &boot_id, &token, place, &status));
            Err(error)
        }
    }
}

fn detach() -> io::Result<()> {
    // A hang-up or an interrupt of the driver's terminal is not meant for us. A session leader
    // already has what it wants.
    match setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    umask(Mode::from_raw_mode(0o077));
    // The usual 1,024 open files are spent by a few hundred connections. The jail sets its own.
    let files = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files })?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// What came with the launch.
struct Given {
    launch: Launch,
    dial: Dial,
    boot_id: String,
}

/// Opens what is opened by name, drops privileges, seals.
fn ready(config: Config, begun: (Raising, Trust), given: Given) -> Result<Booted, BootError> {
    let (raising, trust) = begun;
    let Config { spec, upstream, policy } = config;
    let init = raising.init_pid();
    let journal =
        Journal::open(spec.name.clone(), spec.id.clone()).map_err(open("opening audit.jsonl"))?;
    let booted = Booted {
        generation: Generation::new(given.launch.generation),
        token: given.launch.token.clone(),
        proxy_auth: given.launch.proxy_auth,
        boot_id: given.boot_id,
        timezone: environment::host_timezone(),
        raising,
        trust,
        journal,
        main_log: MainLog::open().map_err(open("opening main.log"))?,
        interfaces: Interfaces::open().map_err(open("reading the host's addresses"))?,
        children: fs::File::open(format!("/proc/{init}/task/{init}/children")).ok(),
        dial: given.dial,
        spec,
        upstream,
        policy,
    };
    drop_privileges(booted.spec.identity).map_err(BootError::Privileges)?;
    let readable = READABLE.iter().map(PathBuf::from).collect();
    let seal = SupervisorSeal { writable: Vec::new(), readable };
    let report = seal_supervisor(&seal).map_err(BootError::Seal)?;
    tracing::info!(landlock = report.landlock, "Supervisor is sealed");
    Ok(booted)
}

/// Tells the gateway why there is no sandbox, as well as that is possible now.
fn report(dial: &Dial, hello: openshell_wire::session::Hello) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(tell_failure(dial, hello)),
        Err(error) => tracing::warn!(%error, "The gateway was not told"),
    }
}

fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// The sandbox's id: its folder is named so.
fn folder_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn open(context: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |source| BootError::Open { context, source }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
