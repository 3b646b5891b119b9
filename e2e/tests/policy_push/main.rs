//! `policy set --wait` returns when the new policy is enforced, on new connections and on live ones.

use std::process::ExitCode;

#[cfg(test)]
mod live;
#[cfg(test)]
mod switch;

fn main() -> ExitCode {
    openshell_e2e::main(&openshell_e2e::both![
        switch::no_connection_is_decided_by_an_old_policy_once_the_command_returned,
        live::e10_a_connection_that_the_new_policy_denies_is_closed_and_another_survives,
        live::a_policy_that_changes_nothing_closes_nothing,
    ])
}
