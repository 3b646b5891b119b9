//! The Python client as it is published, unchanged, against our gateway.

use std::process::ExitCode;

#[cfg(test)]
mod client;

fn main() -> ExitCode {
    let cases = openshell_e2e::both![
        client::is_healthy_and_has_a_workspace,
        client::creates_lists_and_deletes,
        client::runs_commands,
        client::is_told_what_was_wrong,
        client::sets_a_policy,
        client::is_a_context,
    ];
    let is_listed = std::env::args().any(|argument| argument == "--list");
    if !is_listed && let Err(reason) = client::install() {
        for case in cases {
            println!("skipped {}: {reason}", case.name);
        }
        return ExitCode::SUCCESS;
    }
    openshell_e2e::main(&cases)
}
