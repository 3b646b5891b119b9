//! What the jail sees of the host, and the smallest folder that makes up a tool.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_types::Mount;

/// Folders that the jail sees read-only (contract 1).
const VISIBLE: [&str; 5] = ["/usr", "/bin", "/sbin", "/opt", "/nix/store"];

/// Folders that are the jail's own, whatever the host has there.
const OWN: [&str; 5] = ["/sandbox", "/tmp", "/dev", "/proc", "/etc"];

/// The host as far as finding a command goes.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    root: PathBuf,
    home: Option<PathBuf>,
    path: Vec<PathBuf>,
    jail_path: Vec<PathBuf>,
    visible: Vec<PathBuf>,
    mounts: Vec<Mount>,
}

impl Host {
    /// This machine, with the caller's home and PATH, and what is mounted into the jail.
    pub fn new(home: Option<&Path>, path: Vec<PathBuf>, mounts: &[Mount]) -> Self {
        Self::beneath(Path::new("/"), home, path, mounts)
    }

    /// A host whose system folders stand beneath `root`.
    pub fn beneath(root: &Path, home: Option<&Path>, path: Vec<PathBuf>, mounts: &[Mount]) -> Self {
        let system = |folder: &str| root.join(folder.trim_start_matches('/'));
        let mut visible: Vec<PathBuf> = VISIBLE.iter().map(|folder| system(folder)).collect();
        // /lib, /lib64, /libx32 …
        let libraries = fs::read_dir(root).into_iter().flatten().flatten();
        visible.extend(libraries.map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"lib"))
        }));
        Self {
            root: root.to_owned(),
            home: home.map(|home| fs::canonicalize(home).unwrap_or_else(|_| home.to_owned())),
            path,
            jail_path: super::JAIL_PATH.split(':').map(system).collect(),
            visible,
            mounts: mounts.to_vec(),
        }
    }

    /// The folders of the caller's PATH.
    pub fn path(&self) -> &[PathBuf] {
        &self.path
    }

    /// The folders of the jail's PATH, as they are on the host.
    pub fn jail_path(&self) -> &[PathBuf] {
        &self.jail_path
    }

    /// The caller's home.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Whether the jail sees this path without a bind. Links are not followed.
    pub fn is_visible(&self, path: &Path) -> bool {
        self.visible.iter().any(|folder| path.starts_with(folder))
            || self.mounts.iter().any(|mount| {
                mount.source == mount.target && path.starts_with(&mount.target)
            })
            // /etc/alternatives is composed from the host's.
            || path.starts_with(self.root.join("etc/alternatives"))
    }

    /// Whether this path means something else in the jail than on the host.
    pub fn is_in_jail_only(&self, path: &Path) -> bool {
        OWN.iter().any(|folder| path.starts_with(folder)) && !self.root.starts_with("/tmp")
            || self.mounts.iter().any(|mount| path.starts_with(&mount.target))
    }

    /// The path with the links of its folder resolved, so that `/bin` is `/usr/bin` where it is.
    pub fn real(&self, path: &Path) -> PathBuf {
        match (path.parent().map(fs::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    }

    /// Whether a folder is too much to show for one tool: the root, a home, or one that holds
    /// other people's or other programs' things.
    fn is_too_much(&self, folder: &Path) -> bool {
        let system = ["", "home", "root", "var", "srv", "mnt", "media", "run", "tmp", "snap"];
        if system.iter().any(|name| folder == self.root.join(name)) {
            return true;
        }
        let homes = self.root.join("home");
        if folder.parent() == Some(&homes) {
            return true;
        }
        let Some(home) = &self.home else { return false };
        // SECURITY: `bin` beside `lib` also makes ~/.local look like a tool.
        let shared = ["", ".local", ".local/share", ".cache", ".config", ".npm", ".cargo"];
        shared.iter().any(|name| folder == home.join(name)) || home.starts_with(folder)
    }
}

/// The smallest folder or file that makes up the tool with the program `path`.
pub(crate) fn of(path: &Path, host: &Host) -> PathBuf {
    [homebrew, node_package, version_folder, shared_data]
        .iter()
        .filter_map(|rule| rule(path, host))
        .find(|root| !host.is_too_much(root))
        .unwrap_or_else(|| path.to_owned())
}

/// Whether a program is of a Python environment.
pub(crate) fn is_environment(program: &Path) -> bool {
    program.parent().and_then(Path::parent).is_some_and(|root| root.join("pyvenv.cfg").is_file())
}

/// A Homebrew tree is one tool: its programs use each other's libraries.
fn homebrew(path: &Path, _: &Host) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.ends_with(".linuxbrew")).map(Path::to_owned)
}

/// The npm package, or all of `node_modules` where packages share their dependencies.
fn node_package(path: &Path, _: &Host) -> Option<PathBuf> {
    let modules = path
        .ancestors()
        .filter(|folder| folder.file_name().is_some_and(|name| name == "node_modules"))
        .last()?;
    if !modules.parent().is_some_and(|parent| parent.ends_with("lib")) {
        return Some(modules.to_owned());
    }
    let mut inside = path.strip_prefix(modules).ok()?.components();
    let first = inside.next()?;
    let package = modules.join(first);
    if first.as_os_str().as_encoded_bytes().starts_with(b"@") {
        return Some(package.join(inside.next()?));
    }
    Some(package)
}

/// The folder of one version of Node, Python and the like: `bin` beside what it needs.
fn version_folder(path: &Path, _: &Host) -> Option<PathBuf> {
    let bin = path.parent().filter(|bin| bin.ends_with("bin"))?;
    let root = bin.parent()?;
    let beside = ["lib", "lib64", "libexec", "include", "share", "pyvenv.cfg"];
    beside.iter().any(|name| root.join(name).exists()).then(|| root.to_owned())
}

/// `~/.local/share/TOOL`.
fn shared_data(path: &Path, host: &Host) -> Option<PathBuf> {
    let share = host.home()?.join(".local/share");
    let tool = path.strip_prefix(&share).ok()?.components().next()?;
    Some(share.join(tool))
}
