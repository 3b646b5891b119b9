//! Mount points: found or made beneath the jail's root without following any link.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

use crate::error::{BuildError, Step};

const STEP: &str = "make a place in the jail for";

/// What a mount point must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
}

impl Kind {
    pub(super) fn of(fd: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let mode = rustix::fs::fstat(fd)?.st_mode;
        Ok(if FileType::from_raw_mode(mode) == FileType::Directory {
            Self::Folder
        } else {
            Self::File
        })
    }
}

/// The mount point `path`, made with its parents where it is not there.
///
/// SECURITY: each component is opened by itself and none may be a link: what lies in `/sandbox`
/// was written by an agent, and a link there would move the mount elsewhere (K9).
pub(super) fn make(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, BuildError> {
    let mut names = components(path)?;
    let last = names.pop().ok_or_else(|| bad(path))?;
    let mut folder = rustix::io::dup(root).step_on(STEP, path)?;
    for name in names {
        folder = folder_in(folder.as_fd(), name).map_err(|error| explain(error, path))?;
    }
    match kind {
        Kind::Folder => folder_in(folder.as_fd(), last),
        Kind::File => file_in(folder.as_fd(), last),
    }
    .map_err(|error| explain(error, path))
}

/// What is at `path` already, with links resolved inside the jail's root; for our own binds only.
pub(super) fn find(root: BorrowedFd<'_>, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags, Mode::empty(), resolve).ok()
}

/// The names of an absolute path without `.` or `..`.
fn components(path: &Path) -> Result<Vec<&OsStr>, BuildError> {
    let mut parts = path.components();
    if parts.next() != Some(Component::RootDir) {
        return Err(bad(path));
    }
    parts
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(bad(path)),
        })
        .collect()
}

fn bad(path: &Path) -> BuildError {
    BuildError::new(STEP, "a place in the jail is an absolute path without `..`, and not `/`")
        .on(path)
}

fn folder_in(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(at, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            mkdirat(at, name, Mode::from_raw_mode(0o755))?;
            openat(at, name, flags, Mode::empty())
        }
        result => result,
    }
}

fn file_in(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = match openat(at, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
            openat(at, name, create | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
            openat(at, name, flags, Mode::empty())?
        }
        result => result?,
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Ok(found),
    }
}

fn explain(error: Errno, path: &Path) -> BuildError {
    let told = BuildError::system(STEP, error).on(path);
    match error {
        Errno::ROFS => told.fix("its folder is read-only in the jail; choose a place beneath /sandbox"),
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => told.fix(
            "something of another kind is there already, or a link; choose another place or remove it",
        ),
        _ => told,
    }
}
