//! The capture on the real kernel, in fresh user and network namespaces.

use std::process::ExitCode;

use openshell_testkit::cases;

#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod udp;

fn main() -> ExitCode {
    openshell_testkit::harness::main(&cases![
        streams::every_destination_lands_with_its_own_address,
        streams::a_mapped_address_lands_as_the_ipv4_address_that_it_is,
        streams::any_port_lands,
        streams::loopback_belongs_to_the_jails_own_programs,
        streams::a_source_address_of_the_programs_choosing_changes_nothing,
        streams::the_same_four_numbers_can_be_used_again,
        streams::sixty_four_mebibytes_arrive_whole_in_both_directions,
        streams::two_thousand_connections_stand_at_once,
        streams::a_program_cannot_listen_in_our_place,
        streams::without_a_listener_a_connection_is_reset,
        streams::the_sockets_do_not_block_and_are_not_inherited,
        datagrams::a_question_is_answered_from_the_server_that_was_asked,
        datagrams::look_ups_find_both_families,
        datagrams::a_big_question_is_cut_and_the_next_one_is_whole,
        datagrams::a09_other_datagrams_are_refused_at_once_and_reported,
        datagrams::f11_a_connected_quic_client_is_refused_at_once,
        datagrams::k07_ping_sockets_are_refused,
        datagrams::multicast_and_broadcast_are_refused,
        datagrams::datagrams_on_loopback_are_free,
        datagrams::a_flood_is_refused_whole_and_reported_in_part,
        udp::a_datagram_for_the_pool_lands_and_is_answered_from_where_it_went,
        udp::the_mark_of_a_socket_tells_it_from_one_that_sends_from_its_address,
        udp::a_refused_client_is_told,
        udp::nothing_else_reaches_the_pools_sockets,
        figures::are_printed,
    ])
}
