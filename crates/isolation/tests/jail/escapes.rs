//! Ways out of the jail, and onto it.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use libc::{EACCES, ENOENT, ENOSYS, EPERM, EROFS, EXDEV};
use openshell_isolation::{Access, Bind, Origin};
use rustix::io::FdFlags;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

use crate::Case;
use crate::fake::{Fake, answer};
use crate::lab::{Lab, assert_errno};

pub const CASES: &[Case] = &[
    Case { name: "k03_no_mount_and_no_namespace", outside: Lab::attempt, inside: no_mounts },
    Case {
        name: "k08_no_way_through_proc_sys_or_dev",
        outside: Lab::attempt,
        inside: no_way_through_proc,
    },
    Case {
        name: "k09_a_link_in_the_home_folder_moves_no_mount",
        outside: link_at_place,
        inside: || {},
    },
    Case {
        name: "k09_a_link_in_place_of_a_mounts_source_is_refused",
        outside: link_as_source,
        inside: || {},
    },
    Case {
        name: "k10_no_hard_link_to_a_read_only_file",
        outside: Lab::attempt,
        inside: no_hard_link,
    },
    Case {
        name: "k13_no_descriptor_of_the_supervisors",
        outside: leak,
        inside: only_standard_streams,
    },
    Case { name: "k14_set_id_programs_give_nothing", outside: set_id, inside: set_id_inside },
    Case {
        name: "k18_confined_from_the_first_instruction",
        outside: Lab::attempt,
        inside: confined,
    },
    Case {
        name: "k20_no_host_file_of_roots_can_be_written",
        outside: Lab::attempt,
        inside: not_root,
    },
    Case {
        name: "k21_init_cannot_be_looked_into",
        outside: Lab::attempt,
        inside: no_look_into_init,
    },
    Case { name: "no_landlock_no_jail", outside: no_landlock, inside: || {} },
    Case { name: "no_filter_no_jail", outside: no_filter, inside: || {} },
    Case {
        name: "the_self_test_finds_a_landlock_that_does_nothing",
        outside: hollow_landlock,
        inside: || {},
    },
    Case {
        name: "the_self_test_finds_a_filter_that_does_nothing",
        outside: hollow_filter,
        inside: || {},
    },
    Case {
        name: "the_self_test_finds_capabilities_that_stayed",
        outside: hollow_capset,
        inside: || {},
    },
    Case {
        name: "the_self_test_finds_mounts_that_stayed_writable",
        outside: hollow_flags,
        inside: || {},
    },
    Case {
        name: "the_self_test_finds_an_init_that_can_be_looked_into",
        outside: hollow_undumpable,
        inside: || {},
    },
];

fn no_mounts() {
    let refused = &[EPERM, ENOSYS];
    let flags = MountFlags::empty();
    assert_errno(
        rustix::mount::mount("none", "/tmp", "tmpfs", flags, None).map_err(Into::into),
        refused,
    );
    assert_errno(rustix::mount::mount_bind("/usr", "/tmp").map_err(Into::into), refused);
    assert_errno(rustix::mount::mount_remount("/", flags, "").map_err(Into::into), refused);
    assert_errno(
        rustix::mount::mount_change("/", MountPropagationFlags::SHARED).map_err(Into::into),
        refused,
    );
    assert_errno(
        rustix::mount::unmount("/proc", rustix::mount::UnmountFlags::DETACH).map_err(Into::into),
        refused,
    );
    assert_errno(rustix::process::pivot_root("/tmp", "/tmp").map_err(Into::into), refused);
    assert_errno(rustix::process::chroot("/tmp").map_err(Into::into), refused);
    for flags in
        [UnshareFlags::NEWUSER, UnshareFlags::NEWNS, UnshareFlags::NEWNET, UnshareFlags::NEWPID]
    {
        assert_errno(unshare(flags), refused);
    }
    let namespace = File::open("/proc/self/ns/user").unwrap();
    use std::os::fd::AsFd;
    let join = rustix::thread::move_into_link_name_space(namespace.as_fd(), None);
    assert_errno(join.map_err(Into::into), refused);
    assert!(!Command::new("unshare").args(["--user", "true"]).status().unwrap().success());
}

