//! Removing a folder that a jail has filled.
//!
//! Names are looked up one at a time beneath open folders, no link is followed and no mount is
//! entered. Nested folders are first hoisted to the top, so the depth of the tree costs neither
//! stack nor descriptors. The jail has ended before this runs; nothing is trusted all the same.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, chmod, fchmod, openat2, renameat_with,
    unlinkat,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Names read from a folder at a time, so that a folder of millions costs little memory.
const BATCH: usize = 1024;

/// Removes `name` of `parent` and all that is in it; one that is not there is no error.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    let top = match open_folder(parent, &name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(parent, &name, AtFlags::empty())?),
        Err(error) => return Err(error.into()),
    };
    let mut fresh = FreshNames::new()?;
    loop {
        let entries = batch(top.as_fd())?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if !remove_plain(top.as_fd(), &entry)? {
                empty_into(top.as_fd(), &entry, &mut fresh)?;
            }
        }
    }
    Ok(unlinkat(parent, &name, AtFlags::REMOVEDIR)?)
}

/// Removes a file or an empty folder; says whether that was enough.
fn remove_plain(folder: BorrowedFd<'_>, name: &CString) -> io::Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Empties the folder `name` of `top` and removes it; what is nested in it comes to `top`.
fn empty_into(top: BorrowedFd<'_>, name: &CString, fresh: &mut FreshNames) -> io::Result<()> {
    let folder = open_folder(top, name)?;
    loop {
        let entries = batch(folder.as_fd())?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if !remove_plain(folder.as_fd(), &entry)? {
                hoist(folder.as_fd(), &entry, top, fresh)?;
            }
        }
    }
    Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

fn hoist(
    folder: BorrowedFd<'_>,
    name: &CString,
    top: BorrowedFd<'_>,
    fresh: &mut FreshNames,
) -> io::Result<()> {
    // Moving a folder needs write permission on it, which opening it here sees to.
    drop(open_folder(folder, name)?);
    loop {
        match renameat_with(folder, name, top, fresh.next(), RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a folder for reading, and makes it readable and writable for its owner.
fn open_folder(parent: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd, Errno> {
    // SECURITY: K9: one component at a time, no link, no mount point: what a jail left behind
    // cannot lead the removal out of its own folder.
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat2(parent, name, OFlags::RDONLY | flags, Mode::empty(), resolve) {
        Err(Errno::ACCESS) => {
            let path = openat2(parent, name, OFlags::PATH | flags, Mode::empty(), resolve)?;
            chmod(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&path)), Mode::RWXU)?;
            openat2(parent, name, OFlags::RDONLY | flags, Mode::empty(), resolve)?
        }
        other => other?,
    };
    fchmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

/// Up to [`BATCH`] names of `folder`.
fn batch(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
            if names.len() == BATCH {
                break;
            }
        }
    }
    Ok(names)
}

/// Names that a jail cannot have guessed.
struct FreshNames {
    prefix: u64,
    count: u64,
}

impl FreshNames {
    fn new() -> io::Result<Self> {
        let mut bytes = [0_u8; 8];
        getrandom(&mut bytes, GetRandomFlags::empty())?;
        Ok(Self { prefix: u64::from_ne_bytes(bytes), count: 0 })
    }

    fn next(&mut self) -> String {
        self.count = self.count.wrapping_add(1);
        format!(".removing-{:016x}-{}", self.prefix, self.count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, mkdirat, openat};

    use super::*;

    #[test]
    fn k09_removal_follows_no_link_out_of_the_folder() {
        let world = tempfile::tempdir().expect("temporary folder");
        let outside = world.path().join("outside");
        fs::create_dir(&outside).expect("folder");
        fs::write(outside.join("kept"), "x").expect("file");
        let box_path = world.path().join("box");
        fs::create_dir(&box_path).expect("folder");
        symlink(&outside, box_path.join("link")).expect("link");
        fs::create_dir_all(box_path.join("a/b/c")).expect("folders");
        symlink(&outside, box_path.join("a/b/c/link")).expect("link");
        fs::write(box_path.join("a/b/file"), "x").expect("file");
        fs::set_permissions(box_path.join("a/b"), fs::Permissions::from_mode(0o0)).expect("chmod");

        let parent = fs::File::open(world.path()).expect("parent");
        remove_tree(parent.as_fd(), "box").expect("removal");
        assert!(!box_path.exists());
        assert!(outside.join("kept").exists());
        remove_tree(parent.as_fd(), "box").expect("again");
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let world = tempfile::tempdir().expect("temporary folder");
        let parent = fs::File::open(world.path()).expect("parent");
        let mut at = openat(CWD, world.path(), OFlags::DIRECTORY, Mode::empty()).expect("open");
        for _ in 0..5000 {
            mkdirat(&at, "d", Mode::RWXU).expect("mkdir");
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).expect("open");
        }
        remove_tree(parent.as_fd(), "d").expect("removal");
        assert_eq!(fs::read_dir(world.path()).expect("list").count(), 0);
    }
}
