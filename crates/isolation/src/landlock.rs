//! The Landlock layer: what may be opened, and that signals and abstract sockets end at the edge.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};

use crate::error::{BuildError, Step};
use crate::report::LandlockReport;
use crate::spec::{Access, HOME, JailSpec, Origin};
use crate::sys;

/// The newest ABI whose rights were looked at one by one for the rules below.
const REVIEWED: ABI = ABI::V9;

/// What a rule gives on a path and all beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// List folders.
    List,
    /// Read files as well.
    Read,
    /// Run them as well.
    Execute,
    /// Use device nodes that are there already.
    Devices,
    /// Everything but making device nodes.
    Write,
}

impl Rights {
    fn access(self) -> BitFlags<AccessFs> {
        match self {
            Self::List => AccessFs::ReadDir.into(),
            Self::Read => AccessFs::ReadDir | AccessFs::ReadFile,
            Self::Execute => AccessFs::ReadDir | AccessFs::ReadFile | AccessFs::Execute,
            Self::Devices => {
                AccessFs::ReadDir | AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev
            }
            Self::Write => {
                let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
                AccessFs::from_all(REVIEWED) & !devices
            }
        }
    }
}

/// Rights that a rule on a file may have; the others mean something for folders only.
fn on_file(access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    access
        & (AccessFs::Execute
            | AccessFs::ReadFile
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::IoctlDev
            | AccessFs::ResolveUnix)
}

/// Every path with rights; what is beneath none of them can be neither read nor run. The root's
/// own rule lists names only, so that `ls /` works: all that is there was put there by us.
fn rules(spec: &JailSpec) -> Vec<(PathBuf, Rights)> {
    let composed = [
        ("/", Rights::List),
        ("/etc", Rights::Read),
        ("/proc", Rights::Read),
        ("/dev", Rights::Devices),
        ("/dev/shm", Rights::Write),
        ("/tmp", Rights::Write),
        (HOME, Rights::Write),
    ];
    // Lists of authorities lie beneath a folder that has a rule, and are not to be run.
    let binds = spec.binds.iter().filter(|bind| bind.origin != Origin::Trust);
    let binds = binds.map(|bind| {
        let rights = match bind.access {
            Access::ReadOnly => Rights::Execute,
            Access::ReadWrite => Rights::Write,
        };
        (bind.target.clone(), rights)
    });
    composed.into_iter().map(|(path, rights)| (path.into(), rights)).chain(binds).collect()
}

/// Puts the layer on this thread for good. `no_new_privs` must be set.
pub(crate) fn enforce(spec: &JailSpec) -> Result<LandlockReport, BuildError> {
    const STEP: &str = "enforce Landlock";
    let abi = sys::landlock_abi().map_err(|error| missing(STEP, error))?;
    let refused = |error: &dyn std::error::Error| BuildError::new(STEP, error);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(REVIEWED))
        .map_err(|error| refused(&error))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)
        .map_err(|error| refused(&error))?
        .create()
        .map_err(|error| refused(&error))?;
    for (path, rights) in rules(spec) {
        let Some(rule) = rule(&path, rights)? else { continue };
        ruleset = ruleset.add_rule(rule).map_err(|error| refused(&error).on(&path))?;
    }
    let status = ruleset.restrict_self().map_err(|error| refused(&error))?;
    // SECURITY: best effort is about rights that an older kernel does not know, never about
    // Landlock itself: without it nothing is built.
    if status.ruleset == RulesetStatus::NotEnforced
        || !matches!(status.landlock, LandlockStatus::Available { .. })
    {
        return Err(missing(STEP, std::io::Error::other("the kernel enforced nothing")));
    }
    const SCOPES_SINCE: u32 = 6;
    Ok(LandlockReport { abi, enforced: true, scoped: abi >= SCOPES_SINCE })
}

fn rule(
    path: &Path,
    rights: Rights,
) -> Result<Option<PathBeneath<std::os::fd::OwnedFd>>, BuildError> {
    const STEP: &str = "open a path for its Landlock rule";
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::empty()).step_on(STEP, path)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd).step_on(STEP, path)?.st_mode);
    let access = match kind {
        // A link has no content; what it leads to has a rule of its own, or none.
        FileType::Symlink => return Ok(None),
        FileType::Directory => rights.access(),
        _ => on_file(rights.access()),
    };
    Ok(Some(PathBeneath::new(fd, access)))
}

fn missing(step: &str, error: std::io::Error) -> BuildError {
    BuildError::system(step, error).fix(
        "boot a kernel of 5.13 or later with Landlock on (`lsm=landlock,...` on its command line); \
         `openshell doctor` shows what this one has",
    )
}
