//! Which files the binary paths of a policy stand for in this jail.

use std::os::fd::OwnedFd;

use openshell_policy::{BinaryTable, Binding, Policy};
use openshell_types::FileId;
use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};

/// Resolves paths beneath the jail's root.
#[derive(Debug)]
pub(crate) struct Binaries {
    root: OwnedFd,
}

impl Binaries {
    /// Over the jail's root, an `O_PATH` descriptor.
    pub(crate) const fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// What each literal path of `policy` stands for now.
    pub(crate) fn table(&self, policy: &Policy) -> BinaryTable {
        let mut table = BinaryTable::new();
        for path in policy.binary_paths() {
            table.insert(path, self.resolve(path));
        }
        table
    }

    fn resolve(&self, path: &str) -> Binding {
        // SECURITY: J1: links are followed as the jail would follow them, and never out of it.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let Ok(file) = openat2(&self.root, path, flags, Mode::empty(), resolve) else {
            return Binding::Missing;
        };
        let (Ok(stat), Ok(mount)) = (fstat(&file), fstatvfs(&file)) else {
            return Binding::Missing;
        };
        // SECURITY: J1: where the jail can write, whatever stands at the path proves nothing.
        if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Binding::Writable;
        }
        Binding::Files(vec![FileId { device: stat.st_dev, inode: stat.st_ino }])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn j01_a_path_on_a_writable_mount_or_out_of_the_root_is_bound_to_nothing() {
        let world = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(world.path().join("bin")).expect("folder");
        fs::write(world.path().join("bin/tool"), "x").expect("file");
        let outside = tempfile::NamedTempFile::new().expect("file");
        std::os::unix::fs::symlink(outside.path(), world.path().join("bin/out")).expect("link");
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let root = rustix::fs::openat(CWD, world.path(), flags, Mode::empty()).expect("root");
        let binaries = Binaries::new(root);
        assert_eq!(binaries.resolve("/bin/tool"), Binding::Writable);
        assert_eq!(binaries.resolve("/bin/out"), Binding::Missing);
        assert_eq!(binaries.resolve("/bin/none"), Binding::Missing);
    }
}
