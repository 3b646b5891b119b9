//! `openshell-supervisor`: started by a driver, never by hand.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        println!("openshell-supervisor {}", env!("CARGO_PKG_VERSION"));
        return if argument == "--version" { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(EnvFilter::new("info"))
        .init();
    match openshell_supervisor::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "Supervisor ends");
            ExitCode::FAILURE
        }
    }
}
