//! What the gateway is told about the sandbox.

/// How far the sandbox has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The jail stands, the main command waits for its first client or is being started.
    Starting,
    /// The main command runs.
    Ready,
    /// The main command ended.
    Completed,
    /// There is no jail, or it broke.
    Error,
}

/// Phase and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// How far the sandbox has come.
    pub(crate) phase: Phase,
    /// The main command's exit code.
    pub(crate) exit_code: Option<i32>,
    /// Why the phase is an error, or why the command could not start.
    pub(crate) error: String,
    /// Process id, as the host sees it, of the process behind the main command; 0 before.
    pub(crate) main_pid: u32,
    /// JSON of the isolation report.
    pub(crate) report: String,
}

impl Status {
    /// The status of a sandbox whose jail stands.
    pub(crate) const fn starting(report: String) -> Self {
        Self { phase: Phase::Starting, exit_code: None, error: String::new(), main_pid: 0, report }
    }

    /// The status of a sandbox that could not be made.
    pub(crate) const fn failed(error: String) -> Self {
        Self { phase: Phase::Error, exit_code: None, error, main_pid: 0, report: String::new() }
    }
}
