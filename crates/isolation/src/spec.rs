//! What a jail shall be.

use std::path::{Path, PathBuf};

use openshell_types::Identity;
use serde::{Deserialize, Serialize};

/// Everything that [`crate::build`] needs to know.
#[derive(Clone, Debug)]
pub struct JailSpec {
    /// The host name inside: the sandbox's name.
    pub hostname: String,
    /// Which host ids stand behind the jail's.
    pub identity: Identity,
    /// What of the host is seen inside, and how. `/sandbox`, `/etc`, `/proc`, `/dev` and `/tmp`
    /// are composed and need no bind.
    pub binds: Vec<Bind>,
    /// The host folder that is `/sandbox` inside, writable. Its content is hostile.
    pub home: PathBuf,
    /// What Landlock must do.
    pub landlock: LandlockMode,
}

/// A host path that is seen in the jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the jail.
    pub target: PathBuf,
    /// Whether it can be written.
    pub access: Access,
    /// Who asked for it.
    pub origin: Origin,
}

impl Bind {
    /// A bind that is seen read-only at its own path.
    pub fn read_only(path: impl Into<PathBuf>, origin: Origin) -> Self {
        let source = path.into();
        Self { target: source.clone(), source, access: Access::ReadOnly, origin }
    }

    /// Whether `other` shows nothing that this bind does not show already.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.target == self.source
            && other.target == other.source
            && self.access == other.access
            && other.target.starts_with(&self.target)
    }

    /// Whether the bind's files keep their owner through an id map: those that a person mounted.
    pub(crate) const fn is_id_mapped(&self) -> bool {
        matches!(self.origin, Origin::Mount)
    }
}

/// What the jail may do with a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Also change, but make no device nodes.
    ReadWrite,
}

/// Who asked for a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The default view.
    System,
    /// A policy's `read_only`.
    Policy,
    /// A person's `--mount`.
    Mount,
    /// The command's own tool folder.
    Tool,
    /// The sandbox's private folder.
    Home,
    /// Our own list of the authorities to trust: the folder [`TRUST`], and files that lie over the
    /// host's lists where the jail has those.
    Trust,
}

/// What happens where Landlock cannot be enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandlockMode {
    /// The jail is not built.
    #[default]
    Required,
}

/// The folder in the jail that says whom to trust.
pub const TRUST: &str = "/etc/openshell-tls";

/// Where the private folder stands in the jail.
pub(crate) const HOME: &str = "/sandbox";

/// Folders that are composed, so no bind is needed for a path beneath them.
pub(crate) const COMPOSED: &[&str] = &["/etc", "/proc", "/dev", "/tmp", HOME];

/// Whether `path` lies beneath a composed folder, or is one.
pub(crate) fn is_composed(path: &Path) -> bool {
    COMPOSED.iter().any(|composed| path.starts_with(composed))
}
