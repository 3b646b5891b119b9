//! Where the files of OpenShell are (contract 6).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::ClientError;

/// The folders of one person's OpenShell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    config: PathBuf,
    state: PathBuf,
    system: PathBuf,
}

impl Layout {
    /// Works the folders out from variables, which `lookup` answers: `XDG_CONFIG_HOME`,
    /// `XDG_STATE_HOME`, `HOME` and `OPENSHELL_SYSTEM_GATEWAY_DIR`. A relative path is ignored, as
    /// the XDG specification asks.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ClientError> {
        let absolute =
            |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let folder = |xdg: &str, below_home: &str| {
            absolute(xdg)
                .or_else(|| home.as_ref().map(|home| home.join(below_home)))
                .map(|base| base.join("openshell"))
                .ok_or_else(|| {
                    ClientError::config(format!("neither `HOME` nor `{xdg}` is set"), None)
                })
        };
        Ok(Self {
            config: folder("XDG_CONFIG_HOME", ".config")?,
            state: folder("XDG_STATE_HOME", ".local/state")?,
            system: absolute("OPENSHELL_SYSTEM_GATEWAY_DIR")
                .unwrap_or_else(|| PathBuf::from("/etc/openshell")),
        })
    }

    /// `config/openshell`: which gateways there are, and which one is in use.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// `state/openshell`: what a local gateway and its sandboxes keep.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// `/etc/openshell`: gateways that a package or an administrator registered.
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// The folder of the local gateway's socket and locks.
    pub fn run(&self) -> PathBuf {
        self.state.join("gateway/run")
    }

    /// The Unix socket of the local gateway.
    pub fn socket(&self) -> PathBuf {
        self.run().join("gateway.sock")
    }

    /// The lock that the local gateway holds while it lives.
    pub fn lock(&self) -> PathBuf {
        self.run().join("gateway.lock")
    }

    /// The log of the local gateway.
    pub fn log(&self) -> PathBuf {
        self.state.join("gateway/gateway.log")
    }

    /// The folder of one gateway's record and of what is remembered about it.
    pub fn gateway(&self, name: &str) -> PathBuf {
        self.config.join("gateways").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(variables: &[(&str, &str)]) -> Result<Layout, ClientError> {
        Layout::new(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn folders_follow_xdg_and_fall_back_to_home() {
        let plain = layout(&[("HOME", "/home/a")]).unwrap();
        assert_eq!(plain.config(), Path::new("/home/a/.config/openshell"));
        assert_eq!(
            plain.socket(),
            Path::new("/home/a/.local/state/openshell/gateway/run/gateway.sock")
        );
        let moved = layout(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")]).unwrap();
        assert_eq!(moved.state(), Path::new("/s/openshell"));
    }

    #[test]
    fn relative_variables_are_ignored() {
        let layout = layout(&[
            ("HOME", "/home/a"),
            ("XDG_CONFIG_HOME", "conf"),
            ("OPENSHELL_SYSTEM_GATEWAY_DIR", "x"),
        ])
        .unwrap();
        assert_eq!(layout.config(), Path::new("/home/a/.config/openshell"));
        assert_eq!(layout.system(), Path::new("/etc/openshell"));
    }

    #[test]
    fn no_home_is_an_error() {
        assert!(layout(&[]).is_err());
        assert!(layout(&[("HOME", "")]).is_err());
    }
}
