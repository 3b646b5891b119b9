//! Jails that are built for real, and what is tried inside them.
//!
//! Each case runs in a process of its own, as root and as an ordinary user. `outside` sets a jail
//! up and looks at it; `inside` runs in the jail, where a panic is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without the usual harness, so the linter does not know it as one"
)]

mod capture;
mod escapes;
mod fake;
mod lab;
mod life;
mod probes;
mod view;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lab::Lab;

/// One statement about jails.
pub struct Case {
    /// The statement; begins with the id of the hostile case where there is one.
    pub name: &'static str,
    /// Runs in a process that may build jails.
    pub outside: fn(&Lab),
    /// Runs in the jail as `Lab::attempt`.
    pub inside: fn(),
}

/// Whom the cases run as.
#[derive(Clone, Copy)]
enum As {
    Root,
    /// An ordinary user without an entry in any table.
    User,
}

/// The user that root's half drops to; nobody else uses it.
const ORDINARY: u32 = 64_321;

fn cases() -> impl Iterator<Item = &'static Case> {
    [capture::CASES, escapes::CASES, life::CASES, probes::CASES, view::CASES].into_iter().flatten()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--outside", name] => {
            let case = cases().find(|case| case.name == *name).expect("a case");
            lab::hold_all_descriptors();
            (case.outside)(&Lab::new(case.name));
            ExitCode::SUCCESS
        }
        ["--inside", name] => {
            (cases().find(|case| case.name == *name).expect("a case").inside)();
            ExitCode::SUCCESS
        }
        ["--time"] => {
            life::time(&Lab::new("time"));
            ExitCode::SUCCESS
        }
        ["--hold"] => life::hold(&Lab::new("hold")),
        ["--list", ..] => {
            cases().for_each(|case| println!("{}: test", case.name));
            ExitCode::SUCCESS
        }
        words => run_all(words.iter().copied().find(|word| !word.starts_with('-'))),
    }
}

fn run_all(filter: Option<&str>) -> ExitCode {
    // A copy that every user can run, wherever this build lies.
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("jail");
    std::fs::copy("/proc/self/exe", &binary).expect("a copy of this program");
    open_to_all(folder.path());
    open_to_all(&binary);
    let root = rustix::process::geteuid().is_root();
    let users: &[As] = if root { &[As::Root, As::User] } else { &[As::User] };
    let (mut passed, mut failed) = (0, 0);
    for case in cases().filter(|case| filter.is_none_or(|filter| case.name.contains(filter))) {
        if !root {
            println!("skipped {} (root): needs root", case.name);
        }
        for user in users {
            let (label, output) = run(case, *user, &binary);
            if output.status.success() {
                passed += 1;
                println!("test {} ({label}) ... ok", case.name);
            } else {
                failed += 1;
                let told = String::from_utf8_lossy(&output.stderr);
                println!("test {} ({label}) ... FAILED ({})\n{told}", case.name, output.status);
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(case: &Case, user: As, binary: &PathBuf) -> (&'static str, std::process::Output) {
    let mut command = Command::new(binary);
    command.args(["--outside", case.name]).current_dir("/");
    let label = match user {
        As::Root => "root",
        As::User => {
            if rustix::process::geteuid().is_root() {
                command.uid(ORDINARY).gid(ORDINARY);
            }
            "user"
        }
    };
    (label, command.output().expect("the case's process"))
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}
