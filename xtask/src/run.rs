//! Running other programs, and where this repository is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a task ends with when it fails: a text for the person who ran it.
pub type Outcome<T = ()> = Result<T, String>;

/// The package that alone builds the engines that ours is compared with.
pub const BENCHES: &str = "openshell-benches";

/// The repository's root folder.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// A command that runs in the repository's root.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end and fails when it does.
pub fn succeed(command: &mut Command) -> Outcome {
    let shown = shown(command);
    let status = command.status().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs a command and returns what it printed.
pub fn output(command: &mut Command) -> Outcome<String> {
    let shown = shown(command);
    let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` ended with {}: {said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed no text"))
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Whether this process may do everything (effective uid 0), as `id -u` says.
pub fn is_root() -> bool {
    output(command("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}
