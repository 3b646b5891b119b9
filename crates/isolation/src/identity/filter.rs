//! The identifier's own filter: it reads, answers and connects what it was given.

use crate::seccomp::{Case, Group, If, Rule, Verdict, calls};

const ALLOW: Rule = Rule::Always(Verdict::Allow);
const NOT_PERMITTED: Verdict = Verdict::Fail(libc::EPERM);

/// Everything else answers EPERM: no program, process, thread or socket of its own, no writing.
pub(super) const CALLS: &[Group] = &[
    Group {
        why: "the caller's process, socket and address",
        rule: ALLOW,
        calls: calls![
            SYS_pidfd_open SYS_pidfd_getfd SYS_process_vm_readv SYS_getsockopt SYS_read
            SYS_readlinkat SYS_fstat SYS_newfstatat SYS_statx SYS_openat2 SYS_close
        ],
    },
    Group {
        why: "to connect the copy, with a deadline",
        rule: ALLOW,
        calls: calls![SYS_connect SYS_timer_settime],
    },
    Group {
        why: "to mark the copy, and to change nothing else about it",
        rule: Rule::Cases(
            &[Case {
                when: &[
                    If::OneOf { arg: 1, mask: u32::MAX, values: &[libc::SOL_SOCKET as u32] },
                    If::OneOf { arg: 2, mask: u32::MAX, values: &[libc::SO_MARK as u32] },
                ],
                then: Verdict::Allow,
            }],
            NOT_PERMITTED,
        ),
        calls: calls![SYS_setsockopt],
    },
    Group {
        why: "the supervisor: the jail comes in, records go out",
        rule: ALLOW,
        calls: calls![SYS_recvmsg SYS_recvfrom SYS_sendto SYS_ppoll],
    },
    Group {
        why: "memory and locks of threads that exist",
        rule: ALLOW,
        calls: calls![
            SYS_munmap SYS_mremap SYS_madvise SYS_brk SYS_futex SYS_sched_yield SYS_clock_gettime
            SYS_clock_nanosleep SYS_getrandom SYS_rt_sigreturn SYS_rt_sigprocmask SYS_sigaltstack
            SYS_restart_syscall SYS_gettid SYS_getpid SYS_exit SYS_exit_group
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group { why: "as ppoll", rule: ALLOW, calls: calls![SYS_poll] },
    Group {
        why: "memory that is not code",
        rule: Rule::Cases(
            &[Case {
                when: &[If::Any { arg: 2, mask: libc::PROT_EXEC.cast_unsigned() }],
                then: NOT_PERMITTED,
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_mmap SYS_mprotect],
    },
    Group {
        why: "files, to read",
        rule: Rule::Cases(
            &[Case { when: &[If::Any { arg: 2, mask: WRITES }], then: NOT_PERMITTED }],
            Verdict::Allow,
        ),
        calls: calls![SYS_openat],
    },
    Group {
        why: "the listener's questions and answers; not adding descriptors to the caller",
        rule: Rule::Cases(
            &[Case {
                when: &[If::OneOf { arg: 1, mask: u32::MAX, values: NOTIFICATIONS }],
                then: Verdict::Allow,
            }],
            NOT_PERMITTED,
        ),
        calls: calls![SYS_ioctl],
    },
];

const WRITES: u32 = (libc::O_WRONLY
    | libc::O_RDWR
    | libc::O_CREAT
    | libc::O_TRUNC
    | (libc::O_TMPFILE & !libc::O_DIRECTORY))
    .cast_unsigned();

const NOTIFICATIONS: &[u32] = &[
    libc::SECCOMP_IOCTL_NOTIF_RECV as u32,
    libc::SECCOMP_IOCTL_NOTIF_SEND as u32,
    libc::SECCOMP_IOCTL_NOTIF_ID_VALID as u32,
];
