//! Why a gateway does not run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a gateway does not run.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// Neither `HOME` nor the XDG variables say where files go.
    #[error("neither `HOME` nor `XDG_STATE_HOME` and `XDG_CONFIG_HOME` are set")]
    NoHome,
    /// It was started by an agent, which must not make sandboxes of its own.
    #[error("a gateway does not run inside a sandbox")]
    InsideSandbox,
    /// Another one runs.
    #[error("another gateway holds `{0}`")]
    AlreadyRuns(PathBuf),
    /// A socket's path is too long for the kernel.
    #[error("the socket's path `{0}` is too long; set `XDG_STATE_HOME` to a shorter folder")]
    SocketPath(PathBuf),
    /// The process runs as the uid that stands for everybody unknown.
    #[error("a gateway does not run as the overflow uid {0}: it could not tell its peers apart")]
    OverflowUid(u32),
    /// The settings file is wrong.
    #[error("`{path}`: {detail}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file or socket could not be used.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database could not be used.
    #[error("the database cannot be used: {0}")]
    Store(#[from] crate::store::StoreError),
    /// Certificates could not be made.
    #[error("certificates cannot be made: {0}")]
    Certificates(#[from] rcgen::Error),
    /// A listener failed.
    #[error("serving failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

impl GatewayError {
    /// For `map_err`, where something was done with a file or socket.
    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }
}
