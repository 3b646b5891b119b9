//! The parts of the root that are not the host's: `/dev`, `/proc`, `/tmp` and most of `/etc`.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use openshell_types::Identity;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::place::{self, Kind};
use super::{attach, file_system};
use crate::error::{BuildError, Step};
use crate::spec::JailSpec;
use crate::sys::{MountAttributes, Tree, set_attributes};

/// A file that everybody may read, were it not for Landlock.
pub(crate) const LANDLOCK_PROBE: &str = "/.openshell/landlock-probe";

/// The device nodes of the host that the jail has.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Links that programs expect in `/dev`.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Files of `/proc` that tell about the host or act on it; each reads as empty in the jail.
const MASKED: &[&str] = &["kcore", "keys", "kmsg", "sched_debug", "sysrq-trigger", "timer_list"];

/// What `/etc` has of the host: trust stores, the dynamic loader's files, Java's, which does not
/// start without them, and small public tables.
/// A name that ends in `*` is a prefix.
const HOST_ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "java-*",
    "ld.so.*",
    "localtime",
    "pki",
    "protocols",
    "services",
    "ssl",
    "terminfo",
];

/// Folders in these that hold private keys.
const PRIVATE_ETC: &[&str] = &["/etc/ssl/private", "/etc/pki/tls/private"];

/// The empty folders, and `/tmp` with a file system of its own.
pub(super) fn folders(root: BorrowedFd<'_>) -> Result<(), BuildError> {
    for name in ["dev", "etc", "proc", "sandbox", "tmp", ".openshell"] {
        mkdirat(root, name, Mode::from_raw_mode(0o755)).step_on("make the folder", name)?;
    }
    write(root, Path::new(LANDLOCK_PROBE), b"readable only without Landlock\n")?;
    // A quarter of memory: enough for builds, and what is left keeps the host alive.
    mount(root, "/tmp", "tmpfs", &[("mode", "1777"), ("size", "25%")])
}

/// A minimal `/dev` with its own terminals.
pub(super) fn devices(root: BorrowedFd<'_>) -> Result<(), BuildError> {
    const STEP: &str = "bind the device";
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let tree = open_tree(CWD, &path, flags).step_on(STEP, &path)?;
        set_attributes(
            tree.as_fd(),
            c"",
            Tree::Top,
            MountAttributes { no_execute: true, ..MountAttributes::default() },
        )
        .step_on(STEP, &path)?;
        let place = place::make(root, &path, Kind::File)?;
        attach(tree.as_fd(), place.as_fd()).step_on(STEP, &path)?;
    }
    let dev = place::make(root, Path::new("/dev"), Kind::Folder)?;
    for (name, target) in DEVICE_LINKS {
        symlinkat(*target, &dev, *name).step_on("make the link", name)?;
    }
    mount(root, "/dev/shm", "tmpfs", &[("mode", "1777"), ("size", "25%")])?;
    mount(root, "/dev/pts", "devpts", &[("ptmxmode", "0666"), ("mode", "0620")])
}

/// A fresh `/proc`, read-only, in which a process sees those that it may look into.
pub(super) fn proc(root: BorrowedFd<'_>) -> Result<(), BuildError> {
    let place = place::make(root, Path::new("/proc"), Kind::Folder)?;
    let tree = file_system("proc", &[("hidepid", "2")])
        .or_else(|_| file_system("proc", &[]))
        .map_err(|error| match error.errno {
            Some(libc::EPERM) => error.fix(
                "parts of this machine's /proc are masked: start the container with \
                 `--security-opt systempaths=unconfined`, or the pod with `procMount: Unmasked`",
            ),
            _ => error,
        })?;
    attach(tree.as_fd(), place.as_fd()).step("mount /proc")?;
    let null = place::make(root, Path::new("/dev/null"), Kind::File)?;
    for name in MASKED {
        mask(tree.as_fd(), name, null.as_fd()).step_on("mask in /proc", name)?;
    }
    let attributes =
        MountAttributes { read_only: true, no_devices: true, no_execute: true, id_map: None };
    set_attributes(tree.as_fd(), c"", Tree::Top, attributes).step("make /proc read-only")
}

fn mask(proc: BorrowedFd<'_>, name: &str, null: BorrowedFd<'_>) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = match openat(proc, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        place => place?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(null, c"", flags)?;
    let attributes =
        MountAttributes { read_only: true, no_execute: true, ..MountAttributes::default() };
    set_attributes(tree.as_fd(), c"", Tree::Top, attributes)?;
    Ok(attach(tree.as_fd(), place.as_fd())?)
}

