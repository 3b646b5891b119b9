//! A policy file, read whole and bounded.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::error::{CliError, describe};

/// The largest policy that is read. The gateway has its own limit and says so; this one only stops
/// a wrong file name from filling memory.
const LARGEST: u64 = 16 << 20;

/// The text of a policy and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyFile {
    pub name: String,
    pub text: String,
}

impl PolicyFile {
    /// Reads a file; `-` is standard input.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let failed = |error: io::Error| {
            CliError::usage(format!("the policy `{name}` cannot be read: {}", describe(&error)))
        };
        let mut bytes = Vec::new();
        let read = if path == Path::new("-") {
            io::stdin().lock().take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)
        } else {
            let file = File::open(path).map_err(failed)?;
            file.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)
        };
        read.map_err(failed)?;
        if bytes.len() as u64 > LARGEST {
            return Err(CliError::usage(format!("the policy `{name}` is larger than 16 MiB")));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| CliError::usage(format!("the policy `{name}` is not UTF-8 text")))?;
        // Nothing at all would be taken for no policy being given.
        if text.is_empty() {
            return Err(CliError::usage(format!("the policy `{name}` is empty"))
                .help("a policy that allows nothing is the line `version: 1`"));
        }
        Ok(Self { name, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_bad_input() {
        let folder = tempfile::tempdir().unwrap();
        let error = PolicyFile::read(&folder.path().join("absent.yaml")).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.to_string().contains("no such file or directory"), "{error}");
        let binary = folder.path().join("binary");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert!(PolicyFile::read(&binary).unwrap_err().to_string().contains("not UTF-8"));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        assert!(PolicyFile::read(&empty).unwrap_err().to_string().contains("is empty"));
    }
}
