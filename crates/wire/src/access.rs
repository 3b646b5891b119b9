//! Who may call which method, as the `.proto` files declare it.

/// Every method of every service.
pub const METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// One method and who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The path of its requests: `/package.Service/Method`.
    pub path: &'static str,
    /// Which kind of caller it is for.
    pub mode: Mode,
    /// The least role in the workspace that it is about.
    pub workspace_role: Option<WorkspaceRole>,
    /// Whether it is for platform admins only.
    pub platform_admin: bool,
    /// The scope that a token must carry when scopes are in use; may be empty.
    pub scope: &'static str,
}

impl Method {
    /// The method whose requests have this path.
    pub fn of_path(path: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.path == path)
    }
}

/// Which kind of caller a method is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Anybody.
    Unauthenticated,
    /// A person or a program of theirs.
    Bearer,
    /// A supervisor.
    Sandbox,
    /// Both of these.
    Dual,
    /// The operator's own program, by its client certificate.
    Operator,
    /// Another gateway of the same installation.
    Peer,
}

/// A role in a workspace; the later includes the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkspaceRole {
    /// Uses sandboxes.
    User,
    /// Changes what they may do.
    Admin,
}
