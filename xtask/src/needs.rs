//! What the tests run that is none of ours, and where it comes from.

use std::fs;
use std::path::Path;

use crate::run::{Outcome, command, is_root, root, succeed};

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

/// The lists of what is installed from registries, beneath the repository.
const LIBRARIES: &str = "e2e/python.txt";
const AGENTS: &str = "e2e/node/package-lock.json";

/// Where it is put, with the list itself beside it: every sandbox sees it, and cannot write it.
const LIBRARIES_AT: &str = "/opt/openshell-tests/python";
const AGENTS_AT: &str = "/opt/openshell-tests/node";

/// Installs what is missing. An ordinary user gets a line that says what to ask for.
pub fn install() -> Outcome {
    install_packages()?;
    install_list(LIBRARIES, Path::new(LIBRARIES_AT), install_libraries)?;
    install_list(AGENTS, Path::new(AGENTS_AT), install_agents)
}

fn install_packages() -> Outcome {
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

/// What a list names appears whole or not at all; another list than the one there replaces it.
/// `install` is given the list and the folder, which it may have to make.
fn install_list(list: &str, to: &Path, install: fn(&Path, &Path) -> Outcome) -> Outcome {
    let from = root().join(list);
    let wanted = fs::read_to_string(&from).map_err(|error| format!("{list}: {error}"))?;
    if fs::read_to_string(to.join("list.txt")).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    if !is_root() {
        println!("not installed, and only root can: what {list} names");
        return Ok(());
    }
    let fresh = to.with_extension("new");
    for old in [to, fresh.as_path()] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|error| failed(to, &error))?;
        }
    }
    install(&from, &fresh)?;
    fs::write(fresh.join("list.txt"), wanted).map_err(|error| failed(to, &error))?;
    fs::rename(&fresh, to).map_err(|error| failed(to, &error))
}

fn install_libraries(list: &Path, to: &Path) -> Outcome {
    succeed(
        command("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--root-user-action=ignore", "--only-binary=:all:", "--target"])
            .arg(to)
            .arg("--requirement")
            .arg(list),
    )
}

/// No package runs a script of its own, but the one that puts Claude Code's program for this
/// machine where its name points.
fn install_agents(list: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(list.with_file_name(name), to.join(name)).map_err(|error| failed(to, &error))?;
    }
    let mut npm = command("/usr/bin/npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    succeed(npm.current_dir(to))?;
    let claude = to.join("node_modules/@anthropic-ai/claude-code/install.cjs");
    succeed(command("/usr/bin/node").arg(claude))
}

fn failed(to: &Path, error: &std::io::Error) -> String {
    format!("cannot install in `{}`: {error}", to.display())
}
