//! What the driver wrote into the sandbox's folder: trusted, and read strictly all the same.

use std::fs::File;
use std::io::{self, Read};

use openshell_driver::launch::{Upstream, file};
use openshell_policy::Policy;
use openshell_types::SandboxSpec;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::apply::compile;
use crate::limits::CONFIG_BYTES;

/// The sandbox that shall be.
#[derive(Debug)]
pub(crate) struct Config {
    /// `spec.json`.
    pub(crate) spec: SandboxSpec,
    /// `upstream.json`.
    pub(crate) upstream: Upstream,
    /// `policy.yaml`, compiled.
    pub(crate) policy: Policy,
}

/// Why the sandbox's folder does not describe one.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// A file cannot be read.
    #[error("`{name}` cannot be read: {cause}")]
    Read {
        /// The file's name.
        name: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{name}` is not one of this version: {cause}")]
    Format {
        /// The file's name.
        name: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The policy has errors.
    #[error("the policy has errors: {0}")]
    Policy(String),
}

impl Config {
    /// Reads the three files in the working directory.
    pub(crate) fn read() -> Result<Self, ConfigError> {
        let spec: SandboxSpec = json(file::SPEC)?;
        if spec.version != SandboxSpec::VERSION {
            let cause = format!("its version is {}", spec.version);
            return Err(ConfigError::Format { name: file::SPEC, cause });
        }
        if spec.command.is_empty() {
            let cause = "it has no command".into();
            return Err(ConfigError::Format { name: file::SPEC, cause });
        }
        let text = text(file::POLICY)?;
        // No text is the policy of a sandbox that was given none.
        let policy = if text.trim().is_empty() {
            Policy::deny_all()
        } else {
            compile(&text).map_err(ConfigError::Policy)?
        };
        Ok(Self { spec, upstream: json(file::UPSTREAM)?, policy })
    }
}

fn json<T: DeserializeOwned>(name: &'static str) -> Result<T, ConfigError> {
    serde_json::from_str(&text(name)?)
        .map_err(|error| ConfigError::Format { name, cause: error.to_string() })
}

fn text(name: &'static str) -> Result<String, ConfigError> {
    let read = || {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(openat(CWD, name, flags, Mode::empty())?);
        if file.metadata()?.len() > CONFIG_BYTES {
            return Err(io::Error::other("it is too long"));
        }
        let mut text = String::new();
        file.take(CONFIG_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|cause| ConfigError::Read { name, cause })
}
