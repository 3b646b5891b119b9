//! Trusted processes are killed; no connection, no event and no enforcement is lost with them.

use std::process::ExitCode;

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod supervisor;

fn main() -> ExitCode {
    openshell_e2e::main(&openshell_e2e::both![
        gateway::a_gateway_that_is_killed_twenty_times_loses_no_connection_and_no_event,
        gateway::a_policy_that_was_set_is_in_force_after_a_gateway_was_killed,
        gateway::a_stopped_gateway_leaves_its_sandboxes_running,
        gateway::a_sandbox_that_ended_meanwhile_is_completed,
        supervisor::m14_a_jail_ends_with_its_supervisor_and_the_phase_says_why,
        supervisor::m14_a_jail_whose_supervisor_is_stopped_has_no_network,
    ])
}
