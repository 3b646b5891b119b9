//! What the kernel does, found by doing it.

use std::fs;
use std::path::Path;

use super::{Check, in_child};
use crate::seccomp::{self as filter, Connect, Options};
use crate::{net, sys};

const NEW_JAIL: libc::c_int = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET;

/// User namespaces, with the right to mount in one.
pub fn user_namespaces() -> Check {
    const NAME: &str = "user namespaces";
    let tried = in_child(|| {
        unshare(NEW_JAIL).map_err(|error| format!("making them: {error}"))?;
        use rustix::mount::{MountPropagationFlags, mount_change};
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(|error| format!("mounting in them: {error}"))?;
        Ok("made, and mounts work in them".to_owned())
    });
    match tried {
        Ok(detail) => Check::ok(NAME, detail),
        Err(detail) => Check::fail(NAME, detail, why_no_user_namespaces()),
    }
}

fn why_no_user_namespaces() -> String {
    let setting = |name: &str| {
        fs::read_to_string(Path::new("/proc/sys").join(name)).map(|text| text.trim().to_owned())
    };
    if setting("kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|value| value == "1") {
        return "AppArmor restricts them on this machine: \
                `openshell doctor --apparmor-profile | sudo tee /etc/apparmor.d/openshell`, then \
                `sudo apparmor_parser --replace /etc/apparmor.d/openshell`"
            .to_owned();
    }
    if setting("user/max_user_namespaces").is_ok_and(|value| value == "0") {
        return "none are allowed here: `sudo sysctl user.max_user_namespaces=15000`".to_owned();
    }
    if setting("kernel/unprivileged_userns_clone").is_ok_and(|value| value == "0") {
        return "`sudo sysctl kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if is_in_chroot() {
        return "this process runs in a chroot, where the kernel makes none: use pivot_root, a \
                container or the machine's own root"
            .to_owned();
    }
    "in a container, start it with a seccomp and AppArmor setting that allows them, for example \
     `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`; otherwise the kernel \
     was built without CONFIG_USER_NS"
        .to_owned()
}

/// In a chroot the mount that is `/` has another place, so no line of the table has that one.
fn is_in_chroot() -> bool {
    const PLACE: usize = 4;
    fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|table| !table.lines().any(|line| line.split(' ').nth(PLACE) == Some("/")))
}

/// Landlock, and how much of it.
pub fn landlock() -> Check {
    const NAME: &str = "landlock";
    match sys::landlock_abi() {
        Ok(abi) if abi >= 6 => Check::ok(NAME, format!("ABI {abi}")),
        Ok(abi) => Check::warn(
            NAME,
            format!("ABI {abi}: signals and abstract sockets are kept in by namespaces alone"),
            "a kernel of 6.12 or later has ABI 6, a second wall for both",
        ),
        Err(error) => Check::fail(
            NAME,
            format!("not there: {error}"),
            "boot a kernel of 5.13 or later with `landlock` in `lsm=` on its command line",
        ),
    }
}

/// The system call filter, and the notification that tells who connects.
pub fn seccomp() -> Check {
    const NAME: &str = "seccomp";
    let tried = in_child(|| {
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
        match filter::install(&Options { connect: Connect::Notified }) {
            Ok(_) => Ok(String::new()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok("busy".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    match tried {
        Ok(busy) if busy == "busy" => Check::warn(
            NAME,
            "filter works; another program holds the one notification listener",
            "callers are found by a scan, and sandboxes with --mount are refused: start OpenShell \
             outside of the container or sandbox that it runs in",
        ),
        Ok(_) if restarts_notified_calls() => Check::warn(
            NAME,
            "filter and notification work; a notified call restarts on a signal",
            "a kernel of 5.19 or later does not restart it (Go programs are slower until then)",
        ),
        Ok(_) => Check::ok(NAME, "filter and notification work"),
        Err(detail) => Check::fail(
            NAME,
            format!("the filter was refused: {detail}"),
            "a kernel of 5.5 or later with CONFIG_SECCOMP_FILTER is needed",
        ),
    }
}

/// Whether the kernel does not know the flag against it: a known one fails on the missing program.
fn restarts_notified_calls() -> bool {
    const SET_FILTER: libc::c_long = 1;
    const FLAGS: libc::c_ulong =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    in_child(|| match sys::attempt(libc::SYS_seccomp, [SET_FILTER, FLAGS as i64, 0, 0, 0]) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok("known".to_owned()),
        _ => Err("unknown".to_owned()),
    })
    .is_err()
}

/// nf_tables with TPROXY, in a network namespace of its own.
pub fn capture() -> Check {
    const NAME: &str = "capture";
    const NO_NAMESPACE: &str = "no namespace to try it in";
    let tried = in_child(|| {
        unshare(NEW_JAIL).map_err(|error| format!("{NO_NAMESPACE}: {error}"))?;
        let listeners = net::configure().map_err(|error| crate::error::with_causes(&error))?;
        let v6 = if listeners.tcp6.is_some() { "IPv4 and IPv6" } else { "IPv4; no IPv6 here" };
        Ok(format!("nf_tables and TPROXY work, {v6}"))
    });
    match tried {
        Ok(detail) => Check::ok(NAME, detail),
        Err(detail) if detail.starts_with(NO_NAMESPACE) => {
            Check::fail(NAME, detail, "mend the user namespaces first")
        }
        Err(detail) => Check::fail(
            NAME,
            detail,
            "load the modules: `sudo modprobe -a nf_tables nft_tproxy nft_reject_inet nft_log`; \
             a kernel without them cannot carry sandboxes",
        ),
    }
}

fn unshare(flags: libc::c_int) -> std::io::Result<()> {
    sys::attempt(libc::SYS_unshare, [flags.into(), 0, 0, 0, 0]).map(drop)
}
