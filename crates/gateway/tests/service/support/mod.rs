//! A gateway in this process over real sockets, with a driver whose supervisors are tasks that
//! speak the session protocol.

mod driver;
mod supervisor;
pub mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use openshell_gateway::{Environment, GatewayConfig, GatewayError, Parts, Paths};
use openshell_wire::datamodel::{WorkspaceSelector, workspace_selector::Selection};
use openshell_wire::native::inference_client::InferenceClient;
use openshell_wire::native::native_client::NativeClient;
use openshell_wire::v1::open_shell_client::OpenShellClient;
use openshell_wire::{native, v1};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

pub use driver::FakeDriver;
pub use supervisor::append_event;

pub struct World {
    home: TempDir,
    pub driver: Arc<FakeDriver>,
    gateway: Option<(CancellationToken, JoinHandle<Result<(), GatewayError>>)>,
}

impl World {
    pub async fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let config = GatewayConfig::load(&environment(home.path())).expect("a configuration");
        let driver = Arc::new(FakeDriver::new(&config.paths));
        let mut world = Self { home, driver, gateway: None };
        world.run().await;
        world
    }

    pub fn paths(&self) -> Paths {
        Paths::from_environment(&environment(self.home.path())).expect("paths")
    }

    pub fn parts(&self, shutdown: CancellationToken) -> Parts {
        let driver = Arc::clone(&self.driver);
        Parts { driver, mount_check: check_mount, shutdown }
    }

    pub fn config(&self) -> GatewayConfig {
        GatewayConfig::load(&environment(self.home.path())).expect("a configuration")
    }

    pub async fn run(&mut self) {
        let shutdown = CancellationToken::new();
        let running = openshell_gateway::run(self.config(), self.parts(shutdown.clone()));
        self.gateway = Some((shutdown, tokio::spawn(running)));
        within(async {
            let mut client = self.v1();
            while client.health(v1::HealthRequest {}).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub async fn stop(&mut self) {
        if let Some((shutdown, task)) = self.gateway.take() {
            shutdown.cancel();
            within(task).await.expect("no panic").expect("a good end");
        }
    }

    pub fn channel(&self) -> Channel {
        channel(self.paths().socket())
    }

    pub fn v1(&self) -> OpenShellClient<Channel> {
        OpenShellClient::new(self.channel())
    }

    pub fn native(&self) -> NativeClient<Channel> {
        NativeClient::new(self.channel())
    }

    pub fn inference(&self) -> InferenceClient<Channel> {
        InferenceClient::new(self.channel())
    }

    /// Creates a sandbox whose fake supervisor behaves as the command says, and waits until it is
    /// ready.
    pub async fn ready(&self, name: &str, command: &[&str]) -> v1::Sandbox {
        self.native().create(create(name, command)).await.expect("created");
        self.wait_for_phase(name, v1::SandboxPhase::Ready).await
    }

    pub async fn wait_for_phase(&self, name: &str, phase: v1::SandboxPhase) -> v1::Sandbox {
        within(async {
            loop {
                let sandbox = self.get(name).await.expect("it is there");
                if sandbox.status.as_ref().is_some_and(|status| status.phase() == phase) {
                    return sandbox;
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    pub async fn get(&self, name: &str) -> Result<v1::Sandbox, tonic::Status> {
        let request = v1::GetSandboxRequest { name: name.into(), workspace_scope: scope() };
        let answer = self.v1().get_sandbox(request).await?.into_inner();
        Ok(answer.sandbox.expect("a sandbox"))
    }

    pub async fn wait_until_gone(&self, name: &str) {
        within(async {
            while self.get(name).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

fn environment(home: &Path) -> Environment {
    Environment {
        home: Some(home.into()),
        xdg_config_home: Some(home.join("config").into()),
        xdg_state_home: Some(home.join("state").into()),
        openshell_sandbox: None,
    }
}

/// Everything that exists but what is forbidden.
fn check_mount(source: &Path, _: &Path, forbidden: &[PathBuf]) -> Result<PathBuf, String> {
    let real = source.canonicalize().map_err(|error| error.to_string())?;
    if forbidden.iter().any(|path| real.starts_with(path)) {
        return Err(format!("`{}` is forbidden", source.display()));
    }
    Ok(real)
}

pub fn channel(socket: PathBuf) -> Channel {
    Endpoint::from_static("http://gateway").connect_with_connector_lazy(service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }))
}

pub fn scope() -> Option<WorkspaceSelector> {
    Some(WorkspaceSelector { selection: Some(Selection::Workspace("default".into())) })
}

pub fn create(name: &str, command: &[&str]) -> native::CreateRequest {
    let spec = v1::SandboxSpec {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    };
    let request = v1::CreateSandboxRequest {
        name: name.into(),
        spec: Some(spec),
        workspace_scope: scope(),
        ..Default::default()
    };
    native::CreateRequest { request: Some(request), ..Default::default() }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}
