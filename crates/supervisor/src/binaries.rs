//! Which files the binary paths of a policy stand for in this jail.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use openshell_isolation::{Access, Bind};
use openshell_policy::{BinaryTable, Binding, Policy};
use openshell_types::FileId;
use rustix::fs::{
    Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2, readlink,
};

/// Resolves paths beneath the jail's root.
#[derive(Debug)]
pub(crate) struct Binaries {
    root: OwnedFd,
    /// What of the host is seen in the jail. A path that a policy shows is the name that it was
    /// given there, and its source where that leads.
    binds: Vec<Bind>,
}

impl Binaries {
    /// Over the jail's root, an `O_PATH` descriptor, and what of the host was bound into it.
    pub(crate) const fn new(root: OwnedFd, binds: Vec<Bind>) -> Self {
        Self { root, binds }
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
        let Ok(real) = readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new()) else {
            return Binding::Missing;
        };
        let real = Path::new(OsStr::from_bytes(real.as_bytes()));
        // SECURITY: J1: where the jail can write, whatever stands at the path proves nothing; be it
        // by another mount of the same folder.
        if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) || self.can_be_written(real) {
            return Binding::Writable;
        }
        Binding::Files(vec![FileId { device: stat.st_dev, inode: stat.st_ino }])
    }

    /// Whether a file, known by its path in the jail, lies beneath a host folder that some bind
    /// lets the jail write.
    fn can_be_written(&self, real: &Path) -> bool {
        let inner = self.binds.iter().filter(|bind| real.starts_with(&bind.target));
        let shown = inner.max_by_key(|bind| bind.target.components().count());
        let on_host = match shown {
            Some(bind) => match real.strip_prefix(&bind.target) {
                // Joining nothing would make a folder of a file.
                Ok(rest) if rest.as_os_str().is_empty() => bind.source.clone(),
                Ok(rest) => bind.source.join(rest),
                Err(_) => return true,
            },
            None => PathBuf::from(real),
        };
        let mut writable = self.binds.iter().filter(|bind| bind.access == Access::ReadWrite);
        writable.any(|bind| on_host.starts_with(&bind.source))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use openshell_isolation::Origin;
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
        let binaries = Binaries::new(root, Vec::new());
        assert_eq!(binaries.resolve("/bin/tool"), Binding::Writable);
        assert_eq!(binaries.resolve("/bin/out"), Binding::Missing);
        assert_eq!(binaries.resolve("/bin/none"), Binding::Missing);
    }

    #[test]
    fn j01_a_folder_that_is_mounted_twice_can_be_written_by_both_names() {
        let bind = |source: &str, target: &str, access, origin| Bind {
            source: source.into(),
            target: target.into(),
            access,
            origin,
        };
        let binds = vec![
            Bind::read_only("/usr", Origin::System),
            bind("/home/ada/src", "/sandbox/src", Access::ReadWrite, Origin::Mount),
            bind("/home/ada/src/bin", "/tools", Access::ReadOnly, Origin::Mount),
            // ~/now is a link to ~/src.
            bind("/home/ada/src", "/home/ada/now", Access::ReadOnly, Origin::Policy),
            bind("/home/ada/tool", "/one", Access::ReadOnly, Origin::Mount),
            bind("/usr/local/lib/x", "/sandbox/x", Access::ReadWrite, Origin::Mount),
        ];
        let root = rustix::fs::openat(CWD, "/", OFlags::PATH, Mode::empty()).expect("root");
        let binaries = Binaries::new(root, binds);
        for path in
            ["/tools/tool", "/sandbox/src/tool", "/home/ada/now/tool", "/usr/local/lib/x/tool"]
        {
            assert!(binaries.can_be_written(Path::new(path)), "{path}");
        }
        for path in ["/one", "/usr/bin/curl", "/usr/local/lib/xy"] {
            assert!(!binaries.can_be_written(Path::new(path)), "{path}");
        }
    }
}
