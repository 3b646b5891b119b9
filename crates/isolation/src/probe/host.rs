//! What the machine's keeper set up: id ranges and control groups.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Check;

/// Ranges of further ids that this user may map.
pub fn subordinate_ids() -> Check {
    const NAME: &str = "subordinate ids";
    let uid = rustix::process::getuid();
    if uid.is_root() {
        return Check::ok(NAME, "not needed: root gives each sandbox a block of ids");
    }
    let names = user_names(uid.as_raw());
    let has = |table: &str| {
        fs::read_to_string(table).is_ok_and(|text| {
            text.lines().any(|line| {
                let owner = line.split(':').next().unwrap_or_default();
                names.iter().any(|name| name == owner)
            })
        })
    };
    if has("/etc/subuid") && has("/etc/subgid") {
        Check::ok(NAME, "a range is set aside for you")
    } else {
        Check::warn(
            NAME,
            "none: a sandbox has one user, with your own groups behind it",
            "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`",
        )
    }
}

/// The ways in which a table may name the user.
fn user_names(uid: u32) -> Vec<String> {
    let number = uid.to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    name.into_iter().chain([number.clone()]).collect()
}

/// A control group that this user may divide, for limits of memory and processor time.
pub fn cgroups() -> Check {
    const NAME: &str = "control groups";
    const WITHOUT: &str = "sandboxes have no limit of memory or processor time";
    let root = Path::new("/sys/fs/cgroup");
    if !root.join("cgroup.controllers").exists() {
        return Check::warn(
            NAME,
            format!("version 2 is not mounted: {WITHOUT}"),
            "boot with `systemd.unified_cgroup_hierarchy=1`",
        );
    }
    match own_group(root) {
        Some(group) if access(&group, Access::WRITE_OK).is_ok() => {
            Check::ok(NAME, format!("version 2, `{}` is yours", group.display()))
        }
        _ => Check::warn(
            NAME,
            format!("your own is not delegated to you: {WITHOUT}"),
            "start OpenShell from a systemd user session, or with \
             `systemd-run --user --scope -p Delegate=yes`",
        ),
    }
}

fn own_group(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(root.join(path))
}
