//! Cases that run twice: with the product started by root, and by an ordinary user.

use std::env;
use std::fs;
use std::process::ExitCode;

use openshell_testkit::harness::{self, Case};

/// Makes two [`Case`]s of each function that takes a [`RunAs`](openshell_testkit::RunAs).
#[macro_export]
macro_rules! both {
    ($($($part:ident)::+),+ $(,)?) => {
        [$(
            openshell_testkit::harness::Case {
                name: concat!(openshell_testkit::case_name!($($part)::+), "_as_root"),
                run: || $($part)::+(openshell_testkit::RunAs::Tester),
            },
            openshell_testkit::harness::Case {
                name: concat!(openshell_testkit::case_name!($($part)::+), "_as_a_user"),
                run: || $($part)::+(openshell_testkit::RunAs::Ordinary),
            },
        )+]
    };
}

/// Runs the cases that can run here, and names those that cannot.
pub fn main(cases: &[Case]) -> ExitCode {
    let needs_root = |case: &&Case| case.name.ends_with("_as_root");
    if is_machine_root() {
        return harness::main(cases);
    }
    if !env::args().any(|argument| argument == "--list") {
        for case in cases.iter().filter(needs_root) {
            println!("skipped {}: needs root", case.name);
        }
    }
    let others: Vec<Case> = cases.iter().filter(|case| !needs_root(case)).copied().collect();
    harness::main(&others)
}

/// Whether this process is root, with all the ids of the machine.
fn is_machine_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    all && rustix::process::geteuid().is_root()
}
