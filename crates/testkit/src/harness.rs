//! A runner for tests that must be processes of their own (`harness = false`).
//!
//! ```ignore
//! fn main() -> std::process::ExitCode {
//!     openshell_testkit::harness::main(&openshell_testkit::cases![refuses_raw_sockets, ...])
//! }
//! ```
//!
//! Each case is a function without arguments and runs in a fresh process of the same binary, one
//! after another. It passes if it returns. The arguments are those of `cargo test`: words select
//! cases by part of their name, `--exact`, `--skip`, `--list` and `--nocapture` do what they say.

use std::env;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use crate::process;

/// Names the case that a process is to run.
const CASE: &str = "OPENSHELL_TESTKIT_CASE";

/// A case that takes longer is killed and has failed.
const DEADLINE: Duration = Duration::from_secs(120);

/// One test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is selected and reported by.
    pub name: &'static str,
    /// The test. It panics if it fails.
    pub run: fn(),
}

/// Makes an array of [`Case`]s of functions, each named as its function is. Cases that are in a
/// `#[cfg(test)]` module may `unwrap` without a lint.
#[macro_export]
macro_rules! cases {
    ($($($part:ident)::+),+ $(,)?) => {
        [$($crate::harness::Case { name: $crate::case_name!($($part)::+), run: $($part)::+ }),+]
    };
}

/// The last part of a path: `cases::refuses` is the case `refuses`.
#[doc(hidden)]
#[macro_export]
macro_rules! case_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($first:ident :: $($rest:ident)::+) => {
        $crate::case_name!($($rest)::+)
    };
}

/// Whether this process is one that [`main`] started for a single case.
pub fn is_case() -> bool {
    env::var_os(CASE).is_some()
}

/// Runs the cases that the arguments select, and is the exit code of the test binary.
pub fn main(cases: &[Case]) -> ExitCode {
    if let Ok(name) = env::var(CASE) {
        return alone(cases, &name);
    }
    let selection = Selection::parse(env::args().skip(1));
    let selected = cases.iter().filter(|case| selection.has(case.name));
    if selection.list {
        for case in selected {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    for case in selected {
        if spawn(case, selection.show) {
            println!("ok {}", case.name);
            passed += 1;
        } else {
            println!("FAILED {}", case.name);
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case in this process, on a thread that has its name.
fn alone(cases: &[Case], name: &str) -> ExitCode {
    let Some(case) = cases.iter().find(|case| case.name == name) else {
        eprintln!("there is no case `{name}`");
        return ExitCode::FAILURE;
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(case.run);
    match thread.expect("a thread can be started").join() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs one case in a process of its own; says whether it passed.
fn spawn(case: &Case, show: bool) -> bool {
    let binary = env::current_exe().expect("this binary has a path");
    let mut command = Command::new(binary);
    command.env(CASE, case.name).stdin(Stdio::null());
    if show {
        let mut child = command.spawn().expect("this binary can be run");
        return process::wait(&mut child, DEADLINE).is_some_and(|status| status.success());
    }
    let finished = process::finish(&mut command, DEADLINE);
    if finished.code != Some(0) {
        println!("{}: {finished}", case.name);
    }
    finished.code == Some(0)
}

#[derive(Default)]
struct Selection {
    words: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    show: bool,
}

impl Selection {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut selection = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => selection.exact = true,
                "--list" => selection.list = true,
                "--nocapture" | "--no-capture" | "--show-output" => selection.show = true,
                "--skip" => selection.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "-Z" => drop(arguments.next()),
                flag if flag.starts_with('-') => {}
                _ => selection.words.push(argument),
            }
        }
        selection
    }

    fn has(&self, name: &str) -> bool {
        let fits = |word: &String| if self.exact { name == word } else { name.contains(word) };
        (self.words.is_empty() || self.words.iter().any(fits)) && !self.skipped.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(arguments: &[&str]) -> Selection {
        Selection::parse(arguments.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn words_select_by_part_and_exact_by_whole_name() {
        assert!(selection(&[]).has("jail::opens"));
        assert!(selection(&["opens"]).has("jail::opens"));
        assert!(!selection(&["opens", "--exact"]).has("jail::opens"));
        assert!(selection(&["--exact", "jail::opens"]).has("jail::opens"));
        assert!(!selection(&["--skip", "open"]).has("jail::opens"));
    }

    #[test]
    fn values_of_flags_are_not_words() {
        assert!(selection(&["--test-threads", "1", "--format", "pretty", "-q"]).has("anything"));
    }
}
