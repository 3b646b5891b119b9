//! Names of Unix sockets, resolved as the jail means them.
//!
//! The identifier stands outside of the jail, so a name must never be resolved against its own
//! root. Sockets on what was mounted from the host belong to the host (the gateway's, an agent's
//! for keys, a container daemon's), and are refused unless the person named them (K22).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use openshell_types::FileId;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, makedev, openat2, statx,
};

use super::process::{Process, Status};
use super::sys;

/// Offset of the path in `struct sockaddr_un`.
const PATH: usize = 2;

/// Which sockets of the jail may be reached by name.
#[derive(Debug)]
pub(super) struct Names {
    root: OwnedFd,
    /// Mounts that are the jail's own.
    private: Vec<u64>,
    /// Sockets that the person named.
    named: Vec<(u64, FileId)>,
}

impl Names {
    /// Reads which mounts are behind the `private` paths, and pins the `named` sockets.
    pub(super) fn new(root: OwnedFd, private: &[PathBuf], named: &[PathBuf]) -> io::Result<Self> {
        let private = private
            .iter()
            .map(|path| Place::find(root.as_fd(), path).map(|place| place.mount))
            .collect::<io::Result<_>>()?;
        let named = named
            .iter()
            .map(|path| Place::find(root.as_fd(), path).map(|place| (place.mount, place.file)))
            .collect::<io::Result<_>>()?;
        Ok(Self { root, private, named })
    }

    /// The jail's root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The address at which the identifier reaches the socket that `address` names for `caller`,
    /// and what keeps it valid. Abstract and odd addresses stay what they are: they are looked up
    /// in the socket's own network namespace.
    pub(super) fn translate(
        &self,
        address: &[u8],
        caller: (&Process, &Status),
    ) -> Result<(Vec<u8>, Option<Place>), i32> {
        let Some(path) = address.get(PATH..).filter(|path| path.first().is_some_and(|c| *c != 0))
        else {
            return Ok((address.to_vec(), None));
        };
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut full = if path.starts_with(b"/") {
            Vec::new()
        } else {
            caller.0.folder().map_err(|error| errno(&error))?
        };
        full.push(b'/');
        full.extend(path);
        let full = Path::new(std::ffi::OsStr::from_bytes(&full));
        let place = Place::find(self.root.as_fd(), full).map_err(|error| errno(&error))?;
        if !place.is_socket {
            return Err(libc::ECONNREFUSED);
        }
        // SECURITY: a host's socket on a mounted folder (K22). Hard links and renames do not cross
        // mounts, so the jail cannot carry one to a mount of its own.
        let known =
            self.private.contains(&place.mount) || self.named.contains(&(place.mount, place.file));
        if !known || !place.may_write(caller.1) {
            return Err(libc::EACCES);
        }
        let path = format!("/proc/self/fd/{}\0", sys::number(place.fd.as_fd()));
        let family = address.get(..PATH).unwrap_or_default();
        Ok(([family, path.as_bytes()].concat(), Some(place)))
    }
}

/// A file beneath the jail's root, pinned.
#[derive(Debug)]
pub(super) struct Place {
    fd: OwnedFd,
    mount: u64,
    file: FileId,
    is_socket: bool,
    mode: u32,
    owner: (u32, u32),
}

impl Place {
    fn find(root: BorrowedFd<'_>, path: &Path) -> io::Result<Self> {
        // SECURITY: links of the jail's stay beneath its root, and links of /proc, which mean other
        // things to us than to the caller, are not followed.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let stat: Statx = statx(&fd, "", AtFlags::EMPTY_PATH, wanted)?;
        if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
        Ok(Self {
            fd,
            mount: stat.stx_mnt_id,
            file: FileId { device, inode: stat.stx_ino },
            is_socket: FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Socket,
            mode: stat.stx_mode.into(),
            owner: (stat.stx_uid, stat.stx_gid),
        })
    }

    /// Whether the mode lets the caller write, which is what connecting needs. The kernel asks the
    /// same for the identifier, which may be in groups that the caller is not in.
    fn may_write(&self, caller: &Status) -> bool {
        let (uid, gid) = self.owner;
        let class = if caller.uid == uid {
            0o200
        } else if caller.gid == gid || caller.groups.contains(&gid) {
            0o020
        } else {
            0o002
        };
        self.mode & class != 0
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EACCES)
}
