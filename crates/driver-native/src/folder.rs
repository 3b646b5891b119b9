//! One sandbox's folder: `spec.json`, `policy.yaml`, `upstream.json` and `home/`.
//!
//! The folder and the three files are the gateway's own user's; a jail reaches `home/` only.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use openshell_driver::launch::{Upstream, file};
use openshell_driver::{DriverError, Placement};
use openshell_types::{Identity, SandboxId, SandboxSpec};
use rustix::fs::{
    CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, ftruncate, mkdirat, openat, renameat,
};
use rustix::io::Errno;

use crate::blocks::make_private_folder;
use crate::error::io_error;

/// A supervisor.log that has grown beyond this many bytes starts anew at the next launch.
const LONGEST_LOG: u64 = 4 * 1024 * 1024;

/// The folder of all sandboxes.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: PathBuf,
}

impl Folders {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of all sandboxes, made when it is not there.
    pub(crate) fn open_root(&self) -> Result<OwnedFd, DriverError> {
        make_private_folder(&self.root)?;
        open_folder(CWD, &self.root).map_err(io_error(format!("opening {}", self.root.display())))
    }

    /// The folder of `id`, when it is there.
    pub(crate) fn open(&self, id: &SandboxId) -> Result<Option<OwnedFd>, DriverError> {
        match open_folder(CWD, &self.path(id)) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(io_error(format!("opening {}", self.path(id).display()))(error)),
        }
    }

    /// The path of the folder of `id`.
    pub(crate) fn path(&self, id: &SandboxId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Makes the folder of a placement and writes what the supervisor will read.
    pub(crate) fn prepare(
        &self,
        placement: &Placement,
        identity: Identity,
        upstream: &Upstream,
    ) -> Result<OwnedFd, DriverError> {
        let root = self.open_root()?;
        let id = placement.spec.id.as_str();
        make_folder(root.as_fd(), id)?;
        let folder = open_folder(root.as_fd(), Path::new(id))
            .map_err(io_error("opening the sandbox's folder"))?;
        make_home(folder.as_fd(), identity)?;

        let spec = SandboxSpec { identity, ..placement.spec.clone() };
        write_json(folder.as_fd(), file::SPEC, &spec)?;
        write_json(folder.as_fd(), file::UPSTREAM, upstream)?;
        write_file(folder.as_fd(), file::POLICY, placement.policy.as_bytes())?;
        Ok(folder)
    }
}

/// Opens supervisor.log for appending.
pub(crate) fn open_log(folder: BorrowedFd<'_>) -> Result<OwnedFd, DriverError> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let context = || "opening supervisor.log";
    let log = openat(folder, file::SUPERVISOR_LOG, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io_error(context()))?;
    let size = fstat(&log).map_err(io_error(context()))?.st_size;
    if u64::try_from(size).unwrap_or(0) > LONGEST_LOG {
        ftruncate(&log, 0).map_err(io_error(context()))?;
    }
    Ok(log)
}

/// The last line that a supervisor wrote to its log.
pub(crate) fn last_words(folder: BorrowedFd<'_>) -> Result<String, DriverError> {
    const ENOUGH: u64 = 4096;
    let mut log = File::from(open_log(folder)?);
    let mut end = Vec::new();
    let read = log
        .metadata()
        .and_then(|meta| log.seek(SeekFrom::Start(meta.len().saturating_sub(ENOUGH))))
        .and_then(|_| (&log).take(ENOUGH).read_to_end(&mut end));
    read.map_err(io_error("reading supervisor.log"))?;
    let text = String::from_utf8_lossy(&end);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Ok(last.unwrap_or("it said nothing").to_owned())
}

fn open_folder<Fd: AsFd>(parent: Fd, name: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(parent, name, flags, Mode::empty())
}

fn make_folder(parent: BorrowedFd<'_>, name: &str) -> Result<(), DriverError> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(io_error(format!("making the folder `{name}`"))(error)),
    }
}

fn make_home(folder: BorrowedFd<'_>, identity: Identity) -> Result<(), DriverError> {
    make_folder(folder, file::HOME)?;
    let home = open_folder(folder, Path::new(file::HOME)).map_err(io_error("opening home"))?;
    if let Identity::Block { start } = identity {
        let agent = start.saturating_add(Identity::AGENT);
        fchown(&home, Some(Uid::from_raw(agent)), Some(Gid::from_raw(agent)))
            .map_err(io_error("giving home to the sandbox's user"))?;
    }
    fchmod(&home, Mode::RWXU).map_err(io_error("closing home to others"))
}

fn write_json<T: serde::Serialize>(
    folder: BorrowedFd<'_>,
    name: &str,
    value: &T,
) -> Result<(), DriverError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| io_error(format!("writing {name}"))(io::Error::other(error)))?;
    write_file(folder, name, &text)
}

/// Writes a whole file or nothing.
fn write_file(folder: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<(), DriverError> {
    let context = || format!("writing {name}");
    let fresh = format!("{name}.new");
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file =
        openat(folder, &fresh, flags, Mode::RUSR | Mode::WUSR).map_err(io_error(context()))?;
    std::fs::File::from(file).write_all(content).map_err(io_error(context()))?;
    renameat(folder, &fresh, folder, name).map_err(io_error(context()))
}
