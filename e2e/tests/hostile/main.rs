//! Hostile cases that no crate's own test holds and that are no way past the egress by themselves;
//! each is named after its id.

use std::process::ExitCode;

use openshell_testkit::cases;

#[cfg(test)]
mod files;
#[cfg(test)]
mod identity;
#[cfg(test)]
#[path = "../bypass/lab.rs"]
mod lab;

fn main() -> ExitCode {
    lab::run(&cases![
        identity::j01_a_copy_or_another_name_of_a_binary_is_another_program,
        identity::j01_a_read_only_mount_of_what_another_mount_lets_write_proves_nothing,
        identity::j07_a_program_replaced_while_it_connects_is_not_its_successor,
        identity::j08_a_connection_belongs_to_who_opened_it,
        identity::k25_swapping_socket_and_address_reaches_nothing_else,
        files::k05_no_socket_of_the_hosts_is_there,
        files::k12_a_missing_path_changes_only_its_own_rule,
    ])
}
