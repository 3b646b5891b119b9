//! Starts everything, in the order in which it depends on each other, and ends it.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::{fs, future};

use openshell_driver::Driver;
use openshell_wire::native::inference_server::InferenceServer;
use openshell_wire::native::native_server::NativeServer;
use openshell_wire::session::session_server::SessionServer;
use openshell_wire::v1::open_shell_server::OpenShellServer;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tower::layer::util::{Identity, Stack};

use crate::app::App;
use crate::auth::{AuthorizeLayer, Channel, overflow_uid};
use crate::limits::{DRAIN, GATEWAY_FRAME, REFRESH_DRAIN, SESSION_FRAME};
use crate::listen::{
    Certificates, incoming, own_incoming, prepare_run_folder, register, server_tls, take_lock,
};
use crate::outbound::Outbound;
use crate::reconcile::{Kick, Reconciler};
use crate::refresh::{Refreshes, Worker};
use crate::rpc::Rpc;
use crate::session::{Registry, SessionService};
use crate::store::Store;
use crate::vault::{KeySource, Vault};
use crate::{GatewayConfig, GatewayError};

/// Checks a host path that a sandbox is to be given (source, target, folders with secrets and our
/// own) and tells the real path of the source, or why it is refused.
pub type MountCheck = fn(&Path, &Path, &[PathBuf]) -> Result<PathBuf, String>;

/// What a gateway works with besides its configuration.
#[derive(Clone)]
pub struct Parts {
    /// Where supervisors run.
    pub driver: Arc<dyn Driver>,
    /// Which host paths may be mounted.
    pub mount_check: MountCheck,
    /// Ends the gateway when it is cancelled.
    pub shutdown: CancellationToken,
}

/// Runs a gateway until it is told to end.
pub async fn run(config: GatewayConfig, parts: Parts) -> Result<(), GatewayError> {
    refuse_inside_sandbox(config.in_sandbox)?;
    refuse_overflow_uid()?;
    raise_descriptors()?;
    let paths = &config.paths;
    prepare_run_folder(paths)?;
    let lock = take_lock(paths)?;
    let store = Store::open(&paths.database()).await?;
    store.ensure_default_workspace().await?;
    let vault = Vault::open(&KeySource::of(&config), &store).await?;

    let (kick, kicks) = Kick::channel();
    let upstream = config.settings.upstream();
    let (refreshes, orders) = Refreshes::channel();
    let app = App {
        store: store.clone(),
        vault,
        registry: Arc::new(Registry::default()),
        kick,
        refreshes,
        driver: parts.driver,
        mount_check: parts.mount_check,
        paths: paths.clone(),
        outbound: Outbound::new(upstream.ca_file),
        is_behind_proxy: upstream.proxy.is_some(),
        shutdown: parts.shutdown,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(serve_sessions(&app)?);
    match serve_tls(&app).await {
        Ok(serving) => drop(tasks.spawn(serving)),
        // People's own programs use the Unix socket; published SDKs have to wait.
        Err(error) => tracing::error!(%error, "Loopback TLS is not served"),
    }
    // Last: whoever is answered here finds the rest.
    tasks.spawn(serve_unix(&app)?);
    let reconciler = Reconciler {
        store: app.store.clone(),
        registry: Arc::clone(&app.registry),
        driver: Arc::clone(&app.driver),
        paths: app.paths.clone(),
    };
    let reconciling = tokio::spawn(reconciler.run(kicks, app.shutdown.clone()));
    let refreshing = tokio::spawn(Worker::new(app.clone(), orders).run());
    tracing::info!(socket = %paths.socket().display(), "Gateway runs");

    let result = wait(&mut tasks, &app.shutdown).await;
    app.shutdown.cancel();
    // Open calls may end by themselves; what is left then is cut.
    let _ = timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
    let _ = timeout(DRAIN, reconciling).await;
    let _ = timeout(REFRESH_DRAIN, refreshing).await;
    store.close().await;
    for socket in [paths.socket(), paths.session_socket()] {
        let _ = fs::remove_file(socket);
    }
    drop(lock);
    tracing::info!("Gateway ended");
    result
}

type Serving = Result<(), GatewayError>;

/// The authorisation layer around everything.
type Guarded = Stack<AuthorizeLayer, Identity>;

/// Waits until the gateway shall end or one of its listeners does.
async fn wait(tasks: &mut JoinSet<Serving>, shutdown: &CancellationToken) -> Serving {
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        Some(ended) = tasks.join_next() => match ended {
            Ok(result) => result,
            Err(error) => Err(GatewayError::io("serving")(std::io::Error::other(error))),
        },
        else => future::pending().await,
    }
}

