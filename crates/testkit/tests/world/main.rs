//! The test world itself: what is said to be reachable is, and what is said to be counted is.

use std::process::ExitCode;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod product;

fn main() -> ExitCode {
    openshell_testkit::harness::main(&openshell_testkit::cases![
        cases::a_client_reaches_a_server_by_its_name,
        cases::curl_trusts_the_https_server_of_the_world,
        cases::a_rebinding_name_answers_differently_the_second_time,
        cases::both_families_and_private_addresses_are_there,
        cases::packets_are_counted_by_destination_whoever_has_it,
        cases::datagrams_come_back,
        cases::a_service_on_the_machine_itself_is_not_on_the_internet,
        cases::chunked_answers_stream,
        cases::alone_has_no_network_at_all,
        cases::a_world_starts_fast,
        product::an_ordinary_user_reaches_the_world_in_a_clean_environment,
        product::files_of_the_home_belong_to_its_user,
        product::what_still_runs_is_killed_at_the_end,
        product::a_feature_is_missing_beneath_every_command,
        product::a_command_is_killed_at_its_deadline,
    ])
}