#[expect(unsafe_code, reason = "rustix marks it so for the sake of descriptor tables")]
fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    // SAFETY: no descriptor table is unshared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

fn no_way_through_proc() {
    let gone = &[EACCES, ENOENT, EPERM];
    for path in [
        "/proc/1/root/etc",
        "/proc/1/cwd",
        "/proc/1/exe",
        "/proc/1/environ",
        "/proc/1/mem",
        "/proc/1/maps",
        "/proc/1/fd/0",
        "/proc/1/ns/mnt",
        "/proc/1/task/1/mem",
    ] {
        assert_errno(File::open(path), gone);
    }
    for path in
        ["/sys/kernel", "/dev/mem", "/dev/kmsg", "/dev/port", "/dev/vda", "/root", "/home", "/run"]
    {
        assert_errno(fs::metadata(path), &[ENOENT]);
    }
    let read_only = &[EACCES, EROFS, ENOENT, EPERM];
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/irq/0/smp_affinity",
    ] {
        assert_errno(OpenOptions::new().write(true).open(path), read_only);
    }
    for name in ["kcore", "keys", "kmsg", "timer_list", "sysrq-trigger"] {
        if let Ok(content) = fs::read(format!("/proc/{name}")) {
            assert!(content.is_empty(), "{name}");
        }
    }
    // What a process may see of itself leads nowhere else.
    assert_eq!(fs::metadata("/proc/self/root/").unwrap().ino(), fs::metadata("/").unwrap().ino());
    assert_errno(File::open("/proc/self/root/.openshell/landlock-probe"), &[EACCES]);
}

fn link_at_place(lab: &Lab) {
    std::os::unix::fs::symlink("/etc", lab.home().join("link")).unwrap();
    let source = lab.host_folder("source");
    for place in ["/sandbox/link/ssl", "/sandbox/link"] {
        let error = lab
            .build(|spec| spec.binds.push(mount(&source, place, Access::ReadWrite)))
            .err()
            .expect("a refusal");
        assert_eq!(error.path.as_deref(), Some(place.as_ref()), "{error}");
    }
}

fn link_as_source(lab: &Lab) {
    let real = lab.host_folder("real");
    let link = lab.home().parent().unwrap().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let error = lab
        .build(|spec| spec.binds.push(mount(&link, "/sandbox/src", Access::ReadWrite)))
        .err()
        .expect("a refusal");
    assert_eq!(error.errno, Some(libc::ELOOP), "{error}");
}

fn mount(source: &std::path::Path, target: &str, access: Access) -> Bind {
    Bind { source: source.to_owned(), target: target.into(), access, origin: Origin::Mount }
}

fn no_hard_link() {
    let across = &[EXDEV, EACCES, EPERM];
    assert_errno(fs::hard_link("/usr/bin/env", "/sandbox/env"), across);
    assert_errno(fs::rename("/etc/passwd", "/sandbox/passwd"), &[EXDEV, EACCES, EPERM, EROFS]);
    assert_errno(OpenOptions::new().write(true).open("/usr/bin/env"), &[EACCES, EROFS]);
    assert_errno(
        rustix::fs::mknodat(
            rustix::fs::CWD,
            "/sandbox/null",
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::RUSR,
            rustix::fs::makedev(1, 3),
        )
        .map_err(Into::into),
        &[EPERM, EACCES],
    );
}

fn leak(lab: &Lab) {
    // Descriptors that a careless supervisor left open for its children.
    let leaks = [File::open("/etc/passwd").unwrap(), File::open("/").unwrap()];
    for leak in &leaks {
        rustix::io::fcntl_setfd(leak, FdFlags::empty()).unwrap();
    }
    let session = lab.jail();
    lab.attempt_in(&session);
    drop(leaks);
}

fn only_standard_streams() {
    let listing = fs::read_dir("/proc/self/fd").unwrap();
    let found: Vec<String> = listing
        .map(|entry| {
            let entry = entry.unwrap();
            let target = fs::read_link(entry.path()).unwrap_or_default();
            format!("{} {}", entry.file_name().to_string_lossy(), target.display())
        })
        .collect();
    assert_eq!(found.len(), 4, "three and the listing itself: {found:?}");
    assert!(found.iter().any(|text| text == "0 /dev/null"), "{found:?}");
    assert!(File::open("/proc/self/status").unwrap().as_raw_fd() > 2);
}