fn serve_sessions(app: &App) -> Result<impl Future<Output = Serving> + use<>, GatewayError> {
    let service = SessionService {
        store: app.store.clone(),
        vault: app.vault.clone(),
        registry: Arc::clone(&app.registry),
        kick: app.kick.clone(),
        shutdown: app.shutdown.clone(),
        numbers: Arc::new(AtomicU64::new(0)),
    };
    let server = SessionServer::new(service)
        .max_decoding_message_size(SESSION_FRAME)
        .max_encoding_message_size(GATEWAY_FRAME);
    let connections = incoming(&app.paths.session_socket())?;
    let ends = app.shutdown.clone().cancelled_owned();
    let router = Server::builder().add_service(server);
    Ok(async move { Ok(router.serve_with_incoming_shutdown(connections, ends).await?) })
}

fn serve_unix(app: &App) -> Result<impl Future<Output = Serving> + use<>, GatewayError> {
    let connections = own_incoming(&app.paths.socket())?;
    let router = api(Server::builder().layer(AuthorizeLayer::new(Channel::Unix)), app);
    let ends = app.shutdown.clone().cancelled_owned();
    Ok(async move { Ok(router.serve_with_incoming_shutdown(connections, ends).await?) })
}

async fn serve_tls(app: &App) -> Result<impl Future<Output = Serving> + use<>, GatewayError> {
    let certificates = Certificates::load_or_make(&app.paths, &app.store).await?;
    let listener = loopback(&app.store).await?;
    let port = listener.local_addr().map_err(GatewayError::io("listening on loopback"))?.port();
    register(&app.paths, port)?;
    let builder = Server::builder()
        .tls_config(server_tls(certificates))?
        .layer(AuthorizeLayer::new(Channel::Tls));
    let router = api(builder, app);
    let ends = app.shutdown.clone().cancelled_owned();
    let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(async move { Ok(router.serve_with_incoming_shutdown(connections, ends).await?) })
}

fn api(mut builder: Server<Guarded>, app: &App) -> Router<Guarded> {
    let rpc = Rpc { app: app.clone() };
    builder
        .add_service(OpenShellServer::new(rpc.clone()))
        .add_service(InferenceServer::new(rpc.clone()))
        .add_service(NativeServer::new(rpc))
}

/// The port that was used before, so that clients find it again, or a free one.
async fn loopback(store: &Store) -> Result<TcpListener, GatewayError> {
    const SETTING: &str = "tls_port";
    let failed = || GatewayError::io("listening on loopback");
    let before = store.setting(SETTING).await?.and_then(|text| text.parse::<u16>().ok());
    if let Some(port) = before
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed())?;
    let port = listener.local_addr().map_err(failed())?.port();
    store.set_setting(SETTING, &port.to_string()).await?;
    Ok(listener)
}

/// An agent must not make sandboxes of its own.
fn refuse_inside_sandbox(told: bool) -> Result<(), GatewayError> {
    // Where every address is local, the network is a jail's: outside of one, documentation
    // addresses can be bound only if the host allows foreign ones.
    const DOCUMENTATION: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    let foreign = fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind")
        .is_ok_and(|text| text.trim() == "1");
    let captured = !foreign && UdpSocket::bind((DOCUMENTATION, 0)).is_ok();
    if told || captured { Err(GatewayError::InsideSandbox) } else { Ok(()) }
}

/// Raises the limit of open files as far as this host lets us. SECURITY: N1; agents with our uid
/// count against it when a descriptor is sent to a supervisor, and get no more than half of it.
fn raise_descriptors() -> Result<(), GatewayError> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| GatewayError::io("raising the limit of open files")(error.into()))
}

fn refuse_overflow_uid() -> Result<(), GatewayError> {
    let uid = geteuid().as_raw();
    if uid == overflow_uid() { Err(GatewayError::OverflowUid(uid)) } else { Ok(()) }
}
