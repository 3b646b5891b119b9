//! The jail's root: what of the host is seen, and what is composed.
//!
//! [`open_sources`] runs in the supervisor, where that has the privilege; [`assemble`] runs in the
//! jail's init, which ends up in a root that it cannot leave: the old one is gone from its mount
//! namespace.

mod compose;
mod place;
mod source;

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

use crate::error::{BuildError, Step};
use crate::spec::JailSpec;
use crate::sys::{MountAttributes, Tree, set_attributes};

pub(crate) use compose::{LANDLOCK_PROBE, OWN_ETC};
pub(crate) use source::{Source, open_sources};

/// Builds the root out of `sources` and makes it this process's own.
pub(crate) fn assemble(spec: &JailSpec, sources: &[Source]) -> Result<(), BuildError> {
    isolate_mounts()?;
    let root = file_system("tmpfs", &[("mode", "0755"), ("size", "16m")])?;
    move_mount(root.as_fd(), c"", CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step_on("mount the jail's root over", "/")?;
    let root = root.as_fd();
    compose::folders(root)?;
    compose::devices(root)?;
    compose::proc(root)?;
    // The host's folders, then what links into them, then what may lie over either.
    let (system, asked): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.is_system());
    for source in system {
        source.attach(root)?;
    }
    compose::etc(root, spec)?;
    for source in asked {
        source.attach(root)?;
    }
    set_attributes(root, c"", Tree::Top, MountAttributes { read_only: true, ..Default::default() })
        .step("make the jail's root read-only")?;
    enter(root)
}

/// No mount of the host's reaches this namespace from now on, nor the other way.
fn isolate_mounts() -> Result<(), BuildError> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step("cut the jail's mounts from the host's")
        .map_err(|error| {
            error.fix("where AppArmor forbids mounts in a container, run it unconfined or with our profile")
        })
}

/// Makes `root` the root, and lets go of the old one.
fn enter(root: BorrowedFd<'_>) -> Result<(), BuildError> {
    const STEP: &str = "enter the jail's root";
    rustix::process::fchdir(root).step(STEP)?;
    // The old root is stacked on the new one's `.` and taken off from there.
    rustix::process::pivot_root(".", ".").step(STEP).map_err(|error| {
        error.fix("a supervisor needs a mounted root of its own: not the kernel's first ramfs")
    })?;
    unmount(".", UnmountFlags::DETACH).step("let go of the host's root")?;
    rustix::process::chdir("/").step(STEP)?;
    Ok(())
}

/// A new file system of type `kind` that is mounted nowhere yet.
fn file_system(kind: &str, options: &[(&str, &str)]) -> Result<std::os::fd::OwnedFd, BuildError> {
    let step = || format!("make a new {kind}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step(&step())?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value).step(&step())?;
    }
    fsconfig_create(context.as_fd()).step(&step())?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    if kind != "devpts" {
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).step(&step())
}

/// Puts the detached mount `tree` onto the file or folder `place`.
fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, c"", place, c"", flags)
}

/// A descriptor that only names what is at `path`.
fn name_of(at: BorrowedFd<'_>, path: &std::path::Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(at, path, flags, Mode::empty())
}
