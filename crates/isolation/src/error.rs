//! Why a jail could not be built.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The step that failed, on what, why, and what a person can do about it. Nothing of the jail is
/// left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildError {
    /// What was being done, such as `bind a host folder`.
    pub step: String,
    /// The path that it was done to, where there is one.
    pub path: Option<PathBuf>,
    /// What the system said.
    pub cause: String,
    /// The system's error number, where there is one.
    pub errno: Option<i32>,
    /// What would help.
    pub fix: Option<String>,
}

impl BuildError {
    pub(crate) fn new(step: &str, cause: impl fmt::Display) -> Self {
        Self { step: step.to_owned(), path: None, cause: cause.to_string(), errno: None, fix: None }
    }

    pub(crate) fn system(step: &str, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        Self { errno: cause.raw_os_error(), ..Self::new(step, cause) }
    }

    pub(crate) fn on(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the jail could not be built: {}", self.step)?;
        if let Some(path) = &self.path {
            write!(f, " `{}`", path.display())?;
        }
        write!(f, ": {}", self.cause)?;
        match &self.fix {
            Some(fix) => write!(f, "; help: {fix}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BuildError {}

/// Names the step of a failed system call.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, BuildError>;
    fn step_on(self, step: &str, path: impl AsRef<Path>) -> Result<T, BuildError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, BuildError> {
        self.map_err(|cause| BuildError::system(step, cause))
    }

    fn step_on(self, step: &str, path: impl AsRef<Path>) -> Result<T, BuildError> {
        self.map_err(|cause| BuildError::system(step, cause).on(path))
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
