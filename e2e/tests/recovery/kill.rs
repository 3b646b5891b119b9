//! Finding processes of the product, and ending them.

use std::fs;
use std::path::PathBuf;

use openshell_testkit::Product;
use rustix::process::{Pid, Signal, kill_process};

/// The gateway, when one runs.
pub fn gateway(product: &Product) -> Option<Pid> {
    let is_gateway = |pid: &Pid| {
        let line = fs::read(folder(*pid).join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).skip(1).any(|word| word == b"gateway")
    };
    product.processes().into_iter().find(is_gateway)
}

/// The supervisor itself, which has the lock: the parent of the others of its program.
pub fn supervisor(product: &Product) -> Pid {
    let all = supervisors(product);
    let is_oldest = |pid: &&Pid| parent(**pid).is_none_or(|parent| !all.contains(&parent));
    *all.iter().find(is_oldest).expect("a supervisor runs")
}

/// Every process of the supervisor's program.
pub fn supervisors(product: &Product) -> Vec<Pid> {
    let mut all = product.processes();
    all.retain(|pid| {
        fs::read_link(folder(*pid).join("exe"))
            .is_ok_and(|exe| exe.to_string_lossy().contains("openshell-supervisor"))
    });
    all
}

/// Every living process whose command line has this word in it.
pub fn with_word(word: &str) -> Vec<Pid> {
    let folders = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter(|pid| {
            let line = fs::read(folder(*pid).join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
        })
        .collect()
}

/// Ends it at once.
pub fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("it runs, and is ours");
}

fn parent(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(folder(pid).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(line.trim().parse().ok()?)
}

fn folder(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()))
}
