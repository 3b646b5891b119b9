//! Memory of a supervisor and of the gateway, as the kernel counts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::place::{Place, policy_text, supervisor_pid};
use super::samples::say;
use crate::run::Outcome;

/// Sandboxes that run at once.
const SANDBOXES: u32 = 25;

/// How long a process may come to rest.
const REST: Duration = Duration::from_secs(2);

/// Measures.
pub fn measure(place: &Place) -> Outcome {
    let policy = place.policy("memory.yaml", &policy_text(None))?;
    place.run(&["gateway", "stop"])?;
    place.run(&["sandbox", "list"])?;
    sleep(REST);
    println!("\nmemory in MiB");
    let gateway = gateway(place)?;
    say("gateway, resident, fresh", &of(&gateway, "Rss"));
    let name = |number: u32| format!("bench-memory-{number}");
    for number in 0..SANDBOXES {
        place.sandbox(&name(number), &policy)?;
        if number == 0 {
            sleep(REST);
            supervisor(place)?;
        }
    }
    sleep(REST);
    say(&format!("gateway, resident, {SANDBOXES} sandboxes"), &of(&gateway, "Rss"));
    supervisor(place)?;
    place.run(&["sandbox", "delete", "--all"])?;
    sleep(REST);
    say("gateway, resident, after deleting them", &of(&gateway, "Rss"));
    Ok(())
}

/// The processes of one sandbox that are ours: its supervisor, the identifier, the jail's init.
fn supervisor(place: &Place) -> Outcome {
    let mut pss = Vec::new();
    let mut roles: Vec<(String, PathBuf)> = Vec::new();
    let pid = supervisor_pid(place)?;
    roles.push(("supervisor".to_owned(), PathBuf::from("/proc").join(&pid)));
    for child in children(&pid) {
        let process = PathBuf::from("/proc").join(&child);
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        roles.push((name.trim().to_owned(), process));
    }
    for (role, process) in roles {
        pss.push(format!("{role} {}", of(&process, "Pss")));
    }
    say("a sandbox's processes, proportional", &pss.join(", "));
    Ok(())
}

fn children(pid: &str) -> Vec<String> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(str::to_owned).collect()
}

/// The gateway's folder in /proc.
fn gateway(place: &Place) -> Outcome<PathBuf> {
    let held = place.gateway().join("gateway.db");
    let processes = fs::read_dir("/proc").map_err(|error| error.to_string())?;
    processes
        .flatten()
        .map(|process| process.path())
        .find(|process| has_open(process, &held))
        .ok_or_else(|| "the gateway's process was not found".to_owned())
}

fn has_open(process: &Path, file: &Path) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).any(|to| to == file)
}

/// A line of `smaps_rollup`. A sealed process shows it to root alone.
fn of(process: &Path, what: &str) -> String {
    let Ok(text) = fs::read_to_string(process.join("smaps_rollup")) else {
        return "(for root to see)".to_owned();
    };
    let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1}", kib / 1024.0))
}
