//! The jail, from its init's start to the identifier that watches it.
//!
//! Init sets the jail up by itself: [`Raising::begin`] needs our privileges and a process without
//! threads and secrets, [`Raising::stand`] needs neither, so that the supervisor is sealed and has
//! dialled the gateway by the time the jail stands; and while it is on trial the egress is set up.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use openshell_isolation::identity::{self, Hashing, Identifier, Ids, JailView, RecordReader};
use openshell_isolation::{Bind, Building, Jail, Trial, begin};
use openshell_types::Identity;
use rustix::process::getuid;

use crate::boot::BootError;
use crate::config::Config;
use crate::trust::Trust;
use crate::view::{jail_spec, named_sockets};

/// Where the jail's own mounts are: Unix sockets there are the agent's.
const PRIVATE: &[&str] = &["/sandbox", "/tmp"];

/// A jail that is being set up.
pub(crate) struct Raising {
    building: Building,
    identifier: Identifier,
    binds: Vec<Bind>,
    notes: Vec<String>,
    sockets: Vec<PathBuf>,
}

/// A jail that stands, and who watches its connections. Nothing runs in it before its trial.
pub(crate) struct Standing {
    pub(crate) jail: Jail,
    pub(crate) trial: Trial,
    /// What belongs into the jail's report besides.
    pub(crate) notes: Vec<String>,
    /// What of the host the jail sees.
    pub(crate) binds: Vec<Bind>,
    pub(crate) identifier: Identifier,
    pub(crate) records: RecordReader,
}

impl Raising {
    /// Starts the identifier and the jail's init. Both start as copies of this process. The lists
    /// of authorities that the jail sees are to be filled before anything runs in it.
    pub(crate) fn begin(config: &Config, folder: &Path) -> Result<(Self, Trust), BootError> {
        let spec = &config.spec;
        let (mut jail_spec, notes) = jail_spec(spec, &config.policy, folder, getuid().as_raw())
            .map_err(BootError::Config)?;
        let trust = Trust::make(folder, config.upstream.ca_file.as_deref()).map_err(|source| {
            BootError::Open { context: "making the lists of authorities", source }
        })?;
        jail_spec.binds.extend(Trust::binds(folder));
        let building = begin(&jail_spec)?;
        let identifier =
            identity::spawn(&identifier_options(config)).map_err(BootError::Identifier)?;
        let sockets = named_sockets(spec);
        Ok((Self { building, identifier, binds: jail_spec.binds, notes, sockets }, trust))
    }

    /// Init's process id outside.
    pub(crate) fn init_pid(&self) -> u32 {
        self.building.init_pid()
    }

    /// Waits until the jail is sealed, and gives it to the identifier.
    pub(crate) fn stand(self) -> Result<Standing, BootError> {
        let Self { building, mut identifier, binds, notes, sockets } = self;
        let (mut jail, trial) = building.sealed()?;

        // SECURITY: J7: a jail whose connections nobody watches is not used.
        let listener = jail.seccomp_listener.take().ok_or_else(|| {
            BootError::Identifier(io::Error::other(
                "another seccomp listener is in force on this process; start the gateway outside \
                 of it",
            ))
        })?;
        let private: Vec<&Path> = PRIVATE.iter().map(Path::new).collect();
        let allowed: Vec<&Path> = sockets.iter().map(PathBuf::as_path).collect();
        let view = JailView {
            listener,
            root: jail.root.as_fd(),
            private: &private,
            allowed_sockets: &allowed,
        };
        identifier.attach(view).map_err(BootError::Identifier)?;
        let records = identifier
            .take_records()
            .ok_or_else(|| BootError::Identifier(io::Error::other("its records were taken")))?;
        Ok(Standing { jail, trial, notes, binds, identifier, records })
    }
}

fn identifier_options(config: &Config) -> identity::Options {
    let ids = match config.spec.identity {
        Identity::Block { start } => {
            let agent = start.saturating_add(Identity::AGENT);
            Some(Ids { uid: agent, gid: agent })
        }
        Identity::Caller { .. } => None,
    };
    // Only a rule with a digest needs one before it can decide; everybody else need not wait.
    let hashing = if config.policy.text().contains("sha256") {
        Hashing::BeforeRecord
    } else {
        Hashing::Background
    };
    identity::Options { ids, hashing }
}
