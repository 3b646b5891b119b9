//! Ways past the egress and out of the jail. Each attempt is a program that is first run outside,
//! where it must succeed, and then inside, where it must fail, leave no packet at the server, and
//! stand in the log if it is one of the network's.
//!
//! `cargo xtask mutants` names for each the line that stops it, and shows that it does.

use std::process::ExitCode;

use openshell_testkit::cases;

#[cfg(test)]
mod kernel;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod neighbour;
#[cfg(test)]
mod network;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod root;
#[cfg(test)]
mod sockets;

fn main() -> ExitCode {
    lab::run(&cases![
        network::the_way_that_is_allowed_works,
        network::raw_ipv4,
        network::raw_ipv6,
        network::without_proxy_variables,
        network::another_name_server,
        network::a09_name_services_over_tcp_and_tls,
        network::a09_questions_to_everybody,
        network::udp_and_quic,
        network::k07_ping,
        network::k07_raw_packets,
        network::a_static_program_with_its_own_resolver,
        network::j14_multipath_tcp,
        network::j14_fast_open,
        network::j13_reset_and_rebind,
        network::b10_another_sandboxs_port,
        sockets::k06_abstract_sockets_of_the_host,
        sockets::k06_abstract_sockets_of_another_sandbox,
        sockets::k22_a_socket_on_a_mounted_folder,
        sockets::k22_a_datagram_socket_on_a_mounted_folder,
        sockets::k22_a_socket_that_was_named_is_reached,
        processes::k03_nested_namespaces,
        processes::k04_looking_into_a_neighbour,
        processes::signals_to_a_neighbour,
        processes::k21_memory_of_process_1,
        processes::k08_root_of_process_1,
        processes::k13_inherited_descriptors,
        kernel::k01_io_uring,
        kernel::k20_files_of_roots,
        kernel::k24_set_id_bits_on_a_mount,
        kernel::k23_supplementary_groups,
    ])
}
