//! Which host paths a person may mount, and which not.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openshell_types::{FileId, Identity};
use thiserror::Error;

use crate::rootfs::OWN_ETC;

/// Places of the jail that no mount covers: they are part of how it holds.
const RESERVED: &[&str] = &["/proc", "/dev", "/sys", "/.openshell"];

/// How many entries of a folder are looked at for [`Refusal::Group`]; an ordinary project folder
/// has fewer, and the folder's own permissions were checked before.
const MOST_ENTRIES: usize = 4096;

/// Why a mount is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such path, or it cannot be reached.
    #[error("`{}` cannot be mounted: {cause}", path.display())]
    Source {
        /// The path on the host.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The path holds secrets or our own files, holds a folder that does, or lies in one.
    #[error(
        "`{}` cannot be mounted: `{}` holds secrets or OpenShell's own files; name exactly that \
         path if you mean to give it away",
        path.display(), secret.display()
    )]
    Secret {
        /// The path on the host.
        path: PathBuf,
        /// What it touches.
        secret: PathBuf,
    },
    /// The place in the jail is not one for a mount.
    #[error("`{}` is not a place for a mount: choose an absolute path such as /sandbox/src", path.display())]
    Target {
        /// The path in the jail.
        path: PathBuf,
    },
    /// Only a supplementary group of the caller's opens it, which the jail would inherit.
    #[error(
        "`{}` is readable for you only through the group {gid}, which a sandbox would then use \
         everywhere; copy what is needed, or change the file's owner or mode", path.display()
    )]
    Group {
        /// The path on the host.
        path: PathBuf,
        /// The group's number.
        gid: u32,
    },
}

/// Checks a mount that a person named, and gives the real path of its source, which is the one to
/// keep: what becomes a link later is refused when the jail is built.
///
/// `forbidden` are the folders with secrets and our own: equal to one, above or inside it is
/// refused, unless the source is that very path as the person wrote it.
pub fn check(source: &Path, target: &Path, forbidden: &[PathBuf]) -> Result<PathBuf, Refusal> {
    let unusable = |cause: &dyn std::fmt::Display| Refusal::Source {
        path: source.to_owned(),
        cause: cause.to_string(),
    };
    if !source.is_absolute() {
        return Err(unusable(&"it is not an absolute path"));
    }
    check_target(target)?;
    let real = source.canonicalize().map_err(|error| unusable(&error))?;
    if is_reserved(&real) {
        return Err(unusable(&"a sandbox has its own of these"));
    }
    if !forbidden.iter().any(|path| path == source)
        && let Some(secret) = touching(&real, forbidden)
    {
        return Err(Refusal::Secret { path: source.to_owned(), secret });
    }
    Ok(real)
}

fn check_target(target: &Path) -> Result<(), Refusal> {
    let is_plain = target.is_absolute()
        && target != Path::new("/")
        && target.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    let is_ours = RESERVED.iter().any(|path| target.starts_with(path))
        || target == Path::new("/etc")
        || target == Path::new(crate::spec::HOME)
        || OWN_ETC.iter().any(|name| target.starts_with(Path::new("/etc").join(name)));
    if is_plain && !is_ours { Ok(()) } else { Err(Refusal::Target { path: target.to_owned() }) }
}

/// Whether a host path is one that a jail never shares: the kernel's own file systems, or all.
pub(crate) fn is_reserved(real: &Path) -> bool {
    real == Path::new("/") || ["/proc", "/dev", "/sys"].iter().any(|path| real.starts_with(path))
}

/// The first of `forbidden` that `real` is, holds or lies in; by name and by file, so that another
/// mount of the same folder is the same folder.
pub(crate) fn touching(real: &Path, forbidden: &[PathBuf]) -> Option<PathBuf> {
    let id = file_id(real);
    let above = ids_above(real);
    forbidden
        .iter()
        .find(|secret| {
            let path = secret.canonicalize().unwrap_or_else(|_| secret.to_path_buf());
            real.starts_with(&path)
                || path.starts_with(real)
                || file_id(&path).is_some_and(|secret| above.contains(&secret))
                || id.is_some_and(|id| ids_above(&path).contains(&id))
        })
        .cloned()
}

fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|found| FileId { device: found.dev(), inode: found.ino() })
}

/// The files that `path` and the folders above it are, without the root, which holds everything.
fn ids_above(path: &Path) -> Vec<FileId> {
    path.ancestors().filter(|path| path.parent().is_some()).filter_map(file_id).collect()
}

/// Refuses a source that the caller reaches only through a supplementary group: without a block of
/// ids the jail keeps the caller's groups, and no map takes them away (K23). Looks at the source,
/// the folders on the way to it, and what lies directly in it.
pub fn check_groups(source: &Path, identity: Identity, groups: &[u32]) -> Result<(), Refusal> {
    let Identity::Caller { uid, gid } = identity else { return Ok(()) };
    let caller = Caller { uid, gid, groups };
    for folder in source.ancestors().skip(1) {
        caller.check(folder, Needs::Enter)?;
    }
    caller.check(source, Needs::Read)?;
    let entries = std::fs::read_dir(source).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.take(MOST_ENTRIES) {
        caller.check(&entry.path(), Needs::Read)?;
    }
    Ok(())
}

struct Caller<'a> {
    uid: u32,
    gid: u32,
    groups: &'a [u32],
}

#[derive(Clone, Copy)]
enum Needs {
    Read,
    Enter,
}

impl Caller<'_> {
    fn check(&self, path: &Path, needs: Needs) -> Result<(), Refusal> {
        // What cannot be looked at cannot be bound either; a link's own mode opens nothing.
        let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
        if found.is_symlink() || !self.needs_group(&found, needs) {
            return Ok(());
        }
        Err(Refusal::Group { path: path.to_owned(), gid: found.gid() })
    }

    fn needs_group(&self, found: &Metadata, needs: Needs) -> bool {
        let bit = match needs {
            Needs::Read => 0o4,
            Needs::Enter => 0o1,
        };
        if found.uid() == self.uid || found.gid() == self.gid {
            return false;
        }
        let through_group = found.mode() & (bit << 3) != 0 && self.groups.contains(&found.gid());
        through_group && found.mode() & bit == 0
    }
}

/// The groups that this process is in, for [`check_groups`].
pub fn own_groups() -> std::io::Result<Vec<u32>> {
    Ok(rustix::process::getgroups()?.into_iter().map(|gid| gid.as_raw()).collect())
}

#[cfg(test)]
mod tests;
