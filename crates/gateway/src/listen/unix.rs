//! Lock and Unix sockets.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use futures_util::{Stream, StreamExt as _};
use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;

use crate::auth::peer_is_ours;
use crate::limits::SOCKET_PATH;
use crate::{GatewayError, Paths};

/// Makes a folder for this user alone; one that is there becomes that.
pub(crate) fn private_folder(path: &Path) -> Result<(), GatewayError> {
    folder(path, 0o700)
}

fn folder(path: &Path, mode: u32) -> Result<(), GatewayError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(GatewayError::io(format!("making `{}`", path.display())))
}

/// Makes the folders of lock and sockets.
pub(crate) fn prepare_run_folder(paths: &Paths) -> Result<(), GatewayError> {
    private_folder(&paths.gateway())?;
    private_folder(&paths.run())?;
    // Supervisors that root starts run as other uids. They cannot walk here, for the folder above
    // is closed; they get a descriptor of this one, and with it only need the right to enter.
    folder(&paths.session_folder(), 0o711)
}

/// Takes the lock that makes this process the gateway. It is held until the file is dropped.
pub(crate) fn take_lock(paths: &Paths) -> Result<File, GatewayError> {
    let path = paths.lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(GatewayError::io(format!("opening `{}`", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(GatewayError::AlreadyRuns(path)),
        Err(error) => Err(GatewayError::io(format!("locking `{}`", path.display()))(error.into())),
    }
}

/// Listens at a path. Whoever holds the lock owns what is there.
fn listen(path: &Path, mode: u32) -> Result<UnixListener, GatewayError> {
    if path.as_os_str().as_bytes().len() > SOCKET_PATH {
        return Err(GatewayError::SocketPath(path.to_owned()));
    }
    let failed = || GatewayError::io(format!("listening at `{}`", path.display()));
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed())?;
    // Between these two lines only this user can reach it: the folder above is closed.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed())?;
    Ok(listener)
}

/// Connections of supervisors. Which one it is, its token says.
pub(crate) fn incoming(
    path: &Path,
) -> Result<impl Stream<Item = io::Result<UnixStream>> + use<>, GatewayError> {
    Ok(UnixListenerStream::new(listen(path, 0o666)?))
}

/// Connections of this user's own programs; others are closed at once.
pub(crate) fn own_incoming(
    path: &Path,
) -> Result<impl Stream<Item = io::Result<UnixStream>> + use<>, GatewayError> {
    let listener = UnixListenerStream::new(listen(path, 0o600)?);
    Ok(listener.filter(|stream| {
        // SECURITY: the mode keeps others out already, but not root and not a descriptor that was
        // passed on.
        let admitted = match stream {
            Ok(stream) => peer_is_ours(stream),
            Err(_) => true,
        };
        if !admitted {
            tracing::warn!("Connection of another user refused");
        }
        std::future::ready(admitted)
    }))
}
