//! Credentials that sandboxes use and never hold.

use std::process::ExitCode;

use openshell_testkit::harness::{self, Case};

#[cfg(test)]
mod agent;
#[cfg(test)]
mod bound;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod endless;
#[cfg(test)]
mod git;
#[cfg(test)]
mod load;
#[cfg(test)]
mod placed;
#[cfg(test)]
mod redirect;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server;
#[cfg(test)]
mod signing;

fn main() -> ExitCode {
    let cases = openshell_e2e::both![
        placed::a_value_is_put_where_it_is_bound,
        placed::a_profile_brings_its_own_rule,
        placed::i02_a_placeholder_elsewhere_is_denied_and_nothing_is_sent,
        placed::i05_i15_another_credential_is_denied_where_one_is_bound,
        placed::i09_a_tunnel_to_a_bound_server_is_read,
        echo::i03_a_server_that_echoes_tells_no_value,
        bound::a_policy_binds_a_credential_to_the_programs_of_its_rule,
        bound::i02_another_program_and_a_detached_provider_get_nothing,
        bound::i10_keys_that_a_policy_binds_sign_for_its_programs_alone,
        redirect::i04_a_redirection_takes_no_credential_along,
        git::git_clones_and_pushes_with_a_token_that_it_does_not_have,
        rotation::i13_values_change_and_go_while_requests_are_sent,
        rotation::i13_routes_change_and_go_while_models_are_called,
        changes::bad_input_is_told,
        endless::h12_an_answer_that_never_ends_is_cut_off_and_the_next_call_refused,
        secrets::i01_no_secret_is_in_the_jail,
        secrets::i01_i08_no_secret_is_beside_the_jail,
        signing::the_command_line_of_aws_reads_and_writes_what_it_may,
        signing::i10_nothing_is_signed_for_other_buckets_regions_or_people,
    ];
    let is_told = harness::is_case() || std::env::args().any(|argument| argument == "--list");
    let signing = ["the_command_line_of_aws", "i10"];
    let needs = |case: &Case| signing.iter().any(|start| case.name.starts_with(start));
    let missing = signing::missing().filter(|_| !is_told);
    let Some(missing) = missing else { return openshell_e2e::main(&cases) };
    for case in cases.iter().filter(|case| needs(case)) {
        println!("skipped {}: {missing}", case.name);
    }
    let others: Vec<Case> = cases.into_iter().filter(|case| !needs(case)).collect();
    openshell_e2e::main(&others)
}
