//! The sections of a policy that the jail is built from.

/// What the agent may see and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Whether the working directory is writable.
    pub include_workdir: bool,
    /// Absolute paths that may be read.
    pub read_only: Vec<String>,
    /// Absolute paths that may be read and written.
    pub read_write: Vec<String>,
}

/// What an absent path or feature means for Landlock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Landlock {
    /// Paths that do not exist are skipped. A kernel without Landlock is refused all the same.
    #[default]
    BestEffort,
    /// A path that does not exist is refused, too.
    HardRequirement,
}

/// As whom the agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its user.
    pub run_as_user: RunAs,
    /// Its group.
    pub run_as_group: RunAs,
}

/// A user or group within the jail; never root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunAs {
    /// The one that every jail has.
    #[default]
    Sandbox,
    /// A number, which needs subordinate ids.
    Id(u32),
}
