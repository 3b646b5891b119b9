//! What this machine can do for a jail: each thing is tried, in a process that ends with the try.

mod features;
mod host;

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use crate::sys;

pub use features::{capture, landlock, seccomp, user_namespaces};
pub use host::{cgroups, subordinate_ids};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What, such as `landlock`.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// What was found, in one line.
    pub detail: String,
    /// What to do, unless all is well.
    pub fix: Option<String>,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is there.
    Ok,
    /// Jails can be built, with less.
    Warn,
    /// No jail can be built.
    Fail,
}

impl Check {
    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, detail: detail.into(), fix: None }
    }

    fn warn(name: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warn, fix: Some(fix.into()), ..Self::ok(name, detail) }
    }

    fn fail(name: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, fix: Some(fix.into()), ..Self::ok(name, detail) }
    }
}

/// Everything, what no jail is built without first.
pub fn all() -> Vec<Check> {
    vec![user_namespaces(), landlock(), seccomp(), capture(), subordinate_ids(), cgroups()]
}

/// Runs `attempt` in a child; its words, or what kept it from speaking.
fn in_child(attempt: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
    let mut answer = ask(attempt).map_err(|error| format!("it could not be tried: {error}"))?;
    if answer.is_empty() {
        return Err("the try ended early".to_owned());
    }
    let words = answer.split_off(1);
    if answer == "+" { Ok(words) } else { Err(words) }
}

fn ask(attempt: impl FnOnce() -> Result<String, String>) -> io::Result<String> {
    let (heard, told) = pipe_with(PipeFlags::CLOEXEC)?;
    let pid = sys::fork(|| {
        let answer = match attempt() {
            Ok(words) => format!("+{words}"),
            Err(words) => format!("-{words}"),
        };
        let written = File::from(told).write_all(answer.as_bytes());
        i32::from(written.is_err())
    })?;
    // The child's end of the pipe is the only one left, so reading stops when it is done.
    let mut answer = String::new();
    let read = File::from(heard).read_to_string(&mut answer);
    rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))?;
    read.map(|_| answer)
}
