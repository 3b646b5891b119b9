//! Where the key is that seals what is kept: in a file of the gateway's own, or with the operator.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use openshell_credential::{Kek, KekError, KekId};
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use crate::{GatewayConfig, GatewayError};

/// Where the key is.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// A file of the gateway's own, which is made on first use.
    File(PathBuf),
    /// What this command prints.
    Command(Vec<String>),
}

impl KeySource {
    /// As the configuration says.
    pub(crate) fn of(config: &GatewayConfig) -> Self {
        match config.settings.key_command() {
            Some(command) => Self::Command(command.to_vec()),
            None => Self::File(config.paths.credential_key()),
        }
    }

    /// The key that has sealed what is kept; `None`: nothing is yet.
    pub(super) async fn key(&self, sealed_by: Option<KekId>) -> Result<Kek, GatewayError> {
        match self {
            Self::File(path) => of_file(path, sealed_by),
            Self::Command(command) => {
                let key = of_command(command).await?;
                match sealed_by {
                    Some(by) if by != key.id() => Err(other(by, "the command prints another")),
                    _ => Ok(key),
                }
            }
        }
    }
}

/// The key that the operator's command prints.
pub(super) async fn of_command(command: &[String]) -> Result<Kek, GatewayError> {
    let argv = command.to_vec();
    let printed = spawn_blocking(move || Kek::from_command(&argv)).await;
    let printed = printed.map_err(|error| unusable("`credentials.key_command`", error))?;
    printed.map_err(|error| unusable("`credentials.key_command`", error))
}

/// The file of a key that a rotation makes. It lies beside the one that it is to replace until
/// everything is sealed with it; whatever ends the rotation, one of the two opens all.
pub(super) fn fresh(path: &Path) -> PathBuf {
    path.with_extension("key.new")
}

fn of_file(path: &Path, sealed_by: Option<KekId>) -> Result<Kek, GatewayError> {
    let found = Kek::load(path);
    let Some(by) = sealed_by else {
        return match found {
            Err(KekError::Io(error)) if error.kind() == ErrorKind::NotFound => Kek::create(path),
            found => found,
        }
        .map_err(|error| at(path, error));
    };
    let fresh = fresh(path);
    if let Ok(key) = &found
        && key.id() == by
    {
        // A rotation ended before it sealed anything: its key is nobody's.
        if fresh.exists() {
            destroy(&fresh).and_then(|()| fs::remove_file(&fresh)).map_err(|e| at(&fresh, e))?;
        }
        return Ok(key.clone());
    }
    // A rotation ended after it had sealed everything: what is left of it is done.
    if let Ok(key) = Kek::load(&fresh)
        && key.id() == by
    {
        replace(path)?;
        return Ok(key);
    }
    match found {
        Ok(_) => Err(other(by, &format!("`{}` has another", path.display()))),
        // SECURITY: I8; a new one in its place would open nothing, and hide that.
        Err(error) => Err(at(path, error)),
    }
}

/// Puts the fresh key into the place of the old one, which is gone then.
pub(super) fn replace(path: &Path) -> Result<(), GatewayError> {
    let replace = || {
        if path.exists() {
            destroy(path)?;
        }
        fs::rename(fresh(path), path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    replace().map_err(|error: io::Error| at(path, error))
}

/// Overwrites a key. A file system that keeps what was there before, or a disk that does, is beyond
/// this: whoever may read those has the old key.
fn destroy(path: &Path) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default().min(4096);
    file.write_all(&vec![b'0'; length])?;
    file.sync_all()
}

pub(super) fn at(path: &Path, error: impl ToString) -> GatewayError {
    unusable(&format!("the key of the credentials, `{}`", path.display()), error)
}

fn other(by: KekId, what: &str) -> GatewayError {
    let detail = format!(
        "what is stored is sealed with the key {by}, and {what}: `openshell gateway rotate-key \
         --from FILE` seals it anew, where FILE has the key {by}"
    );
    unusable("the key of the credentials", detail)
}

fn unusable(what: &str, error: impl ToString) -> GatewayError {
    GatewayError::io(what)(io::Error::other(error.to_string()))
}
