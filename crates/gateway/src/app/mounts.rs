//! Which host paths a sandbox may be given.

use std::env;
use std::path::{Path, PathBuf};

use openshell_types::Mount;

use super::AppError;
use crate::limits::MOUNTS;
use crate::{MountCheck, Paths};

/// Checks mounts and tool binds as they came from a client, which may be of another version or
/// somebody else's. The sources become the real paths.
pub(crate) fn check(
    paths: &Paths,
    check: MountCheck,
    mounts: Vec<Mount>,
    tool_binds: Vec<PathBuf>,
) -> Result<(Vec<Mount>, Vec<PathBuf>), AppError> {
    if mounts.len() > MOUNTS || tool_binds.len() > MOUNTS {
        return Err(AppError::invalid("mounts", format!("more than {MOUNTS}")));
    }
    let forbidden = forbidden(paths);
    let refused = |field| move |message: String| AppError::Invalid { field, message };
    let mut targets = Vec::new();
    let mut checked = Vec::new();
    for mount in mounts {
        let source = check(&mount.source, &mount.target, &forbidden).map_err(refused("mounts"))?;
        if targets.contains(&mount.target) {
            let message = format!("two mounts at `{}`", mount.target.display());
            return Err(AppError::invalid("mounts", message));
        }
        targets.push(mount.target.clone());
        checked.push(Mount { source, ..mount });
    }
    for path in &tool_binds {
        // Bound at its own path and read-only, so the path itself stays as it was named.
        check(path, path, &forbidden).map_err(refused("tool_binds"))?;
    }
    Ok((checked, tool_binds))
}

/// Our own folders and binaries, and where people keep secrets.
fn forbidden(paths: &Paths) -> Vec<PathBuf> {
    let mut forbidden = vec![paths.config().to_owned(), paths.state().to_owned()];
    forbidden.extend(env::current_exe().ok());
    forbidden.extend(
        paths
            .home()
            .into_iter()
            .flat_map(|home| SECRETS.iter().map(move |below| Path::new(home).join(below))),
    );
    forbidden
}

/// Beneath the home folder: keys, tokens and browser profiles.
const SECRETS: [&str; 20] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".password-store",
    ".local/share/keyrings",
    ".config/gcloud",
    ".config/gh",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    ".config/opera",
    "snap/firefox",
];
