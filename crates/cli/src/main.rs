//! The `openshell` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    openshell_cli::main(std::env::args_os(), openshell_cli::Config::from_environment())
}
