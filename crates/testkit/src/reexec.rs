//! Running a test again, in namespaces of its own.

use std::env;
use std::fs;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::WaitOptions;

use crate::World;
use crate::process::{SYSTEM_PATH, finish};

/// How far the process that reads it is on the way into the namespaces.
const STAGE: &str = "OPENSHELL_TESTKIT_STAGE";
/// Pid 1 of the new pid namespace: starts the test and reaps what is left behind.
const INIT: &str = "init";
/// The process that runs the test.
const INSIDE: &str = "inside";

/// A test in a world of its own may take this long.
const DEADLINE: Duration = Duration::from_secs(110);

/// Runs `test` in a world of its own: fresh mount, network and pid namespaces (and a user
/// namespace, for an ordinary user), with a new [`World`] around it.
///
/// The test binary runs itself again with only the current test selected, so this must be called
/// by a test of `libtest` or of [`crate::harness`], on its own thread, and what stands before it
/// in the test is done more than once. All processes die with the test.
pub fn world(test: impl FnOnce(&World)) {
    within(!has_sys_admin(), || test(&World::new()));
}

/// The same, without a network: the namespaces are empty, `lo` is down, and there is a user
/// namespace around them whoever runs the test.
pub fn alone(test: impl FnOnce()) {
    within(true, test);
}

fn within(user_namespace: bool, test: impl FnOnce()) {
    match env::var(STAGE).as_deref() {
        Ok(INSIDE) => test(),
        Ok(INIT) => init(),
        _ => enter(user_namespace),
    }
}

/// Starts this test again as pid 1 of new namespaces, and fails if it does.
#[track_caller]
fn enter(user_namespace: bool) {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if user_namespace {
        command.args(["--user", "--map-root-user"]);
    }
    let path = env::var("PATH").unwrap_or_default();
    command.arg("--").arg(env::current_exe().expect("this binary has a path"));
    again(&mut command, INIT).env("PATH", format!("{SYSTEM_PATH}:{path}"));
    let finished = finish(&mut command, DEADLINE);
    // Printed from here, so that the runner of this test shows or hides it.
    print!("{}", finished.stdout);
    eprint!("{}", finished.stderr);
    assert!(finished.code.is_some(), "the test did not end in {DEADLINE:?}");
    assert_eq!(finished.code, Some(0), "failed in its world, as said above");
}

/// Pid 1: runs the test, reaps orphans, and ends as the test did.
#[expect(clippy::zombie_processes, reason = "the loop reaps it with every other child")]
fn init() -> ! {
    let mut command = Command::new(env::current_exe().expect("this binary has a path"));
    let child = again(&mut command, INSIDE).spawn().expect("this binary can be run");
    loop {
        let ended = rustix::process::wait(WaitOptions::empty());
        if let Ok(Some((pid, status))) = ended
            && u32::try_from(pid.as_raw_nonzero().get()) == Ok(child.id())
        {
            process::exit(status.exit_status().unwrap_or(1));
        }
    }
}

/// Adds what makes a test binary run just the current test, and tells it the stage.
fn again<'c>(command: &'c mut Command, stage: &str) -> &'c mut Command {
    let thread = thread::current();
    // A `libtest` with one thread runs tests on its main thread, but then it was told which.
    let name = match thread.name() {
        Some("main") | None => env::args().nth(1).unwrap_or_default(),
        Some(name) => name.to_owned(),
    };
    command
        .args([&name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(STAGE, stage)
        .stdin(Stdio::null())
}

/// Whether this process may make namespaces without a user namespace around them.
fn has_sys_admin() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & CAP_SYS_ADMIN != 0)
}
