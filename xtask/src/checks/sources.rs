//! The Rust sources of the repository.

use std::path::PathBuf;

use crate::run::{Outcome, command, output, root};

/// One source file.
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Every Rust file that git knows or would add.
pub fn all() -> Outcome<Vec<Source>> {
    let listed = output(command("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]))?;
    let mut sources = Vec::new();
    for path in listed.lines() {
        let file: PathBuf = root().join(path);
        // A file that is deleted but not committed is still listed.
        if !file.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{path}: {error}"))?;
        sources.push(Source { path: path.to_owned(), text });
    }
    Ok(sources)
}
