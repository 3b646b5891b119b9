//! Which package index, and which trust, this machine's own tools are set to.

use std::env;
use std::process::Command;
use std::time::Duration;

use openshell_testkit::finish;

const DEADLINE: Duration = Duration::from_secs(20);

/// The settings of pip and npm as variables, which a sandbox does not inherit.
pub fn variables() -> Vec<(String, String)> {
    let ours = |name: &str| {
        let name = name.to_ascii_lowercase();
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        letters && (name.starts_with("pip_") || name.starts_with("npm_config_"))
    };
    let mut variables = of_pip();
    variables.extend(of_npm());
    variables.extend(env::vars().filter(|(name, _)| ours(name)));
    variables
}

/// The lines `global.index-url='…'` of pip's configuration.
fn of_pip() -> Vec<(String, String)> {
    let said = ask(&["/usr/bin/python3", "-m", "pip", "config", "list"]);
    let setting = |line: &str| {
        let (name, value) = line.strip_prefix("global.")?.split_once('=')?;
        let name = name.to_ascii_uppercase().replace('-', "_");
        Some((format!("PIP_{name}"), value.trim_matches('\'').to_owned()))
    };
    said.lines().filter_map(setting).collect()
}

fn of_npm() -> Vec<(String, String)> {
    let names = ["registry", "cafile"];
    let settings = names.map(|name| {
        let value = ask(&["/usr/bin/npm", "config", "get", name]).trim().to_owned();
        (format!("npm_config_{name}"), value)
    });
    let is_set = |value: &str| !["", "null", "undefined"].contains(&value);
    settings.into_iter().filter(|(_, value)| is_set(value)).collect()
}

/// What a command prints; nothing if it cannot be run.
fn ask(command: &[&str]) -> String {
    let (program, arguments) = command.split_first().expect("a command has a program");
    if !std::path::Path::new(program).exists() {
        return String::new();
    }
    finish(Command::new(program).args(arguments), DEADLINE).stdout
}
