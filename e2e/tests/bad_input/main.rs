//! What a person gets wrong, and what a machine lacks: a clear error, the next step, and nothing
//! left behind.

use std::process::ExitCode;

#[cfg(test)]
mod left;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod requests;

fn main() -> ExitCode {
    openshell_e2e::main(&openshell_e2e::both![
        policies::m01_every_error_of_a_policy_is_shown_at_once_with_its_place,
        policies::m03_the_policy_before_stays_in_force,
        policies::a_policy_that_cannot_be_read_creates_nothing,
        requests::a_command_that_does_not_exist_creates_nothing,
        requests::a_mount_that_does_not_exist_creates_nothing,
        requests::folders_with_secrets_are_not_mounted_unless_they_are_named,
        requests::a_name_that_is_taken_is_refused,
        requests::m11_names_are_plain,
        machines::without_landlock_no_sandbox_starts,
        machines::without_user_namespaces_no_sandbox_starts,
        machines::without_a_seccomp_listener_no_sandbox_starts,
        machines::without_pidfd_getfd_no_connection_is_made,
        machines::without_the_supervisor_no_sandbox_starts,
        machines::a_gateway_of_another_version_is_refused,
    ])
}
