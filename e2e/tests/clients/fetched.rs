//! Packages that the tests install in sandboxes, fetched beforehand with the settings of whoever
//! runs the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use openshell_testkit::finish;

const DEADLINE: Duration = Duration::from_secs(180);
const NAMES: [&str; 4] = ["requests", "httpx", "h2", "uv"];

/// The folder of the wheels, which other runs use again.
pub fn wheels() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-wheels")
}

/// Fetches what is missing; says why if that is not possible.
pub fn cannot_fetch() -> Option<String> {
    let there = |name: &str| {
        let entries = fs::read_dir(wheels()).into_iter().flatten().flatten();
        let start = format!("{name}-");
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&start))
    };
    if NAMES.iter().all(|name| there(name)) {
        return None;
    }
    if !Path::new("/usr/bin/python3").exists() {
        return Some("there is no /usr/bin/python3".to_owned());
    }
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest"]);
    let said = finish(command.arg(wheels()).args(NAMES), DEADLINE);
    let why = said.stderr.lines().next_back().unwrap_or("it printed nothing").to_owned();
    (said.code != Some(0)).then(|| format!("pip cannot download {}: {why}", NAMES.join(", ")))
}
