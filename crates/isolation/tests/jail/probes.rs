//! What `doctor` says of this machine, and of lesser ones.

use openshell_isolation::probe::{self, Check, Status};

use crate::Case;
use crate::fake::{Fake, answer};
use crate::lab::Lab;

pub const CASES: &[Case] = &[
    Case { name: "finds_what_a_jail_needs", outside: all_is_well, inside: || {} },
    Case { name: "tells_that_landlock_is_missing", outside: no_landlock, inside: || {} },
    Case { name: "tells_that_user_namespaces_are_refused", outside: no_namespaces, inside: || {} },
    Case {
        name: "tells_that_mounts_are_refused_in_user_namespaces",
        outside: no_mounts,
        inside: || {},
    },
    Case { name: "tells_that_a_chroot_is_the_reason", outside: in_chroot, inside: || {} },
    Case { name: "tells_that_the_filter_has_no_listener", outside: busy, inside: || {} },
    Case { name: "tells_that_the_capture_cannot_be_made", outside: no_netlink, inside: || {} },
];

fn all_is_well(lab: &Lab) {
    for check in [probe::user_namespaces(), probe::landlock(), probe::seccomp(), probe::capture()] {
        assert_ne!(check.status, Status::Fail, "{check:?}");
    }
    assert_eq!(probe::all().len(), 6);
    assert!(probe::all().iter().all(|check| (check.status == Status::Ok) == check.fix.is_none()));
    // The probes changed nothing here.
    drop(lab.jail());
}

#[track_caller]
fn assert_told(check: &Check, status: Status, word: &str) {
    assert_eq!(check.status, status, "{check:?}");
    let told = format!("{} {}", check.detail, check.fix.as_deref().unwrap_or_default());
    assert!(told.contains(word), "{check:?}");
}

fn no_landlock(_: &Lab) {
    answer(Fake::call(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP));
    assert_told(&probe::landlock(), Status::Fail, "lsm=");
}

fn no_namespaces(_: &Lab) {
    answer(Fake::call(libc::SYS_unshare, libc::EPERM));
    assert_told(&probe::user_namespaces(), Status::Fail, "making them");
    assert_told(&probe::capture(), Status::Fail, "no namespace");
}

fn no_mounts(_: &Lab) {
    answer(Fake::call(libc::SYS_mount, libc::EACCES));
    assert_told(&probe::user_namespaces(), Status::Fail, "mounting in them");
}

fn in_chroot(lab: &Lab) {
    if !lab.is_root() {
        return;
    }
    let root = lab.host_folder("root");
    std::fs::create_dir(root.join("proc")).unwrap();
    let root = root.canonicalize().unwrap();
    // A place for the /proc of the new root that ends with this process.
    unshare_mounts();
    rustix::mount::mount_bind_recursive("/proc", root.join("proc")).unwrap();
    rustix::process::chroot(&root).unwrap();
    rustix::process::chdir("/").unwrap();
    assert_told(&probe::user_namespaces(), Status::Fail, "chroot");
}

/// Mounts from now on are this process's own, and end with it.
#[expect(unsafe_code, reason = "rustix marks it so for the sake of descriptor tables")]
pub fn unshare_mounts() {
    // SAFETY: no descriptor table is unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    use rustix::mount::{MountPropagationFlags, mount_change};
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}

fn busy(_: &Lab) {
    answer(Fake::call(libc::SYS_seccomp, libc::EBUSY));
    assert_told(&probe::seccomp(), Status::Warn, "scan");
}

fn no_netlink(_: &Lab) {
    answer(Fake {
        first: Some(libc::AF_NETLINK.cast_unsigned()),
        ..Fake::call(libc::SYS_socket, libc::EAFNOSUPPORT)
    });
    assert_told(&probe::capture(), Status::Fail, "modprobe");
}
