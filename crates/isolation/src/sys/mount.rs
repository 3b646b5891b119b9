//! `mount_setattr(2)`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// What to change on a mount or a tree of mounts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountAttributes<'a> {
    /// Make it read-only; never makes it writable.
    pub(crate) read_only: bool,
    /// Ignore device nodes.
    pub(crate) no_devices: bool,
    /// Refuse to run anything.
    pub(crate) no_execute: bool,
    /// Translate owners by the id map of this user namespace.
    pub(crate) id_map: Option<BorrowedFd<'a>>,
}

/// How much of a tree is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// The one mount.
    Top,
    /// It and all beneath it.
    Whole,
}

const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NOSUID: u64 = 0x2;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_NOEXEC: u64 = 0x8;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const AT_RECURSIVE: libc::c_int = 0x8000;

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct RawAttributes {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes the mount that `at` and `path` name (an empty `path` names `at` itself). Set-id bits are
/// always ignored from then on, and events never propagate to or from another namespace.
pub(crate) fn set_attributes(
    at: BorrowedFd<'_>,
    path: &CStr,
    tree: Tree,
    attributes: MountAttributes<'_>,
) -> io::Result<()> {
    let mut set = MOUNT_ATTR_NOSUID;
    for (wanted, bit) in [
        (attributes.read_only, MOUNT_ATTR_RDONLY),
        (attributes.no_devices, MOUNT_ATTR_NODEV),
        (attributes.no_execute, MOUNT_ATTR_NOEXEC),
        (attributes.id_map.is_some(), MOUNT_ATTR_IDMAP),
    ] {
        if wanted {
            set |= bit;
        }
    }
    let map = attributes.id_map.and_then(|map| u64::try_from(map.as_raw_fd()).ok()).unwrap_or(0);
    let raw =
        RawAttributes { attr_set: set, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: map };
    let mut flags = libc::AT_EMPTY_PATH;
    if tree == Tree::Whole {
        flags |= AT_RECURSIVE;
    }
    // SAFETY: `path` is NUL-terminated and `raw` is as long as we say; both outlive the call, which
    // only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawAttributes>(),
        )
    };
    check(result).map(drop)
}
