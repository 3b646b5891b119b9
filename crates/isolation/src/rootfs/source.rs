//! Host paths: opened as detached copies of their mounts, with the flags that the jail sees.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use openshell_types::Identity;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::place::{self, Kind};
use super::{attach, name_of};
use crate::error::{BuildError, Step};
use crate::jail::IdMaps;
use crate::spec::{Access, Bind, HOME, JailSpec, Origin, TRUST};
use crate::sys::{MountAttributes, Tree, set_attributes};

const STEP: &str = "open a host path for the jail";

/// A bind, and its mount if that was opened already.
#[derive(Debug)]
pub(crate) struct Source {
    bind: Bind,
    tree: Option<OwnedFd>,
}

/// What the jail of `spec` sees of the host, outermost first. With a block of ids the mounts are
/// opened here, where the caller is root; otherwise init opens them, which alone may.
pub(crate) fn open_sources(spec: &JailSpec) -> Result<Vec<Source>, BuildError> {
    let home = Bind {
        source: spec.home.clone(),
        target: PathBuf::from(HOME),
        access: Access::ReadWrite,
        origin: Origin::Home,
    };
    let mut binds = vec![home];
    for bind in &spec.binds {
        if !binds.iter().any(|other| other.covers(bind)) {
            binds.push(bind.clone());
        }
    }
    // A mount hides what was mounted beneath its place before it, so the outer ones come first.
    binds.sort_by_key(|bind| bind.target.components().count());
    let Identity::Block { start } = spec.identity else {
        return Ok(binds.into_iter().map(|bind| Source { bind, tree: None }).collect());
    };
    let mut maps = IdMaps::new(start);
    binds
        .into_iter()
        .map(|bind| {
            if link_target(&bind).is_some() {
                return Ok(Source { bind, tree: None });
            }
            let tree = open(&bind, Some(&mut maps))?;
            Ok(Source { bind, tree: Some(tree) })
        })
        .collect()
}

impl Source {
    /// The open mount, which init inherits.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.tree.as_ref().map(AsFd::as_fd)
    }

    /// Whether it is a folder of the host's that every jail has.
    pub(super) fn is_system(&self) -> bool {
        self.bind.origin == Origin::System && self.bind.source == self.bind.target
    }

    /// Puts the bind into the jail whose root is `root`.
    pub(super) fn attach(&self, root: BorrowedFd<'_>) -> Result<(), BuildError> {
        if let Some(target) = link_target(&self.bind) {
            return link(root, &self.bind, &target);
        }
        let opened;
        let tree = match &self.tree {
            Some(tree) => tree.as_fd(),
            None => {
                opened = open(&self.bind, None)?;
                opened.as_fd()
            }
        };
        let path = &self.bind.target;
        let kind = Kind::of(tree).step_on(STEP, &self.bind.source)?;
        let found = match self.bind.origin {
            Origin::System | Origin::Trust => place::find(root, path),
            Origin::Policy | Origin::Mount | Origin::Tool | Origin::Home => None,
        };
        // A list that the host has under this name, and that the jail does not see, is not covered.
        let is_ours = path.as_path() == Path::new(TRUST);
        if self.bind.origin == Origin::Trust && found.is_none() && !is_ours {
            return Ok(());
        }
        let place = match found {
            Some(place) => place,
            None => place::make(root, path, kind)?,
        };
        attach(tree, place.as_fd()).step_on("bind a host path at", path)
    }
}

/// Where a link of the host's root leads that the jail shows as the same link (`/bin`, `/lib64`).
fn link_target(bind: &Bind) -> Option<PathBuf> {
    let is_system = bind.origin == Origin::System && bind.source == bind.target;
    is_system.then(|| std::fs::read_link(&bind.source).ok()).flatten()
}

fn link(root: BorrowedFd<'_>, bind: &Bind, target: &Path) -> Result<(), BuildError> {
    let name = bind.target.strip_prefix("/").unwrap_or(&bind.target);
    rustix::fs::symlinkat(target, root, name).step_on("make the link", &bind.target)
}

/// A detached copy of the mounts at and beneath `bind.source`, with its flags set.
fn open(bind: &Bind, maps: Option<&mut IdMaps>) -> Result<OwnedFd, BuildError> {
    let path = &bind.source;
    let named = name_source(bind).map_err(|error| explain(error, path))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(named.as_fd(), c"", flags).step_on(STEP, path)?;
    let map = match maps {
        Some(maps) if bind.is_id_mapped() => Some(maps.owner_of(named.as_fd(), path)?),
        Some(maps) if bind.origin == Origin::Home => {
            maps.give_home(path)?;
            None
        }
        _ => None,
    };
    let attributes = MountAttributes {
        read_only: bind.access == Access::ReadOnly,
        no_devices: true,
        id_map: map,
        ..MountAttributes::default()
    };
    set_attributes(tree.as_fd(), c"", Tree::Whole, attributes)
        .step_on("set the flags of", path)
        .map_err(|error| match map {
            Some(_) if error.errno == Some(libc::EINVAL) => error.fix(
                "its file system cannot be id-mapped, which a mount needs when root starts a \
                 sandbox: put the folder on ext4, xfs, btrfs or tmpfs, or start the sandbox as the \
                 user who owns it",
            ),
            _ => error,
        })?;
    Ok(tree)
}

/// Names what lies at the source. Where a person or we ourselves named the path, nothing on it may
/// have become a link since it was checked.
fn name_source(bind: &Bind) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match bind.origin {
        // SECURITY: another sandbox may write the folder that holds this one, and put a link to
        // ~/.ssh in its place (K9). The sources are real paths, so no link is missed.
        Origin::Mount | Origin::Policy | Origin::Tool | Origin::Trust => openat2(
            CWD,
            &bind.source,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        ),
        Origin::Home => {
            let named = name_of(CWD, &bind.source)?;
            match FileType::from_raw_mode(rustix::fs::fstat(&named)?.st_mode) {
                FileType::Directory => Ok(named),
                _ => Err(Errno::NOTDIR),
            }
        }
        Origin::System => rustix::fs::open(&bind.source, flags, Mode::empty()),
    }
}

fn explain(error: Errno, path: &Path) -> BuildError {
    let told = BuildError::system(STEP, error).on(path);
    match error {
        Errno::NOENT => told.fix("the path must exist on the host"),
        Errno::LOOP => told.fix("a mount is named by its real path, without links on the way"),
        Errno::ACCESS => told.fix("you cannot open it yourself, so neither can a sandbox of yours"),
        _ => told,
    }
}
