//! What is in force in a jail, as the kernel tells it.

use serde::{Deserialize, Serialize};

/// What was read back after the seal; shown by `openshell sandbox inspect` and kept with the
/// sandbox's audit events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Landlock.
    pub landlock: LandlockReport,
    /// The system call filter.
    pub seccomp: SeccompReport,
    /// `NoNewPrivs` of `/proc/self/status`.
    pub no_new_privs: bool,
    /// `CapEff`, in hexadecimal as the kernel prints it.
    pub capabilities_effective: String,
    /// `CapBnd`, likewise.
    pub capabilities_bounding: String,
    /// `/proc/self/uid_map`: inside, outside, count.
    pub uid_map: Vec<[u32; 3]>,
    /// `/proc/self/gid_map`, likewise.
    pub gid_map: Vec<[u32; 3]>,
    /// The namespaces of the jail, such as `net:[4026532000]`; none is the supervisor's.
    pub namespaces: Vec<String>,
    /// How the capture of connections is done.
    pub capture: String,
    /// The forbidden things that were tried, and what the kernel said.
    pub self_test: Vec<ProbeResult>,
    /// What was left out of the view, and why.
    pub notes: Vec<String>,
}

/// Landlock's part of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockReport {
    /// The highest ABI that the kernel has.
    pub abi: u32,
    /// Whether all that this ABI can do was taken.
    pub enforced: bool,
    /// Whether signals and abstract Unix sockets end at the jail's edge.
    pub scoped: bool,
}

/// The filter's part of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeccompReport {
    /// `Seccomp` of `/proc/self/status`; 2 is a filter.
    pub mode: u32,
    /// `Seccomp_filters` there.
    pub filters: u32,
}

/// One forbidden thing that the self-test tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeResult {
    /// The layer that must refuse it, such as `landlock`.
    pub layer: String,
    /// What was tried.
    pub attempt: String,
    /// Whether it was refused as it must be.
    pub refused: bool,
    /// What the kernel said.
    pub outcome: String,
}
