//! What the two ends say to each other.

use std::collections::BTreeMap;

use openshell_types::TerminalSize;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A message that fits into a frame.
pub trait Frame: Serialize + DeserializeOwned {
    /// Whether so many descriptors may come with this message.
    fn takes(&self, descriptors: usize) -> bool;
}

/// What a supervisor asks of init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Run a command under the seal. Without a terminal, three descriptors may come along: its
    /// standard input, output and error. If none do, init makes pipes for them and sends their
    /// other ends with [`Event::Spawned`]: those belong to the agent, who can then open
    /// `/dev/stdout` and its like, also where the supervisor is another user.
    Spawn {
        /// The supervisor's name for the command, not used before.
        id: u64,
        /// The program and its arguments; a program without `/` is looked for in `PATH` of `env`.
        argv: Vec<String>,
        /// The whole environment.
        env: BTreeMap<String, String>,
        /// The working directory, absolute.
        cwd: String,
        /// The size of the terminal to make for it, if any.
        tty: Option<TerminalSize>,
    },
    /// Send a signal to a command that still runs; otherwise nothing happens.
    Signal {
        /// The command.
        id: u64,
        /// The signal's number.
        signal: i32,
        /// To the command's whole process group.
        group: bool,
    },
}

impl Frame for Request {
    fn takes(&self, descriptors: usize) -> bool {
        match self {
            Self::Spawn { tty: None, .. } => descriptors == 0 || descriptors == 3,
            Self::Spawn { tty: Some(_), .. } | Self::Signal { .. } => descriptors == 0,
        }
    }
}

/// What init tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The program was loaded. With a terminal, its master end comes along; with pipes that init
    /// made, the ends for writing input and for reading output and error, in this order.
    Spawned {
        /// The command.
        id: u64,
        /// Its process id inside the jail, for display only.
        pid: u32,
    },
    /// The program could not be run.
    SpawnFailed {
        /// The command.
        id: u64,
        /// What went wrong.
        failure: SpawnFailure,
    },
    /// The command ended; children of its own may live on.
    Exited {
        /// The command.
        id: u64,
        /// Its exit code, or 128 and the signal's number.
        code: i32,
    },
}

impl Event {
    /// The command that the event is about.
    pub const fn id(&self) -> u64 {
        match self {
            Self::Spawned { id, .. } | Self::SpawnFailed { id, .. } | Self::Exited { id, .. } => {
                *id
            }
        }
    }
}

impl Frame for Event {
    fn takes(&self, descriptors: usize) -> bool {
        match self {
            Self::Spawned { .. } => matches!(descriptors, 0 | 1 | 3),
            Self::SpawnFailed { .. } | Self::Exited { .. } => descriptors == 0,
        }
    }
}

/// Why a program could not be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpawnFailure {
    /// What init was doing.
    pub stage: Stage,
    /// The system's error number.
    pub errno: i32,
}

impl SpawnFailure {
    /// The exit code that a shell would give: 127 for a program that is not there, 126 for one
    /// that cannot be run, 125 for a failure of ours.
    pub const fn exit_code(self) -> i32 {
        match (self.stage, self.errno) {
            (Stage::Program, libc::ENOENT | libc::ENOTDIR) => 127,
            (Stage::Program, _) => 126,
            _ => 125,
        }
    }
}

/// Which part of running a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The request itself: an empty `argv`, a NUL octet, a relative working directory.
    Request,
    /// Making the terminal.
    Terminal,
    /// Making the process.
    Process,
    /// Entering the working directory.
    WorkingDirectory,
    /// Finding and loading the program.
    Program,
}
