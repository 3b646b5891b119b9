//! Files and functions stay small enough to read. The length of functions is clippy's
//! `too_many_lines`, with its threshold in clippy.toml.

use crate::checks::sources;
use crate::run::Outcome;

/// Longest file, in lines.
const LONGEST: usize = 800;

/// Prints the lines of each crate and fails on a file that is too long.
pub fn check() -> Outcome {
    let sources = sources::all()?;
    let mut crates: Vec<(String, usize)> = Vec::new();
    for source in &sources {
        let mut parts = source.path.split('/');
        let name = match (parts.next(), parts.next(), parts.next()) {
            (Some("crates"), Some(name), Some("src")) => name.to_owned(),
            _ => continue,
        };
        let lines = source.text.lines().count();
        match crates.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(lines),
            None => crates.push((name, lines)),
        }
    }
    for (name, lines) in &crates {
        println!("{lines:>7} lines  {name}");
    }
    let long: Vec<String> = sources
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(source, lines)| format!("{} has {lines} lines", source.path))
        .collect();
    if long.is_empty() {
        Ok(())
    } else {
        Err(format!("more than {LONGEST} lines: {}", long.join("; ")))
    }
}
