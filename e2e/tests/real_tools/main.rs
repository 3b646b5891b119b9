//! Tools that people use, against the servers that they use: from a policy without a host to one
//! that lets them work, with nothing but what the denials say. No host is named here.

use std::process::ExitCode;

use openshell_testkit::harness::{self, Case};

#[cfg(test)]
mod edits;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod tools;

fn main() -> ExitCode {
    let cases = openshell_e2e::both![
        tools::pip_works_once_its_denied_hosts_are_added,
        tools::npm_works_once_its_denied_hosts_are_added,
        tools::git_works_once_its_denied_host_is_added,
    ];
    if harness::is_case() || std::env::args().any(|argument| argument == "--list") {
        return openshell_e2e::main(&cases);
    }
    let reasons = [tools::pip_cannot_run(), tools::npm_cannot_run(), tools::git_cannot_run()];
    let mut others: Vec<Case> = Vec::new();
    for (pair, reason) in cases.chunks(2).zip(reasons) {
        match reason {
            Some(reason) => {
                pair.iter().for_each(|case| println!("skipped {}: {reason}", case.name));
            }
            None => others.extend(pair),
        }
    }
    openshell_e2e::main(&others)
}
