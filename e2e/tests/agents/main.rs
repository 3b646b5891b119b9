//! Agents that no one here wrote, each with a model of its vendor's that follows a script.

use std::process::ExitCode;

use openshell_testkit::cases;
use openshell_testkit::harness::{self, Case};

#[cfg(test)]
mod agents;
#[cfg(test)]
mod inside;
#[cfg(test)]
mod outside;

fn main() -> ExitCode {
    let inside = openshell_e2e::both![
        inside::claude_code_is_routed_by_its_vendors_name,
        inside::codex_is_routed_by_its_vendors_name,
        inside::gemini_cli_is_routed_by_its_vendors_name,
        inside::claude_code_is_routed_by_our_name,
        inside::codex_is_routed_by_our_name,
        inside::gemini_cli_is_routed_by_our_name,
    ];
    let outside = cases![
        outside::claude_code_does_its_task,
        outside::codex_does_its_task,
        outside::gemini_cli_does_its_task,
        outside::claude_code_asks_where_it_is_told_to,
        outside::codex_asks_where_it_is_told_to,
        outside::gemini_cli_asks_where_it_is_told_to,
        outside::claude_code_speaks_without_tls,
        outside::codex_speaks_without_tls,
        outside::gemini_cli_speaks_without_tls,
        outside::claude_code_needs_the_right_key,
        outside::codex_needs_the_right_key,
        outside::gemini_cli_needs_the_right_key,
    ];
    let cases = [&inside[..], &outside[..]].concat();
    if harness::is_case() || std::env::args().any(|argument| argument == "--list") {
        return openshell_e2e::main(&cases);
    }
    let mut others: Vec<Case> = Vec::new();
    for case in cases {
        match agents::cannot_run(case.name) {
            Some(reason) => println!("skipped {}: {reason}", case.name),
            None => others.push(case),
        }
    }
    openshell_e2e::main(&others)
}
