//! What a jail sees of the host when nobody says otherwise.

use std::path::{Path, PathBuf};

use openshell_types::Mount;

use crate::mounts;
use crate::rootfs::OWN_ETC;
use crate::spec::{Access, Bind, Origin, is_composed};

/// Folders of the host that every sandbox sees read-only, where they exist; `/lib*` besides.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/opt", "/nix/store"];

/// What a policy and a person add to the default view.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// The policy's `read_only` paths.
    pub read_only: &'a [PathBuf],
    /// The policy's `read_write` paths: they pick among `/sandbox`, `/tmp` and the mounts.
    pub read_write: &'a [PathBuf],
    /// What the person named with `--mount`, checked by [`mounts::check`].
    pub mounts: &'a [Mount],
    /// Folders without which the command is not found.
    pub tools: &'a [PathBuf],
    /// Folders that a policy cannot add: secrets, and our own.
    pub forbidden: &'a [PathBuf],
}

/// The binds of a view, and a line for each path that is left out of it.
pub fn default_binds(view: &View<'_>) -> (Vec<Bind>, Vec<String>) {
    let mut binds = system_binds();
    let mut notes = Vec::new();
    for path in view.tools {
        match tool_bind(path, view.forbidden) {
            Ok(bind) => binds.push(bind),
            Err(note) => notes.push(note),
        }
    }
    binds.extend(view.mounts.iter().map(|mount| Bind {
        source: mount.source.clone(),
        target: mount.target.clone(),
        access: if mount.writable { Access::ReadWrite } else { Access::ReadOnly },
        origin: Origin::Mount,
    }));
    for path in view.read_only {
        match policy_bind(path, &binds, view.forbidden) {
            Ok(bind) => binds.extend(bind),
            Err(note) => notes.push(note),
        }
    }
    for path in view.read_write {
        if !is_composed(path) && !is_mounted(path, view.mounts) {
            notes.push(format!(
                "`{}` is not writable in the sandbox: only --mount makes a host folder writable",
                path.display()
            ));
        }
    }
    (binds, notes)
}

fn system_binds() -> Vec<Bind> {
    let libraries = std::fs::read_dir("/").into_iter().flatten().filter_map(Result::ok);
    let libraries = libraries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("lib")))
        .map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).chain(libraries).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| Bind::read_only(path, Origin::System))
        .collect()
}

/// The bind for a tool at its own path: of what is there now, if that is still no secret.
fn tool_bind(path: &Path, forbidden: &[PathBuf]) -> Result<Bind, String> {
    let bind = Bind::read_only(path, Origin::Tool);
    // Opening one that is not there says why there is no jail.
    let Ok(real) = path.canonicalize() else { return Ok(bind) };
    // SECURITY: K9: another sandbox may have put a link there since the gateway looked.
    if let Some(secret) = mounts::touching(&real, forbidden) {
        let (path, secret) = (path.display(), secret.display());
        return Err(format!("the tool `{path}` is left out: `{secret}` is kept from sandboxes"));
    }
    Ok(Bind { source: real, ..bind })
}

/// The bind for a path of the policy's `read_only`; nothing where the jail has it already.
fn policy_bind(path: &Path, binds: &[Bind], forbidden: &[PathBuf]) -> Result<Option<Bind>, String> {
    let is_shown = |path: &Path| binds.iter().any(|bind| path.starts_with(&bind.target));
    if is_shown(path) || is_own(path) {
        return Ok(None);
    }
    let shown = path.display();
    let Ok(real) = path.canonicalize() else {
        return Err(format!("`{shown}` is left out: it does not exist on this machine"));
    };
    // SECURITY: a policy comes from somebody else; what a person must name exactly, it cannot.
    if let Some(secret) = mounts::touching(&real, forbidden) {
        return Err(format!("`{shown}` is left out: `{}` is kept from policies", secret.display()));
    }
    if mounts::is_reserved(&real) {
        return Err(format!("`{shown}` is left out: the sandbox has its own"));
    }
    Ok(Some(Bind { source: real, ..Bind::read_only(path, Origin::Policy) }))
}

/// Whether the jail has its own `path`: all but a further file of `/etc`.
fn is_own(path: &Path) -> bool {
    match path.strip_prefix("/etc").ok().and_then(|rest| rest.components().next()) {
        Some(name) => OWN_ETC.iter().any(|own| name.as_os_str() == *own),
        None => is_composed(path),
    }
}

fn is_mounted(path: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| mount.writable && path.starts_with(&mount.target))
}
