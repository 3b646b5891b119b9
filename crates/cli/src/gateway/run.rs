//! `openshell gateway run`.

use std::io::{self, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openshell_driver_native::{
    DEFAULT_UID_BLOCKS, Native, NativeConfig, supervisor_beside_executable,
};
use openshell_gateway::{Environment, GatewayConfig, GatewayError, Parts};
use openshell_isolation::mounts;
use openshell_types::Identity;
use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getegid, geteuid, set_dumpable_behavior, setrlimit, setsid,
    umask,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Run the gateway in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every command starts one in the background when it needs it; this is for service managers and for
looking at what it does.

Examples:
  openshell gateway run
  openshell -v gateway run")]
pub(crate) struct Args {
    /// Be started by another command: leave its session
    #[arg(long, hide = true)]
    background: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    if args.background {
        // A process that leads its group already keeps its session; then it was started as a
        // service, which is as good.
        let _ = setsid();
        // What sandboxes create shall not depend on who happened to be first.
        umask(Mode::from_raw_mode(0o022));
    }
    log(context.verbosity());
    keep_memory().map_err(|error| CliError::new(Exit::FAILED, error.to_string()))?;
    let config = GatewayConfig::load(&environment(context)).map_err(failed)?;
    let supervisor_binary = supervisor_beside_executable()
        .map_err(|error| CliError::new(Exit::FAILED, error.to_string()))?;
    let driver = Native::new(NativeConfig {
        state_dir: config.paths.sandboxes(),
        session_dir: config.paths.session_folder(),
        supervisor_binary,
        uid_blocks: PathBuf::from(DEFAULT_UID_BLOCKS),
        upstream: config.settings.upstream(),
        proxy_auth: config.proxy_auth.clone(),
    });
    let shutdown = CancellationToken::new();
    end_on_signals(&shutdown)?;
    let parts = Parts { driver: Arc::new(driver), mount_check, shutdown };
    openshell_gateway::run(config, parts).await.map_err(failed)?;
    Ok(Exit::OK)
}

/// SECURITY: I1; this process opens stored credentials: no core dump has them, and no other program
/// of its user's looks into it.
fn keep_memory() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// What a gateway knows of where it is started.
pub(super) fn environment(context: &Context<'_>) -> Environment {
    let variable = |name| context.config.variable(name).map(ToOwned::to_owned);
    Environment {
        home: variable("HOME"),
        xdg_config_home: variable("XDG_CONFIG_HOME"),
        xdg_state_home: variable("XDG_STATE_HOME"),
        openshell_sandbox: variable("OPENSHELL_SANDBOX"),
    }
}

fn mount_check(source: &Path, target: &Path, forbidden: &[PathBuf]) -> Result<PathBuf, String> {
    let real = mounts::check(source, target, forbidden).map_err(|refusal| refusal.to_string())?;
    // SECURITY: K23: a sandbox of an ordinary user's keeps the groups of its supervisor. Root's
    // sandboxes have ids of their own, and no groups.
    if !geteuid().is_root() {
        let caller = Identity::Caller { uid: geteuid().as_raw(), gid: getegid().as_raw() };
        let groups = mounts::own_groups().map_err(|error| error.to_string())?;
        mounts::check_groups(&real, caller, &groups).map_err(|refusal| refusal.to_string())?;
    }
    Ok(real)
}

/// Writes what happens to standard error, which is the log of a gateway in the background.
fn log(verbosity: u8) {
    let filter = match verbosity {
        0 => "info",
        1 => "info,openshell_gateway=debug,openshell_driver_native=debug",
        2 => "debug",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr)
        .with_ansi(false)
        .init();
}

fn end_on_signals(shutdown: &CancellationToken) -> Result<(), CliError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)
            .map_err(|error| CliError::system("signals cannot be listened to", error))?;
        let shutdown = shutdown.clone();
        // Ends with the runtime.
        tokio::spawn(async move {
            signals.recv().await;
            shutdown.cancel();
        });
    }
    Ok(())
}

pub(super) fn failed(error: GatewayError) -> CliError {
    let message = error.to_string();
    match error {
        GatewayError::NoHome | GatewayError::Settings { .. } | GatewayError::SocketPath(_) => {
            CliError::usage(message)
        }
        GatewayError::InsideSandbox => CliError::new(Exit::DENIED, message)
            .help("ask the person who made this sandbox for another one"),
        GatewayError::AlreadyRuns(_) => {
            CliError::new(Exit::FAILED, message).help("`openshell gateway stop` ends it")
        }
        GatewayError::OverflowUid(_)
        | GatewayError::Io { .. }
        | GatewayError::Store(_)
        | GatewayError::Certificates(_)
        | GatewayError::Serve(_) => CliError::new(Exit::FAILED, message),
    }
}