fn set_id(lab: &Lab) {
    let folder = lab.host_folder("tools");
    let program = folder.join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let session = lab
        .build(|spec| spec.binds.push(mount(&folder, "/sandbox/tools", Access::ReadOnly)))
        .unwrap_or_else(|error| panic!("{error}"));
    lab.attempt_in(&session);
}

fn set_id_inside() {
    assert_eq!(fs::metadata("/sandbox/tools/id").unwrap().mode() & 0o6000, 0o6000);
    for argument in ["-u", "-g"] {
        let output = Command::new("/sandbox/tools/id").arg(argument).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "1000\n");
    }
    // Nor can the agent leave such a file for somebody else.
    File::create("/sandbox/mine").unwrap();
    let set = fs::set_permissions("/sandbox/mine", fs::Permissions::from_mode(0o4755));
    assert_errno(set, &[EPERM]);
}

fn confined() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    assert_errno(File::open("/.openshell/landlock-probe"), &[EACCES]);
}

fn not_root() {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let outside: Vec<u32> =
        map.lines().map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert!(outside.iter().all(|uid| *uid != 0), "{map}");
    assert_errno(
        OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern"),
        &[EACCES, EROFS],
    );
    assert_errno(File::open("/etc/shadow"), &[ENOENT]);
    assert_errno(fs::write("/etc/passwd", "root::0:0::/:/bin/sh\n"), &[EACCES, EROFS]);
    let uid = Some(rustix::fs::Uid::ROOT);
    File::create("/sandbox/file").unwrap();
    assert_errno(
        rustix::fs::chown("/sandbox/file", uid, None).map_err(Into::into),
        &[EPERM, libc::EINVAL],
    );
    assert_errno(
        rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).map_err(Into::into),
        &[EPERM, libc::EINVAL],
    );
}

fn no_look_into_init() {
    let gone = &[EACCES, ENOENT, EPERM];
    for path in ["/proc/1/mem", "/proc/1/environ", "/proc/1/auxv"] {
        assert_errno(File::open(path), gone);
        assert_errno(
            OpenOptions::new().read(true).write(true).open(path),
            &[EACCES, ENOENT, EPERM, EROFS],
        );
    }
    assert_errno(fs::read_dir("/proc/1/fd"), gone);
    // Init is there all the same, and cannot be killed from inside.
    use rustix::process::{Pid, Signal, kill_process, test_kill_process};
    test_kill_process(Pid::INIT).unwrap();
    kill_process(Pid::INIT, Signal::KILL).unwrap();
    kill_process(Pid::INIT, Signal::TERM).unwrap();
    test_kill_process(Pid::INIT).unwrap();
}

/// Builds a jail under a kernel that answers as `fake` says, and expects a refusal about `word`.
fn refused(lab: &Lab, fake: Fake, word: &str) {
    // Everything but the one answer is as before: a jail can be built.
    drop(lab.jail());
    answer(fake);
    let error = lab.build(|_| {}).err().unwrap_or_else(|| panic!("a jail without `{word}`"));
    assert!(error.to_string().to_lowercase().contains(word), "{error}");
}

fn no_landlock(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_landlock_create_ruleset, ENOSYS), "landlock");
}

fn no_filter(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_seccomp, EPERM), "filter");
}

fn hollow_landlock(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_landlock_restrict_self, 0), "layer `landlock`");
}

fn hollow_filter(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_seccomp, 0), "layer `seccomp`");
}

fn hollow_capset(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_capset, 0), "layer `capabilities`");
}

fn hollow_flags(lab: &Lab) {
    refused(lab, Fake::call(libc::SYS_mount_setattr, 0), "layer `mounts`");
}

fn hollow_undumpable(lab: &Lab) {
    if lab.is_root() {
        // There the change of users makes it so a second time.
        return;
    }
    let first = libc::PR_SET_DUMPABLE.cast_unsigned();
    refused(lab, Fake { first: Some(first), ..Fake::call(libc::SYS_prctl, 0) }, "layer `proc`");
}
