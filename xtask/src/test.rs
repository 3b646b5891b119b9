//! `cargo xtask test`: every test, and the name of each one that could not run here.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use clap::Args;

use crate::run::{BENCHES, Outcome, cargo, command, is_root, succeed};

/// Debian packages that the tests run as real programs, and a program of each.
const PACKAGES: [(&str, &str); 15] = [
    ("bubblewrap", "bwrap"),
    ("curl", "curl"),
    ("default-jdk-headless", "javac"),
    ("git", "git"),
    ("iproute2", "ip"),
    ("iputils-ping", "ping"),
    ("nftables", "nft"),
    ("nginx-light", "nginx"),
    ("npm", "npm"),
    ("procps", "ps"),
    ("python3", "python3"),
    ("python3-pip", "pip3"),
    ("squid-openssl", "squid"),
    ("util-linux", "setpriv"),
    ("wget", "wget"),
];

/// Where packages put programs. One that somebody put elsewhere is not in a sandbox.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// What a test prints at the start of a line when it cannot run here, before its name and reason.
const SKIPPED: &str = "skipped ";

/// Options of `test`.
#[derive(Args)]
pub struct Options {
    /// First install the programs that the tests run (needs root and apt-get).
    #[arg(long)]
    install: bool,
    /// Run only tests whose name contains this.
    filter: Option<String>,
}

/// Installs what is asked for, then runs the tests.
pub fn test(options: &Options) -> Outcome {
    if options.install {
        install()?;
    }
    let packages = ["--workspace", "--exclude", BENCHES];
    succeed(cargo().args(["build", "--locked", "--bins"]).args(packages))?;
    let mut tests = cargo();
    tests.args(["test", "--locked", "--no-fail-fast"]).args(packages);
    if let Some(filter) = &options.filter {
        tests.args(["--", filter]);
    }
    let mut running = tests
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run cargo test: {error}"))?;
    let mut skipped = Vec::new();
    if let Some(stdout) = running.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            if let Some(name) = line.strip_prefix(SKIPPED) {
                skipped.push(name.to_owned());
            }
        }
    }
    let status = running.wait().map_err(|error| format!("cargo test: {error}"))?;
    for name in &skipped {
        println!("not run here: {name}");
    }
    if !status.success() {
        return Err(format!("tests failed ({status})"));
    }
    if !skipped.is_empty() && env::var_os("CI").is_some() {
        return Err(format!("{} tests could not run, and CI runs them all", skipped.len()));
    }
    Ok(())
}

/// Installs [`PACKAGES`] that are missing. An ordinary user gets a line that says what to ask for.
fn install() -> Outcome {
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .filter(|(_, program)| !FOLDERS.iter().any(|to| Path::new(to).join(program).exists()))
        .map(|(package, _)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        println!("not installed, and only root can: {}", missing.join(" "));
        return Ok(());
    }
    succeed(command("apt-get").args(["--quiet", "update"]))?;
    succeed(
        command("apt-get")
            .args(["--quiet", "--yes", "--no-install-recommends", "install"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
