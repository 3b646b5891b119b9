//! Each case is a function of `client.py`, run by the product's user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use openshell_testkit::{Product, RunAs, finish};

/// The client that the wire protocol is compatible with.
const CLIENT: &str = "openshell==0.1.5";

/// Installing takes as long as the package index needs.
const INSTALL: Duration = Duration::from_secs(300);

const CASE: Duration = Duration::from_secs(100);

/// The system's own, which every user may run.
const PYTHON: &str = "/usr/bin/python3";

/// Puts the client into a folder that outlives this run, if it is not there; says why it cannot.
pub fn install() -> Result<(), String> {
    let to = folder();
    if to.exists() {
        return Ok(());
    }
    // Another run may do the same: the one that is done first gives it its name.
    let ours = to.with_extension(std::process::id().to_string());
    let mut pip = Command::new(PYTHON);
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target"]);
    let installed = finish(pip.arg(&ours).arg(CLIENT), INSTALL);
    if installed.code != Some(0) {
        fs::remove_dir_all(&ours).ok();
        let why = installed.stderr.lines().last().unwrap_or("it took too long");
        return Err(format!("{CLIENT} cannot be installed: {why}"));
    }
    if fs::rename(&ours, &to).is_err() {
        fs::remove_dir_all(&ours).ok();
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(CLIENT)
}

pub fn is_healthy_and_has_a_workspace(run_as: RunAs) {
    run("is_healthy_and_has_a_workspace", run_as);
}

pub fn creates_lists_and_deletes(run_as: RunAs) {
    run("creates_lists_and_deletes", run_as);
}

pub fn runs_commands(run_as: RunAs) {
    run("runs_commands", run_as);
}

pub fn is_told_what_was_wrong(run_as: RunAs) {
    run("is_told_what_was_wrong", run_as);
}

pub fn sets_a_policy(run_as: RunAs) {
    run("sets_a_policy", run_as);
}

pub fn is_a_context(run_as: RunAs) {
    run("is_a_context", run_as);
}

fn run(case: &str, run_as: RunAs) {
    let product = Product::new(run_as);
    // The client finds a gateway by its registration and does not start one.
    product.run(&["sandbox", "list"]).succeeded();
    let script = product.home().join("client.py");
    product.write(&script, include_str!("client.py"));
    let packages = product.home().join("packages");
    // The folder of this build need not be one that the product's user may enter.
    let mut copy = Command::new("cp");
    finish(copy.arg("--recursive").arg(folder()).arg(&packages), CASE).succeeded();
    let mut client = product.program(PYTHON, &[]);
    client.arg(&script).arg(case).env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
    finish(&mut client, CASE).succeeded();
}
