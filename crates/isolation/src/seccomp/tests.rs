//! The compiled program against the tables, and the filter against the kernel.

use std::collections::BTreeMap;
use std::io;

use libc::{c_long, sock_filter};

use super::compile::{
    AND, ARCH, JUMP, JUMP_ANY, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, NO_CALL, RETURN, X32_BIT, program,
};
use super::rule::{Call, Case, Group, If, Rule, Verdict};
use super::table::{agent, supervisor};
use super::{Connect, Options, install};
use crate::testing::{self, fork, in_child};

const ENOSYS: Verdict = Verdict::Fail(libc::ENOSYS);

/// What a filter returned, and after how many instructions.
struct Run {
    value: u32,
    steps: usize,
}

/// A classic BPF machine with the instructions that we emit.
fn run(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> Run {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
    let (mut at, mut accumulator, mut steps) = (0usize, 0u32, 0);
    loop {
        let step = program[at];
        (at, steps) = (at + 1, steps + 1);
        let branch = |holds| usize::from(if holds { step.jt } else { step.jf });
        match step.code {
            LOAD => {
                let offset = step.k as usize;
                accumulator =
                    u32::from_ne_bytes(data[offset..offset + 4].try_into().expect("four bytes"));
            }
            AND => accumulator &= step.k,
            JUMP => at += step.k as usize,
            JUMP_EQUAL => at += branch(accumulator == step.k),
            JUMP_AT_LEAST => at += branch(accumulator >= step.k),
            JUMP_ANY => at += branch(accumulator & step.k != 0),
            RETURN => return Run { value: step.k, steps },
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// The same decision by walking the table.
fn decide(groups: &[Group], number: i64, args: [u64; 6], otherwise: Verdict) -> Verdict {
    let Some(group) = groups.iter().find(|group| names(group, number)) else {
        return otherwise;
    };
    match group.rule {
        Rule::Always(verdict) => verdict,
        Rule::Cases(cases, last) => cases
            .iter()
            .find(|case| case.when.iter().all(|condition| holds(condition, args)))
            .map_or(last, |case| case.then),
    }
}

fn names(group: &Group, number: i64) -> bool {
    group.calls.iter().any(|call| call.number == number)
}

fn holds(condition: &If, args: [u64; 6]) -> bool {
    match *condition {
        If::OneOf { arg, mask, values } => values.contains(&(args[usize::from(arg)] as u32 & mask)),
        If::Any { arg, mask } => args[usize::from(arg)] as u32 & mask != 0,
    }
}

/// Values at which some condition of the rule changes its mind, for each argument.
fn interesting(rule: &Rule) -> [Vec<u64>; 6] {
    let mut values: [Vec<u64>; 6] = Default::default();
    values.iter_mut().for_each(|list| list.extend([0, 1, u64::from(u32::MAX), 1 << 40]));
    let Rule::Cases(cases, _) = rule else { return values };
    for condition in cases.iter().flat_map(|case| case.when) {
        match *condition {
            If::OneOf { arg, values: wanted, .. } => {
                for value in wanted {
                    let value = u64::from(*value);
                    // With flags above it, and with a bit that the kernel does not look at.
                    values[usize::from(arg)].extend([value, value | 0x80800, value | 1 << 32]);
                }
            }
            If::Any { arg, mask } => {
                for bit in (0..32).map(|shift| 1u64 << shift) {
                    let hit = bit & u64::from(mask) != 0;
                    if hit {
                        values[usize::from(arg)].extend([bit, bit | 0o755, bit | 1 << 32]);
                    }
                }
            }
        }
    }
    values
}

/// Every combination of interesting values of the arguments that the rule looks at.
fn combinations(rule: &Rule) -> Vec<[u64; 6]> {
    let mut all = vec![[0u64; 6]];
    let Rule::Cases(cases, _) = rule else { return all };
    let used = |index: usize| {
        cases.iter().flat_map(|case: &Case| case.when).any(|condition| match condition {
            If::OneOf { arg, .. } | If::Any { arg, .. } => usize::from(*arg) == index,
        })
    };
    for (index, values) in interesting(rule).iter().enumerate().filter(|(index, _)| used(*index)) {
        all = all
            .iter()
            .flat_map(|args| {
                values.iter().map(move |value| {
                    let mut args = *args;
                    args[index] = *value;
                    args
                })
            })
            .collect();
    }
    all
}

#[test]
fn the_program_decides_as_a_walk_of_the_table() {
    for (groups, otherwise) in [
        (agent(Connect::Notified), ENOSYS),
        (agent(Connect::Unwatched), ENOSYS),
        (supervisor(), Verdict::Fail(libc::EPERM)),
    ] {
        let program = program(&groups, otherwise).expect("compiles");
        let mut compared = 0;
        for number in 0..=600u32 {
            let rule = groups
                .iter()
                .find(|group| names(group, i64::from(number)))
                .map_or(Rule::Always(otherwise), |group| group.rule);
            for args in combinations(&rule) {
                let expected = decide(&groups, i64::from(number), args, otherwise);
                assert_eq!(
                    run(&program, ARCH, number, args).value,
                    expected.to_return_value(),
                    "call {number} with {args:x?}"
                );
                compared += 1;
            }
        }
        assert!(compared > 3000, "{compared} decisions");
    }
}

#[test]
fn k02_another_architecture_and_x32_are_killed_before_anything_else() {
    let program = program(&agent(Connect::Notified), ENOSYS).expect("compiles");
    let kill = Verdict::Kill.to_return_value();
    for number in [0, 1, 11, 59, 200, 425, 600] {
        assert_eq!(run(&program, 0x4000_0003, number, [0; 6]).value, kill, "i386 {number}");
        assert_eq!(run(&program, ARCH, number | X32_BIT, [0; 6]).value, kill, "x32 {number}");
    }
    assert_eq!(run(&program, 0x4000_0003, NO_CALL, [0; 6]).steps, 3);
    assert_eq!(run(&program, ARCH, NO_CALL, [0; 6]).value, ENOSYS.to_return_value());
}

#[test]
fn k02_a_call_of_another_architecture_ends_the_process() {
    for attempt in [testing::i386_getpid as fn(), || {
        let _dead = testing::syscall(i64::from(X32_BIT) | libc::SYS_getpid, [0; 6]);
    }] {
        let child = fork(move || {
            rustix::thread::set_no_new_privs(true).expect("no_new_privs");
            let _listener = install(&Options::default()).expect("the filter");
            attempt();
        });
        assert_eq!(child.wait() & 0x7f, libc::SIGSYS);
    }
}

#[test]
fn the_tree_is_as_deep_as_the_logarithm_of_its_ranges() {
    let program = program(&agent(Connect::Notified), ENOSYS).expect("compiles");
    let ranges = program.iter().filter(|step| step.code == JUMP_AT_LEAST).count();
    let deepest = (0..=600).map(|number| {
        // Without the tests of arguments, which come after the tree.
        let until_leaf = |program: &[sock_filter]| run(program, ARCH, number, [0; 6]).steps;
        until_leaf(&plain_only(&program))
    });
    let deepest = deepest.max().expect("some");
    let log = ranges.next_power_of_two().trailing_zeros() as usize;
    // Six steps before the tree, one at its end, and a long jump here and there.
    assert!(deepest <= 6 + log + 4 + 1, "{deepest} steps for {ranges} ranges");
    assert!(program.len() < 1000, "{} instructions", program.len());
}

/// The program with each rule's first look at an argument turned into an answer.
fn plain_only(program: &[sock_filter]) -> Vec<sock_filter> {
    let mut copy = program.to_vec();
    for step in copy.iter_mut().filter(|step| step.code == LOAD && step.k >= 16) {
        *step = sock_filter { code: RETURN, jt: 0, jf: 0, k: 0 };
    }
    copy
}

#[test]
fn no_call_is_named_twice_and_every_name_fits_its_number() {
    let mut seen = BTreeMap::new();
    for Call { name, number } in agent(Connect::Notified).iter().flat_map(|group| group.calls) {
        assert_eq!(seen.insert(*number, *name), None, "{name} is {number} again");
    }
    assert_eq!(seen[&libc::SYS_connect], "SYS_connect");
}

fn filtered(attempt: impl FnOnce() + std::panic::UnwindSafe) {
    in_child(|| {
        rustix::thread::set_no_new_privs(true).expect("no_new_privs");
        let listener = install(&Options::default()).expect("the filter");
        assert!(listener.is_some());
        attempt();
    });
}

#[track_caller]
fn answers(call: c_long, args: [u64; 6], errno: i32) {
    assert_eq!(testing::syscall(call, args), Err(errno), "call {call} with {args:x?}");
}

#[track_caller]
fn works(call: c_long, args: [u64; 6]) -> i64 {
    testing::syscall(call, args)
        .unwrap_or_else(|errno| panic!("call {call}: {}", io::Error::from_raw_os_error(errno)))
}

#[test]
fn k01_io_uring_is_not_there() {
    filtered(|| {
        for call in
            [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register]
        {
            answers(call, [1, 0, 0, 0, 0, 0], libc::ENOSYS);
        }
    });
}

#[test]
fn k03_namespaces_roots_and_mounts_are_refused() {
    filtered(|| {
        answers(libc::SYS_clone3, [0; 6], libc::ENOSYS);
        for flag in [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWCGROUP,
        ] {
            let flag = u64::from(flag.cast_unsigned());
            answers(libc::SYS_unshare, [flag, 0, 0, 0, 0, 0], libc::EPERM);
            answers(libc::SYS_clone, [flag | 17, 0, 0, 0, 0, 0], libc::EPERM);
            answers(libc::SYS_clone, [flag | 17 | 1 << 32, 0, 0, 0, 0, 0], libc::EPERM);
        }
        answers(libc::SYS_unshare, [0x80, 0, 0, 0, 0, 0], libc::EPERM);
        works(libc::SYS_unshare, [u64::from(libc::CLONE_FILES.cast_unsigned()), 0, 0, 0, 0, 0]);
        for call in [
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_fsopen,
            libc::SYS_fsmount,
            libc::SYS_fsconfig,
            libc::SYS_fspick,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_mount_setattr,
            467,
        ] {
            answers(call, [0; 6], libc::EPERM);
        }
    });
}

#[test]
fn k04_calls_into_other_processes_and_the_machine_are_refused() {
    filtered(|| {
        for call in [
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
            libc::SYS_perf_event_open,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_open_by_handle_at,
            libc::SYS_name_to_handle_at,
            libc::SYS_syslog,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_acct,
            libc::SYS_quotactl,
        ] {
            answers(call, [0; 6], libc::EPERM);
        }
        for request in [0x5412, 0x541c, 0x5423, 0x5412 | 1 << 32] {
            answers(libc::SYS_ioctl, [0, request, 0, 0, 0, 0], libc::EPERM);
        }
    });
}

const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const RAW: u64 = 3;
const FLAGS: u64 = 0o2_004_000;

#[test]
fn k07_sockets_exist_by_family_type_and_protocol() {
    filtered(|| {
        let socket = |family, kind, protocol| [family, kind, protocol, 0, 0, 0];
        for family in [INET, INET6] {
            for (kind, protocol) in [(STREAM, 0), (STREAM, 6), (DATAGRAM, 0), (DATAGRAM, 17)] {
                works(libc::SYS_socket, socket(family, kind | FLAGS, protocol));
            }
            // MPTCP, SCTP, DCCP, SMC, UDP-Lite, ICMP.
            for (kind, protocol) in [
                (STREAM, 262),
                (STREAM, 132),
                (6, 33),
                (STREAM, 256),
                (DATAGRAM, 136),
                (DATAGRAM, 1),
            ] {
                let errno = libc::EPROTONOSUPPORT;
                answers(libc::SYS_socket, socket(family, kind, protocol), errno);
            }
            answers(libc::SYS_socket, socket(family, RAW, 255), libc::EPERM);
            // SECURITY: a bit that the kernel ignores must not make another protocol of it.
            let high = socket(family, STREAM, 262 | 1 << 32);
            answers(libc::SYS_socket, high, libc::EPROTONOSUPPORT);
        }
        works(libc::SYS_socket, socket(UNIX, STREAM, 0));
        works(libc::SYS_socket, socket(UNIX, 5, 0));
        answers(libc::SYS_socket, socket(UNIX, DATAGRAM, 0), libc::EPERM);
        answers(libc::SYS_socket, socket(UNIX, RAW, 0), libc::EPERM);
        works(libc::SYS_socket, socket(NETLINK, RAW, 0));
        works(libc::SYS_socket, socket(NETLINK, DATAGRAM, 0));
        for protocol in [4, 9, 12, 15, 16] {
            let errno = libc::EPROTONOSUPPORT;
            answers(libc::SYS_socket, socket(NETLINK, RAW, protocol), errno);
        }
        // AX25, KEY, PACKET, RDS, CAN, TIPC, BLUETOOTH, ALG, VSOCK, KCM, QIPCRTR, SMC, XDP.
        for family in [3, 15, 17, 21, 29, 30, 31, 38, 40, 41, 42, 43, 44] {
            answers(libc::SYS_socket, socket(family, RAW, 0), libc::EAFNOSUPPORT);
            answers(libc::SYS_socket, socket(family, STREAM, 0), libc::EAFNOSUPPORT);
        }
        answers(libc::SYS_socketpair, socket(UNIX, DATAGRAM, 0), libc::EOPNOTSUPP);
    });
}

#[test]
fn j14_fast_open_is_refused_in_every_call() {
    filtered(|| {
        let tcp = works(libc::SYS_socket, [INET, STREAM, 0, 0, 0, 0]) as u64;
        let flag = libc::MSG_FASTOPEN as u64;
        answers(libc::SYS_sendto, [tcp, 0, 0, flag, 0, 0], libc::EOPNOTSUPP);
        answers(libc::SYS_sendmsg, [tcp, 0, flag, 0, 0, 0], libc::EOPNOTSUPP);
        answers(libc::SYS_sendmmsg, [tcp, 0, 0, flag | 0x40, 0, 0], libc::EOPNOTSUPP);
        answers(libc::SYS_setsockopt, [tcp, 6, 30, 0, 4, 0], libc::ENOPROTOOPT);
        answers(libc::SYS_setsockopt, [tcp, 6, 31, 0, 4, 0], libc::ENOPROTOOPT);
    });
}

#[test]
fn j02_the_exe_link_cannot_be_forged() {
    filtered(|| {
        for operation in 1..=15 {
            answers(libc::SYS_prctl, [35, operation, 0, 0, 0, 0], libc::EPERM);
        }
        answers(libc::SYS_prctl, [9999, 0, 0, 0, 0, 0], libc::EINVAL);
    });
}

#[test]
fn k24_no_mode_carries_a_set_id_bit() {
    filtered(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |leaf: &str| {
            let path = folder.path().join(leaf).into_os_string().into_encoded_bytes();
            std::ffi::CString::new(path).expect("a path")
        };
        let (old, new, unnamed) = (name("old"), name("new"), name("."));
        let (old, new) = (old.as_ptr() as u64, new.as_ptr() as u64);
        let here = i64::from(libc::AT_FDCWD) as u64;
        let creat = (libc::O_CREAT | libc::O_WRONLY) as u64;
        let file = works(libc::SYS_openat, [here, old, creat, 0o644, 0, 0]) as u64;
        for bits in [0o4755, 0o2755, 0o6755] {
            for (call, args) in [
                (libc::SYS_chmod, [old, bits, 0, 0, 0, 0]),
                (libc::SYS_fchmod, [file, bits, 0, 0, 0, 0]),
                (libc::SYS_fchmodat, [here, old, bits, 0, 0, 0]),
                (libc::SYS_fchmodat2, [here, old, bits, 0, 0, 0]),
                (libc::SYS_creat, [new, bits, 0, 0, 0, 0]),
                (libc::SYS_open, [new, creat, bits, 0, 0, 0]),
                (libc::SYS_openat, [here, new, creat, bits, 0, 0]),
                (libc::SYS_mknod, [new, bits | 0o100_000, 0, 0, 0, 0]),
                (libc::SYS_mknodat, [here, new, bits | 0o100_000, 0, 0, 0]),
            ] {
                answers(call, args, libc::EPERM);
            }
            let unnamed = unnamed.as_ptr() as u64;
            let tmpfile = (libc::O_TMPFILE | libc::O_WRONLY) as u64;
            answers(libc::SYS_openat, [here, unnamed, tmpfile, bits, 0, 0], libc::EPERM);
        }
        answers(libc::SYS_openat2, [here, old, 0, 0, 0, 0], libc::ENOSYS);
        answers(libc::SYS_mknod, [new, 0o020_600, 0x103, 0, 0, 0], libc::EPERM);
        answers(libc::SYS_mknodat, [here, new, 0o060_600, 0x800, 0, 0], libc::EPERM);
        works(libc::SYS_chmod, [old, 0o700, 0, 0, 0, 0]);
        works(libc::SYS_mknod, [new, 0o010_600, 0, 0, 0, 0]);
        // Without O_CREAT the mode is whatever the register held.
        works(libc::SYS_openat, [here, old, 0, 0o6755, 0, 0]);
    });
}

#[test]
fn unknown_calls_are_as_on_an_older_kernel() {
    filtered(|| {
        for call in [400, 447, 470, 599, 1000] {
            answers(call, [0; 6], libc::ENOSYS);
        }
        answers(libc::SYS_personality, [0x40000, 0, 0, 0, 0, 0], libc::EPERM);
        works(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]);
    });
}

#[test]
fn a_second_listener_is_refused_and_the_filter_needs_no_new_privs() {
    in_child(|| {
        rustix::thread::set_no_new_privs(true).expect("no_new_privs");
        let _listener = install(&Options::default()).expect("the first");
        let second = install(&Options::default()).expect_err("the second");
        assert_eq!(second.raw_os_error(), Some(libc::EBUSY));
        assert!(install(&Options { connect: Connect::Unwatched }).expect("plain").is_none());
    });
}
