//! `cargo xtask install`: the two programs, built for release, in a folder of the PATH.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::run::{Outcome, cargo, is_root, output, succeed};

/// The programs that make the product.
const PROGRAMS: [&str; 2] = ["openshell", "openshell-supervisor"];

/// Options of `install`.
#[derive(Args)]
pub struct Options {
    /// Install into this folder, whether or not it is in the PATH.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// Builds and installs.
pub fn install(options: &Options) -> Outcome {
    // The folder is chosen first: nobody should wait for a build that has nowhere to go.
    let folder = match &options.to {
        Some(folder) => folder.clone(),
        None => writable_path_folder()?,
    };
    let mut build = cargo();
    build.args(["build", "--release", "--locked"]);
    for program in PROGRAMS {
        build.args(["--bin", program]);
    }
    succeed(&mut build)?;
    fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
    let built = target_folder()?.join("release");
    for program in PROGRAMS {
        replace(&built.join(program), &folder.join(program))?;
    }
    println!("installed {} in {}", PROGRAMS.join(" and "), folder.display());
    Ok(())
}

/// Where cargo puts what it builds.
fn target_folder() -> Outcome<PathBuf> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata
        .get("target_directory")
        .and_then(|folder| folder.as_str())
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata names no target folder".to_owned())
}

/// Puts a file in place by rename, so that a running program of that name goes on undisturbed.
fn replace(from: &Path, to: &Path) -> Outcome {
    let fresh = to.with_extension("new");
    fs::copy(from, &fresh)
        .and_then(|_| fs::rename(&fresh, to))
        .map_err(|error| format!("cannot install `{}`: {error}", to.display()))
}

/// The first folder that is in the PATH and can be written; for root the system's own comes first.
fn writable_path_folder() -> Outcome<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|h| h.join(".cargo")));
    let mut candidates: Vec<PathBuf> = Vec::new();
    candidates.extend(cargo_home.map(|folder| folder.join("bin")));
    candidates.extend(home.map(|folder| folder.join(".local/bin")));
    candidates.push("/usr/local/bin".into());
    if is_root() {
        candidates.reverse();
    }
    let path: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    if let Some(folder) =
        candidates.iter().find(|folder| path.contains(folder) && is_writable(folder))
    {
        return Ok(folder.clone());
    }
    let usable = candidates.iter().find(|folder| is_writable(folder));
    Err(match usable {
        Some(folder) => format!(
            "no folder of the PATH can be written\n  help: export PATH=\"{}:$PATH\" and run this again",
            folder.display()
        ),
        None => format!(
            "none of {} can be written\n  help: name a folder with --to FOLDER",
            candidates.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Tried, not guessed: permission bits do not tell about read-only file systems.
fn is_writable(folder: &Path) -> bool {
    let exists = folder.is_dir() || fs::create_dir_all(folder).is_ok();
    let probe = folder.join(format!(".openshell-install-{}", std::process::id()));
    let written = exists && fs::write(&probe, b"").is_ok();
    if written {
        // What could be made can be removed; a leftover would be one empty file.
        fs::remove_file(&probe).is_ok()
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_writable_when_a_file_can_be_made_in_it() {
        assert!(is_writable(&env::temp_dir()));
        assert!(!is_writable(Path::new("/proc/self")));
    }
}
