//! The environment, read once.

use std::collections::HashMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::path::{Path, PathBuf};

/// What the program knows of where it was started.
#[derive(Clone, Debug)]
pub struct Config {
    variables: HashMap<OsString, OsString>,
    /// The folder in which it was started.
    pub folder: Option<PathBuf>,
    /// Its own file.
    pub program: Option<PathBuf>,
    /// Which of its three standard streams are terminals.
    pub terminals: Terminals,
}

/// Which standard streams are terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input.
    pub input: bool,
    /// Standard output.
    pub output: bool,
    /// Standard error.
    pub error: bool,
}

impl Config {
    /// Reads the environment of this process.
    pub fn from_environment() -> Self {
        Self {
            variables: env::vars_os().collect(),
            folder: env::current_dir().ok(),
            program: env::current_exe().ok(),
            terminals: Terminals {
                input: stdin().is_terminal(),
                output: stdout().is_terminal(),
                error: stderr().is_terminal(),
            },
        }
    }

    /// A variable; an empty one counts as absent.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// A variable that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variable(name).and_then(OsStr::to_str)
    }

    /// The person's home.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// The folders that the person's shell looks in for commands.
    pub(crate) fn path(&self) -> Vec<PathBuf> {
        self.variable("PATH")
            .map(|path| env::split_paths(path).filter(|dir| dir.is_absolute()).collect())
            .unwrap_or_default()
    }

    /// What a gateway that is started in the background may know: where this person's files are.
    pub(crate) fn gateway_environment(&self) -> Vec<(OsString, OsString)> {
        let wanted = |name: &str| {
            matches!(
                name,
                "HOME"
                    | "XDG_CONFIG_HOME"
                    | "XDG_STATE_HOME"
                    | "XDG_DATA_HOME"
                    | "XDG_CACHE_HOME"
                    | "OPENSHELL_SYSTEM_GATEWAY_DIR"
                    | "OPENSHELL_SANDBOX"
            )
        };
        let mut kept: Vec<_> = self
            .variables
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(wanted))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        kept.sort();
        kept
    }

    #[cfg(test)]
    pub(crate) fn for_test(variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            folder: None,
            program: None,
            terminals: Terminals::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_learns_where_the_files_are_and_nothing_else() {
        let config = Config::for_test(&[
            ("HOME", "/home/a"),
            ("XDG_STATE_HOME", "/s"),
            ("ANTHROPIC_API_KEY", "secret"),
            ("PATH", "/bin"),
            ("LD_PRELOAD", "/x.so"),
        ]);
        let kept = config.gateway_environment();
        let names: Vec<_> = kept.iter().filter_map(|(name, _)| name.to_str()).collect();
        assert_eq!(names, ["HOME", "XDG_STATE_HOME"]);
    }

    #[test]
    fn relative_folders_of_path_are_not_searched() {
        let config = Config::for_test(&[("PATH", "bin::/usr/bin:.")]);
        assert_eq!(config.path(), [PathBuf::from("/usr/bin")]);
    }
}
