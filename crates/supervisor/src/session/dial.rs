//! Reaching the gateway's session socket through the descriptor of its folder.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use openshell_driver::launch::file;
use rustix::fs::fstat;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

/// The folder of the session socket.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    folder: Arc<OwnedFd>,
}

impl Dial {
    /// Through this `O_PATH` descriptor.
    pub(crate) fn new(folder: OwnedFd) -> Self {
        Self { folder: Arc::new(folder) }
    }

    /// Whether the folder was removed.
    pub(crate) fn is_gone(&self) -> bool {
        fstat(&*self.folder).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Connects once.
    pub(super) async fn connect(&self) -> Result<Channel, Error> {
        // The descriptor stands for folders above it that we may not be allowed to walk, and it
        // stays right when they are renamed. A gateway that restarts makes the socket anew there.
        let path = format!("/proc/self/fd/{}/{}", self.folder.as_raw_fd(), file::SESSION_SOCKET);
        let folder = Arc::clone(&self.folder);
        Endpoint::from_static("http://gateway.invalid")
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .connect_with_connector(service_fn(move |_| {
                let (path, folder) = (path.clone(), Arc::clone(&folder));
                async move {
                    let stream = UnixStream::connect(path).await;
                    drop(folder);
                    stream.map(TokioIo::new)
                }
            }))
            .await
    }
}
