//! Child processes with a deadline.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(2);

/// What a process left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, 128 + n for a signal as a shell has it, or `None` if the deadline passed and
    /// the process was killed.
    pub code: Option<i32>,
    /// All that it wrote to standard output.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Finished {
    /// This value, or a failed test that shows what the process said.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// This value, or a failed test that shows what the process said.
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit code {code} after {:?}", self.took)?,
            None => write!(f, "killed at the deadline after {:?}", self.took)?,
        }
        write!(f, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Runs `command` to its end or to the deadline, with its output collected.
///
/// A grandchild that keeps the output open does not hold this up: what it writes after the child
/// has ended is not waited for.
pub fn finish(command: &mut Command, deadline: Duration) -> Finished {
    let started = Instant::now();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, deadline);
    Finished {
        code: status.map(shell_code),
        stdout: text(stdout),
        stderr: text(stderr),
        took: started.elapsed(),
    }
}

/// Waits for `child`; kills it at the deadline and returns `None`.
pub(crate) fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        if started.elapsed() > deadline {
            child.kill().expect("a child can be killed");
            child.wait().expect("the child can be waited for");
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Runs a program of the system that must succeed, and returns what it printed.
pub(crate) fn must(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", SYSTEM_PATH).stdin(Stdio::null());
    finish(&mut command, Duration::from_secs(20)).succeeded().stdout
}

/// Where `ip`, `nft` and `unshare` are; an ordinary user's own path often lacks the first two.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let into = bytes.clone();
    let reader = thread::spawn(move || {
        let mut chunk = [0u8; 8192];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let mut into = into.lock().expect("no reader panics");
            into.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
    });
    Collected { bytes, reader }
}

fn text(collected: Option<Collected>) -> String {
    let Some(Collected { bytes, reader }) = collected else { return String::new() };
    let patience = Instant::now();
    while !reader.is_finished() && patience.elapsed() < Duration::from_millis(500) {
        thread::sleep(POLL);
    }
    let bytes = bytes.lock().expect("no reader panics");
    String::from_utf8_lossy(&bytes).into_owned()
}
