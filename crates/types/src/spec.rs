//! What a sandbox shall be: the stored form that a gateway hands to a supervisor.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{SandboxId, SandboxName, WorkspaceName};

/// The content of a sandbox's `spec.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSpec {
    /// Version of this format: [`SandboxSpec::VERSION`].
    pub version: u32,
    /// The sandbox's id.
    pub id: SandboxId,
    /// Its name.
    pub name: SandboxName,
    /// Its workspace.
    pub workspace: WorkspaceName,
    /// The main command; never empty.
    pub command: Vec<String>,
    /// The terminal of the main command, when it has one.
    pub terminal: Option<TerminalSize>,
    /// Variables that the person gave, on top of the composed ones.
    pub environment: BTreeMap<String, String>,
    /// Host folders and files that the person named.
    pub mounts: Vec<Mount>,
    /// Host paths without which the command is not found; bound read-only at their own path.
    pub tool_binds: Vec<PathBuf>,
    /// The main command waits until somebody attaches, so that no output or input is lost.
    pub await_attach: bool,
    /// The main command waits for the credentials, whose placeholders it is given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub await_credentials: bool,
    /// Which host uids and gids stand behind the jail's.
    pub identity: Identity,
}

impl SandboxSpec {
    /// The version that this build writes and reads.
    pub const VERSION: u32 = 1;
}

/// The size of a terminal, in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Width.
    pub cols: u16,
    /// Height.
    pub rows: u16,
}

/// One `--mount`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the jail.
    pub target: PathBuf,
    /// Whether the jail may write beneath it.
    pub writable: bool,
}

/// Which host ids stand behind the jail's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// The jail's one uid and gid are the caller's own.
    Caller {
        /// The caller's uid.
        uid: u32,
        /// The caller's gid.
        gid: u32,
    },
    /// Started by root: the jail's ids 0 to 65,533 are `start` to `start + 65533`; 65,535 of the
    /// block is the supervisor's own uid, which is not mapped.
    Block {
        /// First host id of the sandbox's block of 65,536.
        start: u32,
    },
}

impl Identity {
    /// How many ids a block has.
    pub const BLOCK: u32 = 65_536;
    /// How many of them are mapped into the jail.
    pub const MAPPED: u32 = 65_534;
    /// The agent's uid and gid within the jail, in both forms.
    pub const AGENT: u32 = 1000;
}
