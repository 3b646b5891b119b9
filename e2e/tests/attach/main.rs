//! The terminal, the streams and the exit codes of commands in a sandbox, as a shell has them.

use std::process::ExitCode;

#[cfg(test)]
mod codes;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod pty;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod terminal;

fn main() -> ExitCode {
    openshell_e2e::main(&openshell_e2e::both![
        codes::the_exit_code_is_the_command_s,
        codes::a_command_that_cannot_be_run_is_126_and_one_that_is_absent_127,
        codes::a_signal_is_128_and_its_number,
        codes::a_signal_reaches_a_command_without_a_terminal,
        streams::input_is_forwarded_to_its_end,
        streams::output_and_errors_stay_apart,
        streams::binary_data_passes_unchanged_both_ways,
        terminal::a_terminal_has_its_size_and_hears_of_another,
        terminal::keys_are_the_sandbox_s,
        terminal::two_keys_leave_and_connect_comes_back,
        terminal::a_hang_up_detaches,
        terminal::the_default_command_is_a_login_shell,
        keeping::detached_output_is_kept_for_who_connects,
        keeping::no_keep_removes_the_sandbox,
        keeping::a_sandbox_is_listed_shown_and_deleted,
        keeping::a_name_is_made_of_two_words,
        keeping::one_client_holds_the_input_and_others_watch,
        exec::a_further_command_has_streams_and_a_code_of_its_own,
        exec::a_further_command_ends_at_its_timeout,
        exec::variables_and_a_folder_are_given_to_a_further_command,
        exec::a_further_command_may_have_a_terminal,
        exec::arguments_arrive_as_they_are,
    ])
}
