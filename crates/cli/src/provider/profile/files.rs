//! Profiles in files, and what is said about them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use openshell_client::{Diagnostic, ProfileFile, Severity};
use openshell_credential::limits::PROFILE_BYTES;
use openshell_credential::profile::read_all;

use crate::diagnostics;
use crate::error::{CliError, describe};
use crate::output::{escape, note};
use crate::style::Style;

/// Which files.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// A profile; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// All profiles of a folder: its `.yaml`, `.yml` and `.json` files
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

impl Source {
    /// Reads them, in the order of their names.
    pub(super) fn read(&self) -> Result<Vec<ProfileFile>, CliError> {
        match (&self.file, &self.from) {
            (Some(file), _) => Ok(vec![read(file)?]),
            (None, Some(folder)) => folder_files(folder)?.iter().map(|path| read(path)).collect(),
            (None, None) => Err(CliError::usage("no file is named")),
        }
    }
}

fn folder_files(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let shown = escape(&folder.to_string_lossy());
    let failed = |error: io::Error| {
        CliError::usage(format!("the folder `{shown}` cannot be read: {}", describe(&error)))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_profile = path
            .extension()
            .and_then(|word| word.to_str())
            .is_some_and(|word| matches!(word, "yaml" | "yml" | "json"));
        if is_profile && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(CliError::usage(format!("no profile is in `{shown}`"))
            .help("a profile is a file that ends in `.yaml`, `.yml` or `.json`"));
    }
    files.sort();
    Ok(files)
}

/// Reads a profile; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<ProfileFile, CliError> {
    let name = path.display().to_string();
    let shown = escape(&name);
    let failed = |error: io::Error| {
        CliError::usage(format!("the profile `{shown}` cannot be read: {}", describe(&error)))
    };
    let most = u64::try_from(PROFILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most.saturating_add(1)).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(failed)?.take(most.saturating_add(1)).read_to_end(&mut bytes)
    };
    read.map_err(failed)?;
    if bytes.len() > PROFILE_BYTES {
        let message = format!("the profile `{shown}` has more than {PROFILE_BYTES} bytes");
        return Err(CliError::usage(message));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::usage(format!("the profile `{shown}` is not UTF-8 text")))?;
    Ok(ProfileFile { name, text })
}

/// What is wrong with them, without asking a gateway.
pub(super) fn check(files: &[ProfileFile]) -> Vec<Vec<Diagnostic>> {
    let checked = read_all(files.iter().map(|file| file.text.as_str()), |_| false);
    let each = checked.into_iter().map(|one| one.findings);
    each.map(|found| found.into_iter().map(diagnostics::of_policy).collect()).collect()
}

/// Says what was found, and fails when there is an error among it.
pub(super) fn tell(
    files: &[ProfileFile],
    findings: &[Vec<Diagnostic>],
    style: Style,
) -> Result<(), CliError> {
    for (file, found) in files.iter().zip(findings) {
        let told = diagnostics::warnings(found, &file.name, &file.text, style);
        if !told.is_empty() {
            note(told.trim_end());
        }
    }
    let is_wrong =
        |found: &&Vec<Diagnostic>| found.iter().any(|one| one.severity == Severity::Error);
    match findings.iter().filter(is_wrong).count() {
        0 => Ok(()),
        _ if files.len() == 1 => Err(CliError::usage("the profile has errors")),
        wrong => Err(CliError::usage(format!("{wrong} of {} profiles have errors", files.len()))
            .help("nothing is stored unless all are good")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_profiles_that_end_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let from = Source { file: None, from: Some(folder.path().to_owned()) };
        assert!(from.read().unwrap_err().to_string().contains("no profile is in"));
        for name in ["b.yaml", "a.json", "note.txt"] {
            fs::write(folder.path().join(name), "id: x").unwrap();
        }
        fs::create_dir(folder.path().join("c.yaml")).unwrap();
        let read = from.read().unwrap();
        let names: Vec<_> = read.iter().map(|file| file.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["a.json", "b.yaml"]);
        // The same id twice.
        let findings = check(&read);
        assert!(tell(&read, &findings, Style::PLAIN).is_err());
        assert!(tell(&read[..1], &findings[..1], Style::PLAIN).is_ok());
        assert!(super::read(&folder.path().join("none.yaml")).is_err());
    }
}
