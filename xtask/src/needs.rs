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

/// The list of Python's libraries, beneath the repository.
const LIBRARIES: &str = "e2e/python.txt";

/// Where they are put, with the list itself beside them: every sandbox sees it, and cannot write it.
const LIBRARIES_AT: &str = "/opt/openshell-tests/python";

/// Installs what is missing. An ordinary user gets a line that says what to ask for.
pub fn install() -> Outcome {
    install_packages()?;
    install_libraries()
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

/// The libraries appear whole or not at all; another list than the one there replaces them.
fn install_libraries() -> Outcome {
    let list = root().join(LIBRARIES);
    let wanted = fs::read_to_string(&list).map_err(|error| format!("{LIBRARIES}: {error}"))?;
    let to = Path::new(LIBRARIES_AT);
    if fs::read_to_string(to.join("list.txt")).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    if !is_root() {
        println!("not installed, and only root can: the libraries of {LIBRARIES}");
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("cannot install in `{LIBRARIES_AT}`: {error}");
    let fresh = to.with_extension("new");
    for old in [to, fresh.as_path()] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(failed)?;
        }
    }
    succeed(
        command("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--root-user-action=ignore", "--only-binary=:all:", "--target"])
            .arg(&fresh)
            .arg("--requirement")
            .arg(&list),
    )?;
    fs::write(fresh.join("list.txt"), wanted).map_err(failed)?;
    fs::rename(&fresh, to).map_err(failed)
}
