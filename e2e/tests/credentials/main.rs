//! Credentials that sandboxes use and never hold.

use std::process::ExitCode;

#[cfg(test)]
mod agent;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod placed;
#[cfg(test)]
mod secrets;

fn main() -> ExitCode {
    openshell_e2e::main(&openshell_e2e::both![
        placed::a_value_is_put_where_it_is_bound,
        placed::a_profile_brings_its_own_rule,
        placed::i02_a_placeholder_elsewhere_is_denied_and_nothing_is_sent,
        placed::i05_i15_another_credential_is_denied_where_one_is_bound,
        placed::i09_a_tunnel_to_a_bound_server_is_read,
        changes::i13_values_change_and_go_while_requests_are_sent,
        changes::bad_input_is_told,
        secrets::i01_i08_no_secret_is_to_be_found,
    ])
}
