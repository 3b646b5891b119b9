//! A sandbox's start and a command in a running one.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::place::{Place, first_output, policy_text};
use super::samples::{Samples, show};
use crate::run::Outcome;

/// What runs everywhere; it prints one line.
const PROGRAM: [&str; 2] = ["/bin/echo", "ready"];

/// Measures.
pub fn measure(place: &Place, runs: u32) -> Outcome {
    let policy = place.policy("start.yaml", &policy_text(None))?;
    warm(place, runs, &policy)?;
    cold(place, runs, &policy)?;
    exec(place, runs, &policy)
}

fn warm(place: &Place, runs: u32, policy: &str) -> Outcome {
    let mut first = Samples::of("openshell sandbox create, warm gateway");
    let mut whole = Samples::of("  … to its end");
    let mut bwrap = Samples::of("bwrap --unshare-all");
    let mut plain = Samples::of("fork and exec");
    // The first run fills caches and starts the gateway.
    for run in 0..=runs {
        let (to_output, to_end) = create(place, policy)?;
        let to_bwrap = first_output(&mut bubblewrap())?.0;
        let to_plain = first_output(&mut fork_exec())?.0;
        if run > 0 {
            first.add(to_output);
            whole.add(to_end);
            bwrap.add(to_bwrap);
            plain.add(to_plain);
        }
    }
    let title = "create → first output of /bin/echo, policy and self-test on, warm gateway";
    show(title, &[&first, &whole, &bwrap, &plain], &bwrap);
    Ok(())
}

fn cold(place: &Place, runs: u32, policy: &str) -> Outcome {
    let mut first = Samples::of("openshell sandbox create, no gateway process");
    let mut bwrap = Samples::of("bwrap --unshare-all");
    for _ in 0..runs {
        place.run(&["gateway", "stop"])?;
        first.add(create(place, policy)?.0);
        bwrap.add(first_output(&mut bubblewrap())?.0);
    }
    show(
        "create → first output of /bin/echo, cold: it starts the gateway",
        &[&first, &bwrap],
        &bwrap,
    );
    Ok(())
}

fn exec(place: &Place, runs: u32, policy: &str) -> Outcome {
    place.sandbox("bench-exec", policy)?;
    let mut ours = Samples::of("openshell sandbox exec -- true");
    let mut bwrap = Samples::of("bwrap --unshare-all true (a new sandbox)");
    let mut plain = Samples::of("fork and exec true");
    for run in 0..=runs {
        let arguments = ["sandbox", "exec", "-n", "bench-exec", "--", "true"];
        let to_ours = to_end(&mut place.openshell(&arguments))?;
        let to_bwrap = to_end(&mut bubblewrap_of(&["true"]))?;
        let to_plain = to_end(&mut Command::new("true"))?;
        if run > 0 {
            ours.add(to_ours);
            bwrap.add(to_bwrap);
            plain.add(to_plain);
        }
    }
    show("exec of `true` in a running sandbox → its end", &[&ours, &bwrap, &plain], &bwrap);
    place.run(&["sandbox", "delete", "bench-exec"])
}

/// Makes a sandbox, and takes it away again when the clock has stopped.
fn create(place: &Place, policy: &str) -> Outcome<(Duration, Duration)> {
    let mut arguments =
        vec!["sandbox", "create", "--name", "bench-start", "--policy", policy, "--"];
    arguments.extend_from_slice(&PROGRAM);
    let times = first_output(&mut place.openshell(&arguments))?;
    place.run(&["sandbox", "delete", "bench-start"])?;
    Ok(times)
}

fn bubblewrap() -> Command {
    bubblewrap_of(&PROGRAM)
}

/// What comes nearest to our jail with its own options: no egress, no identity, no system call
/// filter.
fn bubblewrap_of(program: &[&str]) -> Command {
    let mut command = Command::new("bwrap");
    command
        .args(["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev"])
        .args(["--proc", "/proc", "--tmpfs", "/tmp"])
        .args(program);
    command
}

fn fork_exec() -> Command {
    let [program, argument] = PROGRAM;
    let mut command = Command::new(program);
    command.arg(argument);
    command
}

fn to_end(command: &mut Command) -> Outcome<Duration> {
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run `{:?}`: {error}", command.get_program()))?;
    let taken = started.elapsed();
    if status.success() { Ok(taken) } else { Err(format!("`{command:?}` ended with {status}")) }
}
