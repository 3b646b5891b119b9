//! The connection: a Unix socket, plain HTTP/2, or TLS with the caller's certificate.

use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use openshell_types::WorkspaceName;
use openshell_wire::datamodel::{WorkspaceSelector, workspace_selector};
use openshell_wire::native::ShutdownRequest;
use openshell_wire::native::inference_client::InferenceClient;
use openshell_wire::native::native_client::NativeClient;
use openshell_wire::v1;
use openshell_wire::v1::open_shell_client::OpenShellClient;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tower::service_fn;

use crate::error::ClientError;
use crate::limits;
use crate::profile::{Gateway, Tls};

/// A connection to one gateway, for one workspace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) v1: OpenShellClient<Channel>,
    pub(crate) native: NativeClient<Channel>,
    pub(crate) inference: InferenceClient<Channel>,
    pub(crate) workspace: WorkspaceName,
}

/// What a gateway says about itself without being asked who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it is well.
    pub healthy: bool,
    /// Its version.
    pub version: String,
}

/// What a gateway says about itself to those who may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its version.
    pub version: String,
    /// Where it can run sandboxes.
    pub drivers: Vec<Driver>,
}

/// A place where a gateway runs sandboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its name, such as `native`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Client {
    /// The version of this program; a local gateway must have the same.
    pub const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Connects to a gateway that runs. It is not asked anything yet.
    pub async fn connect(
        gateway: &Gateway,
        workspace: &WorkspaceName,
    ) -> Result<Self, ClientError> {
        let channel = match gateway {
            Gateway::Local { socket } | Gateway::Socket { socket } => unix(socket).await?,
            Gateway::Remote { endpoint, tls, .. } => remote(endpoint, tls).await?,
        };
        Ok(Self {
            v1: OpenShellClient::new(channel.clone()).max_decoding_message_size(limits::MESSAGE),
            inference: InferenceClient::new(channel.clone())
                .max_decoding_message_size(limits::MESSAGE),
            native: NativeClient::new(channel).max_decoding_message_size(limits::MESSAGE),
            workspace: workspace.clone(),
        })
    }

    /// Asks the gateway how it is. Needs no identity.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let answer = self.v1.clone().health(v1::HealthRequest {}).await?.into_inner();
        Ok(Health {
            healthy: answer.status() == v1::ServiceStatus::Healthy,
            version: answer.version,
        })
    }

    /// Refuses a gateway of another version than ours. A local gateway and its client come from
    /// one installation; two versions mean that one was replaced while the other ran.
    pub async fn require_same_version(&self) -> Result<(), ClientError> {
        let gateway = self.health().await?.version;
        if gateway == Self::VERSION {
            return Ok(());
        }
        Err(ClientError::VersionMismatch { gateway, client: Self::VERSION.to_owned() })
    }

    /// Asks the gateway what it is. Needs the right to know.
    pub async fn info(&self) -> Result<Info, ClientError> {
        let request = v1::GetGatewayInfoRequest {};
        let answer = self.v1.clone().get_gateway_info(request).await?.into_inner();
        let drivers = answer.compute_drivers.into_iter().map(|driver| Driver {
            name: driver.name,
            version: driver.capabilities.map(|known| known.driver_version).unwrap_or_default(),
        });
        Ok(Info { version: answer.gateway_version, drivers: drivers.collect() })
    }

    /// Ends the gateway process; its sandboxes go on.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.native.clone().shutdown(ShutdownRequest {}).await?;
        Ok(())
    }

    /// The workspace of this connection, as calls name it.
    pub(crate) fn scope(&self) -> Option<WorkspaceSelector> {
        let name = self.workspace.as_str().to_owned();
        Some(WorkspaceSelector { selection: Some(workspace_selector::Selection::Workspace(name)) })
    }
}

async fn unix(socket: &Path) -> Result<Channel, ClientError> {
    if socket.as_os_str().len() > limits::SOCKET_PATH {
        return Err(ClientError::config(
            format!("the path of the socket is longer than {} bytes", limits::SOCKET_PATH),
            socket.to_owned(),
        ));
    }
    let path = socket.to_owned();
    let connector = service_fn(move |_: Uri| dial(path.clone()));
    // The host is only what HTTP/2 calls the other side; the connector decides.
    let endpoint = tuned(Endpoint::from_static("http://gateway.invalid"));
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        ClientError::Unavailable(format!(
            "no gateway answers at `{}`: {}",
            socket.display(),
            cause(&error)
        ))
    })
}

async fn dial(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

async fn remote(endpoint: &str, tls: &Tls) -> Result<Channel, ClientError> {
    let unusable = |error: tonic::transport::Error| {
        ClientError::config(
            format!("`{endpoint}` cannot be used as a gateway: {}", cause(&error)),
            None,
        )
    };
    let mut built = tuned(Endpoint::from_shared(endpoint.to_owned()).map_err(unusable)?);
    if endpoint.starts_with("https://") {
        let mut config = match &tls.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &tls.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        built = built.tls_config(config).map_err(unusable)?;
    }
    built.connect().await.map_err(|error| {
        ClientError::Unavailable(format!("no gateway answers at `{endpoint}`: {}", cause(&error)))
    })
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::STREAM_WINDOW.saturating_mul(4))
}

/// The innermost cause: what the system said, without the layers between.
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    plain(&inner.to_string())
}

/// What the system said, as a lower-case fragment without its number.
pub(crate) fn plain(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or(text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}
