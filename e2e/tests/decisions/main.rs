//! Every connection is decided: by name, by program, by address, and each is one audit event.

use std::process::ExitCode;

use openshell_testkit::harness::{self, Case};

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod names;
#[cfg(test)]
mod proxied;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod udp;

fn main() -> ExitCode {
    let cases = openshell_e2e::both![
        callers::a_rule_names_one_program_and_every_other_is_denied_by_every_way,
        callers::c01_j12_a_relay_is_judged_as_itself,
        callers::c11_nothing_listens_outside_of_the_jail,
        callers::each_attempt_is_one_event_of_an_unbroken_chain,
        callers::a_denial_says_why_where_the_protocol_can,
        tls::https_needs_the_name_that_was_allowed,
        names::a07_a_name_that_no_rule_knows_is_never_asked_for,
        names::a09_other_resolvers_are_not_reached,
        names::a_name_of_a_rule_has_an_address_of_its_own_and_no_question_goes_out,
        addresses::b01_a_rebinding_name_is_resolved_once_and_checked_each_time,
        addresses::b02_one_bad_answer_refuses_the_whole_set,
        addresses::private_answers_are_for_exact_names_only,
        addresses::b03_b04_b05_b06_guarded_addresses_are_never_reached,
        addresses::b08_a_redirect_is_not_followed,
        addresses::b09_the_host_itself_is_not_reached,
        addresses::b11_malformed_authorities_are_refused,
        addresses::a_declared_port_of_the_host_is_reached_by_its_alias,
        udp::a_rule_lets_one_program_speak_udp_with_one_name,
        udp::a_program_cannot_send_from_anothers_address,
        udp::a_flow_ends_with_its_rule_and_begins_with_it,
        udp::b03_addresses_are_checked_as_those_of_connections,
        proxied::servers_are_reached_through_the_operators_proxy_alone,
    ];
    if harness::is_case() || std::env::args().any(|argument| argument == "--list") {
        return openshell_e2e::main(&cases);
    }
    let mut can_run: Vec<Case> = Vec::new();
    for case in cases {
        match proxied::cannot_run().filter(|_| case.name.starts_with("servers_are_reached")) {
            Some(reason) => println!("skipped {}: {reason}", case.name),
            None => can_run.push(case),
        }
    }
    openshell_e2e::main(&can_run)
}