/// Our own files of `/etc`, and those of the host that every program may need. What a bind put
/// there already stays.
pub(super) fn etc(root: BorrowedFd<'_>, spec: &JailSpec) -> Result<(), BuildError> {
    for (name, content) in own_files(spec) {
        write(root, &Path::new("/etc").join(name), content.as_bytes())?;
    }
    let etc = place::make(root, Path::new("/etc"), Kind::Folder)?;
    for (name, target) in [("mtab", "/proc/self/mounts"), ("os-release", "../usr/lib/os-release")] {
        symlinkat(target, &etc, name).step_on("make the link", name)?;
    }
    for path in host_files() {
        bind_or_link(root, &path)?;
    }
    PRIVATE_ETC.iter().try_for_each(|path| hide(root, Path::new(path)))
}

/// SECURITY: an empty folder over keys that a supplementary group of the caller's may read, and so
/// the jail, too (K23).
fn hide(root: BorrowedFd<'_>, path: &Path) -> Result<(), BuildError> {
    const STEP: &str = "hide";
    let Some(place) = place::find(root, path) else { return Ok(()) };
    if Kind::of(place.as_fd()).step_on(STEP, path)? != Kind::Folder {
        return Ok(());
    }
    let tree = file_system("tmpfs", &[("mode", "0555"), ("size", "4k")])?;
    let attributes =
        MountAttributes { read_only: true, no_devices: true, ..MountAttributes::default() };
    set_attributes(tree.as_fd(), c"", Tree::Top, attributes).step_on(STEP, path)?;
    attach(tree.as_fd(), place.as_fd()).step_on(STEP, path)
}

fn own_files(spec: &JailSpec) -> [(&'static str, String); 6] {
    let id = Identity::AGENT;
    let shell = if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    let name = &spec.hostname;
    [
        (
            "passwd",
            format!(
                "root:x:0:0:root:/:/usr/sbin/nologin\n\
                 sandbox:x:{id}:{id}:sandbox:/sandbox:{shell}\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("root:x:0:\ntty:x:5:\nsandbox:x:{id}:\nnogroup:x:65534:\n")),
        ("hosts", format!("127.0.0.1 localhost {name}\n::1 localhost {name}\n")),
        ("resolv.conf", "nameserver 198.18.0.1\n".to_owned()),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
             protocols: files\nservices: files\n"
                .to_owned(),
        ),
        ("hostname", format!("{name}\n")),
    ]
}

/// Names in `/etc` that are ours; neither a policy's path nor a mount replaces them.
pub(crate) const OWN_ETC: &[&str] = &[
    "passwd",
    "group",
    "hosts",
    "resolv.conf",
    "nsswitch.conf",
    "hostname",
    "mtab",
    "os-release",
    "openshell-tls",
];

fn host_files() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/etc") else { return Vec::new() };
    let wanted = |name: &str| {
        HOST_ETC.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *pattern,
        })
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(wanted))
        .map(|entry| entry.path())
        .collect()
}

/// Shows a path of the host's `/etc`, read-only: a link that leads to what the jail sees anyway as
/// that link, anything else as a bind.
fn bind_or_link(root: BorrowedFd<'_>, path: &Path) -> Result<(), BuildError> {
    const STEP: &str = "bind from the host";
    if place::find(root, path).is_some() {
        return Ok(());
    }
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    if real != path && place::find(root, &real).is_some() {
        let name = path.strip_prefix("/").unwrap_or(path);
        return symlinkat(&real, root, name).step_on("make the link", path);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).step_on(STEP, path)?;
    let attributes =
        MountAttributes { read_only: true, no_devices: true, ..MountAttributes::default() };
    set_attributes(tree.as_fd(), c"", Tree::Whole, attributes).step_on(STEP, path)?;
    let place = place::make(root, path, Kind::of(tree.as_fd()).step_on(STEP, path)?)?;
    attach(tree.as_fd(), place.as_fd()).step_on(STEP, path)
}

fn mount(
    root: BorrowedFd<'_>,
    path: &str,
    kind: &str,
    options: &[(&str, &str)],
) -> Result<(), BuildError> {
    let tree = file_system(kind, options)?;
    let place = place::make(root, Path::new(path), Kind::Folder)?;
    attach(tree.as_fd(), place.as_fd()).step_on("mount", path)
}

fn write(root: BorrowedFd<'_>, path: &Path, content: &[u8]) -> Result<(), BuildError> {
    const STEP: &str = "write the jail's own";
    let name = path.strip_prefix("/").unwrap_or(path);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(root, name, flags, Mode::from_raw_mode(0o644)).step_on(STEP, path)?;
    std::fs::File::from(file).write_all(content).step_on(STEP, path)
}
