//! The agent's table and the supervisor's: which calls exist for whom, and why.
//!
//! What stands in no group answers ENOSYS in the jail. Programs treat that as an older kernel and
//! fall back, which is what is wanted of a call that nobody here has judged yet.

use super::Connect;
use super::rule::{Call, Case, Group, If, Rule, Verdict, calls};

const ALLOW: Rule = Rule::Always(Verdict::Allow);
const REFUSE: Rule = Rule::Always(Verdict::Fail(libc::EPERM));
const ABSENT: Rule = Rule::Always(Verdict::Fail(libc::ENOSYS));

/// The groups of the agent's filter.
pub(super) fn agent(connect: Connect) -> Vec<Group> {
    let verdict = match connect {
        Connect::Notified => Verdict::Notify,
        Connect::Unwatched => Verdict::Allow,
    };
    let mut groups = [PLAIN, LEGACY_PLAIN, AGENT, LOOKED_AT, LEGACY_LOOKED_AT, REFUSED].concat();
    groups.push(Group {
        why: "the one way to open a connection: the identifier names the caller and does it (J7, K25)",
        rule: Rule::Always(verdict),
        calls: calls![SYS_connect],
    });
    groups
}

/// The groups of the supervisor's filter: what any program does, threads, and Internet or Unix
/// sockets; no new program, no new process, no other family.
pub(crate) fn supervisor() -> Vec<Group> {
    let mut groups = [PLAIN, LEGACY_PLAIN, LOOKED_AT, LEGACY_LOOKED_AT]
        .concat()
        .into_iter()
        .filter(|group| !group.calls.iter().any(|call| SUPERVISOR_OWN.contains(&call.number)))
        .collect::<Vec<_>>();
    groups.extend_from_slice(SUPERVISOR);
    groups
}

/// What any program calls, and no argument makes dangerous.
const PLAIN: &[Group] = &[
    Group {
        why: "reading and writing what is open",
        rule: ALLOW,
        calls: calls![
            SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev
            SYS_preadv2 SYS_pwritev2 SYS_lseek SYS_close SYS_close_range SYS_dup SYS_dup3 SYS_fcntl
            SYS_flock SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range SYS_ftruncate
            SYS_fallocate SYS_fadvise64 SYS_readahead SYS_sendfile SYS_splice SYS_tee SYS_vmsplice
            SYS_copy_file_range SYS_pipe2 SYS_getdents64
        ],
    },
    Group {
        why: "names, attributes and folders; where they may reach is the mounts' and Landlock's",
        rule: ALLOW,
        calls: calls![
            SYS_fstat SYS_newfstatat SYS_statx SYS_statfs SYS_fstatfs SYS_faccessat SYS_faccessat2
            SYS_readlinkat SYS_getcwd SYS_chdir SYS_fchdir SYS_mkdirat SYS_unlinkat SYS_linkat
            SYS_symlinkat SYS_renameat SYS_renameat2 SYS_truncate SYS_umask SYS_utimensat
            SYS_fchown SYS_fchownat SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr
            SYS_llistxattr SYS_flistxattr SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr
            SYS_lremovexattr SYS_fremovexattr SYS_inotify_init1 SYS_inotify_add_watch
            SYS_inotify_rm_watch
        ],
    },
    Group {
        why: "waiting: every event loop",
        rule: ALLOW,
        calls: calls![
            SYS_ppoll SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2
            SYS_eventfd2 SYS_signalfd4 SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime
        ],
    },
    Group {
        why: "memory",
        rule: ALLOW,
        calls: calls![
            SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_brk SYS_msync SYS_mincore
            SYS_mlock SYS_mlock2 SYS_munlock SYS_mlockall SYS_munlockall SYS_mseal SYS_membarrier
            SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect
        ],
    },
    Group {
        why: "threads, locks and scheduling",
        rule: ALLOW,
        calls: calls![
            SYS_futex SYS_futex_waitv SYS_set_robust_list SYS_get_robust_list SYS_set_tid_address
            SYS_rseq SYS_gettid SYS_sched_yield SYS_sched_getaffinity SYS_sched_setaffinity
            SYS_sched_getparam SYS_sched_setparam SYS_sched_getscheduler SYS_sched_setscheduler
            SYS_sched_getattr SYS_sched_setattr SYS_sched_get_priority_max
            SYS_sched_get_priority_min SYS_sched_rr_get_interval SYS_getcpu SYS_getpriority
            SYS_setpriority SYS_ioprio_get SYS_ioprio_set SYS_restart_syscall SYS_exit
            SYS_exit_group
        ],
    },
    Group {
        why: "futex2, by number: libc does not name these yet",
        rule: ALLOW,
        calls: &[
            Call { name: "futex_wake", number: 454 },
            Call { name: "futex_wait", number: 455 },
            Call { name: "futex_requeue", number: 456 },
        ],
    },
    Group {
        why: "clocks and randomness",
        rule: ALLOW,
        calls: calls![
            SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday
            SYS_times SYS_getitimer SYS_setitimer SYS_timer_create SYS_timer_settime
            SYS_timer_gettime SYS_timer_getoverrun SYS_timer_delete SYS_getrandom
        ],
    },
    Group {
        why: "signals: sent within the jail's own pid namespace",
        rule: ALLOW,
        calls: calls![
            SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigpending SYS_rt_sigtimedwait
            SYS_rt_sigsuspend SYS_rt_sigreturn SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo
            SYS_sigaltstack SYS_kill SYS_tkill SYS_tgkill SYS_pidfd_open SYS_pidfd_send_signal
        ],
    },
    Group {
        why: "who and what one is; without capabilities the setters grant nothing",
        rule: ALLOW,
        calls: calls![
            SYS_getpid SYS_getppid SYS_getpgid SYS_setpgid SYS_getsid SYS_setsid SYS_getuid
            SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups
            SYS_capget SYS_uname SYS_sysinfo SYS_getrusage SYS_getrlimit SYS_setrlimit
            SYS_prlimit64 SYS_wait4 SYS_waitid
        ],
    },
    Group {
        why: "sockets, once they exist",
        rule: ALLOW,
        calls: calls![
            SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_getsockname SYS_getpeername
            SYS_getsockopt SYS_shutdown SYS_recvfrom SYS_recvmsg SYS_recvmmsg
        ],
    },
];

/// What only the agent needs: new programs and processes, and rarer mechanisms.
const AGENT: &[Group] = &[
    Group {
        why: "starting programs; execveat also runs a memfd, whose identity has no path (J1)",
        rule: ALLOW,
        calls: calls![SYS_execve SYS_execveat SYS_memfd_create],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        why: "older spellings of clone, without namespaces",
        rule: ALLOW,
        calls: calls![SYS_fork SYS_vfork],
    },
    Group {
        why: "su-like programs call these and want the answer of a process without capabilities",
        rule: ALLOW,
        calls: calls![
            SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid
            SYS_setfsgid SYS_setgroups SYS_capset
        ],
    },
    Group {
        why: "System V and POSIX queues in the jail's own IPC namespace: databases, Python",
        rule: ALLOW,
        calls: calls![
            SYS_shmget SYS_shmat SYS_shmdt SYS_shmctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl
            SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend
            SYS_mq_timedreceive SYS_mq_notify SYS_mq_getsetattr
        ],
    },
    Group {
        why: "libaio: databases; it has reads, writes and fsync, and nothing that connects",
        rule: ALLOW,
        calls: calls![
            SYS_io_setup SYS_io_destroy SYS_io_submit SYS_io_cancel SYS_io_getevents
        ],
    },
    Group {
        why: "Java and numpy place memory with these",
        rule: ALLOW,
        calls: calls![
            SYS_get_mempolicy SYS_set_mempolicy SYS_mbind SYS_set_mempolicy_home_node
            SYS_remap_file_pages
        ],
    },
    Group {
        why: "programs that confine themselves further: OpenSSH, Chromium, Landlock users",
        rule: ALLOW,
        calls: calls![
            SYS_seccomp SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
        ],
    },
    Group {
        why: "page cache state and shadow stacks, by number: libc does not name these yet",
        rule: ALLOW,
        calls: &[
            Call { name: "cachestat", number: 451 },
            Call { name: "map_shadow_stack", number: 453 },
        ],
    },
];

/// Calls that later architectures do without.
#[cfg(target_arch = "x86_64")]
const LEGACY_PLAIN: &[Group] = &[Group {
    why: "older spellings of the calls above",
    rule: ALLOW,
    calls: calls![
        SYS_stat SYS_lstat SYS_access SYS_readlink SYS_mkdir SYS_rmdir SYS_unlink SYS_link
        SYS_symlink SYS_rename SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat SYS_getdents
        SYS_dup2 SYS_pipe SYS_poll SYS_select SYS_epoll_create SYS_epoll_wait SYS_eventfd
        SYS_signalfd SYS_inotify_init SYS_alarm SYS_pause SYS_time SYS_getpgrp SYS_arch_prctl
    ],
}];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_PLAIN: &[Group] = &[];

/// Calls whose arguments decide.
const LOOKED_AT: &[Group] = &[
    Group {
        why: "threads and processes, but no new namespace (K3)",
        rule: Rule::Cases(
            &[Case { when: &[If::Any { arg: 0, mask: NEW_NAMESPACE }], then: NOT_PERMITTED }],
            Verdict::Allow,
        ),
        calls: calls![SYS_clone],
    },
    Group {
        why: "its flags are behind a pointer; libc falls back to clone, whose are not",
        rule: ABSENT,
        calls: calls![SYS_clone3],
    },
    Group {
        why: "TIOCSTI types into a terminal, TIOCLINUX pastes, TIOCSETD loads a line discipline (K4)",
        rule: Rule::Cases(
            &[Case {
                when: &[If::OneOf { arg: 1, mask: u32::MAX, values: &[0x5412, 0x541c, 0x5423] }],
                then: NOT_PERMITTED,
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_ioctl],
    },
    Group {
        why: "the families, types and protocols that the capture covers (K7, J14)",
        rule: Rule::Cases(SOCKETS, Verdict::Fail(libc::EAFNOSUPPORT)),
        calls: calls![SYS_socket],
    },
    Group {
        why: "pairs; not of datagrams, which sendto can address to a socket outside (K22)",
        rule: Rule::Cases(
            &[Case { when: &[FAMILY_UNIX, TYPE_CONNECTED], then: Verdict::Allow }],
            Verdict::Fail(libc::EOPNOTSUPP),
        ),
        calls: calls![SYS_socketpair],
    },
    Group {
        why: "MSG_FASTOPEN connects without connect (J14)",
        rule: Rule::Cases(
            &[Case {
                when: &[If::Any { arg: 3, mask: FAST_OPEN }],
                then: Verdict::Fail(libc::EOPNOTSUPP),
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_sendto SYS_sendmmsg],
    },
    Group {
        why: "the same",
        rule: Rule::Cases(
            &[Case {
                when: &[If::Any { arg: 2, mask: FAST_OPEN }],
                then: Verdict::Fail(libc::EOPNOTSUPP),
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_sendmsg],
    },
    Group {
        why: "TCP_FASTOPEN_CONNECT delays the connection past connect; TCP_ULP loads protocols (J14)",
        rule: Rule::Cases(
            &[Case {
                when: &[
                    If::OneOf { arg: 1, mask: u32::MAX, values: &[6] },
                    If::OneOf { arg: 2, mask: u32::MAX, values: &[30, 31] },
                ],
                then: Verdict::Fail(libc::ENOPROTOOPT),
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_setsockopt],
    },
    Group {
        why: "the modes that they can read back or set without weakening address randomisation",
        rule: Rule::Cases(
            &[Case {
                when: &[If::OneOf { arg: 0, mask: u32::MAX, values: &[0, u32::MAX] }],
                then: Verdict::Allow,
            }],
            NOT_PERMITTED,
        ),
        calls: calls![SYS_personality],
    },
    Group {
        why: "options that concern the caller alone; PR_SET_MM would forge its exe link (J2)",
        rule: Rule::Cases(
            &[
                Case {
                    when: &[If::OneOf { arg: 0, mask: u32::MAX, values: PROCESS_OPTIONS }],
                    then: Verdict::Allow,
                },
                Case {
                    when: &[If::OneOf { arg: 0, mask: u32::MAX, values: &[35] }],
                    then: NOT_PERMITTED,
                },
            ],
            Verdict::Fail(libc::EINVAL),
        ),
        calls: calls![SYS_prctl],
    },
    Group {
        why: "modes without set-id bits, which would outlive the jail on a mount (K24)",
        rule: Rule::Cases(&[Case { when: &[SET_ID_1], then: NOT_PERMITTED }], Verdict::Allow),
        calls: calls![SYS_fchmod],
    },
    Group {
        why: "the same",
        rule: Rule::Cases(&[Case { when: &[SET_ID_2], then: NOT_PERMITTED }], Verdict::Allow),
        calls: calls![SYS_fchmodat SYS_fchmodat2],
    },
    Group {
        why: "the same, when the call creates something: else its mode is whatever was in a register",
        rule: Rule::Cases(
            &[Case { when: &[If::Any { arg: 2, mask: CREATES }, SET_ID_3], then: NOT_PERMITTED }],
            Verdict::Allow,
        ),
        calls: calls![SYS_openat],
    },
    Group {
        why: "its mode is behind a pointer; everybody falls back to openat",
        rule: ABSENT,
        calls: calls![SYS_openat2],
    },
    Group {
        why: "pipes and files; not devices (K17), nor set-id bits",
        rule: Rule::Cases(
            &[
                Case { when: &[SET_ID_2], then: NOT_PERMITTED },
                Case {
                    when: &[If::OneOf { arg: 2, mask: FILE_TYPE, values: DEVICES }],
                    then: NOT_PERMITTED,
                },
            ],
            Verdict::Allow,
        ),
        calls: calls![SYS_mknodat],
    },
    Group {
        why: "splits what threads share, but makes no namespace (K3)",
        rule: Rule::Cases(
            &[Case {
                when: &[If::Any { arg: 0, mask: NEW_NAMESPACE | NEW_TIME }],
                then: NOT_PERMITTED,
            }],
            Verdict::Allow,
        ),
        calls: calls![SYS_unshare],
    },
];

/// The same rules for the spellings that later architectures do without.
#[cfg(target_arch = "x86_64")]
const LEGACY_LOOKED_AT: &[Group] = &[
    Group {
        why: "as fchmodat, and creat's mode is always one",
        rule: Rule::Cases(&[Case { when: &[SET_ID_1], then: NOT_PERMITTED }], Verdict::Allow),
        calls: calls![SYS_chmod SYS_creat],
    },
    Group {
        why: "as openat",
        rule: Rule::Cases(
            &[Case { when: &[If::Any { arg: 1, mask: CREATES }, SET_ID_2], then: NOT_PERMITTED }],
            Verdict::Allow,
        ),
        calls: calls![SYS_open],
    },
    Group {
        why: "as mknodat",
        rule: Rule::Cases(
            &[
                Case { when: &[SET_ID_1], then: NOT_PERMITTED },
                Case {
                    when: &[If::OneOf { arg: 1, mask: FILE_TYPE, values: DEVICES }],
                    then: NOT_PERMITTED,
                },
            ],
            Verdict::Allow,
        ),
        calls: calls![SYS_mknod],
    },
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_LOOKED_AT: &[Group] = &[];

/// Calls that exist, and are refused.
const REFUSED: &[Group] = &[
    Group {
        why: "a kernel interface of its own, past every filter and the notification (K1, J14)",
        rule: ABSENT,
        calls: calls![SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register],
    },
    Group {
        why: "other namespaces, roots and mounts (K3)",
        rule: REFUSE,
        calls: calls![
            SYS_setns SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_fsopen SYS_fsconfig
            SYS_fsmount SYS_fspick SYS_open_tree SYS_move_mount SYS_mount_setattr
        ],
    },
    Group {
        why: "open_tree_attr, by number (K3)",
        rule: REFUSE,
        calls: &[Call { name: "open_tree_attr", number: 467 }],
    },
    Group {
        why: "looking into other processes (K4, J6)",
        rule: REFUSE,
        calls: calls![
            SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise
            SYS_pidfd_getfd SYS_kcmp SYS_perf_event_open
        ],
    },
    Group {
        why: "large attack surface, and no ordinary program's (K4)",
        rule: REFUSE,
        calls: calls![
            SYS_bpf SYS_userfaultfd SYS_keyctl SYS_add_key SYS_request_key SYS_fanotify_init
            SYS_fanotify_mark SYS_migrate_pages SYS_move_pages
        ],
    },
    Group {
        why: "files by handle, past every path rule (K4)",
        rule: REFUSE,
        calls: calls![SYS_open_by_handle_at SYS_name_to_handle_at],
    },
    Group {
        why: "the machine itself (K4)",
        rule: REFUSE,
        calls: calls![
            SYS_syslog SYS_reboot SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_quotactl_fd
            SYS_kexec_load SYS_init_module SYS_finit_module SYS_delete_module SYS_sethostname
            SYS_setdomainname SYS_settimeofday SYS_clock_settime SYS_adjtimex SYS_clock_adjtime
            SYS_vhangup
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        why: "the same: I/O ports, and a kernel from a file",
        rule: REFUSE,
        calls: calls![SYS_iopl SYS_ioperm SYS_kexec_file_load],
    },
];

/// Calls for which the supervisor has a stricter rule than the agent.
const SUPERVISOR_OWN: &[i64] =
    &[libc::SYS_clone, libc::SYS_socket, libc::SYS_unshare, libc::SYS_openat2];

const SUPERVISOR: &[Group] = &[
    Group {
        why: "dialling, and the gateway's Unix socket",
        rule: ALLOW,
        calls: calls![SYS_connect],
    },
    Group {
        why: "binary paths of a policy, resolved beneath the jail's root; Landlock judges the rest",
        rule: ALLOW,
        calls: calls![SYS_openat2],
    },
    Group {
        why: "threads of the runtime, but no process",
        rule: Rule::Cases(
            &[Case {
                when: &[If::Any { arg: 0, mask: libc::CLONE_THREAD.cast_unsigned() }],
                then: Verdict::Allow,
            }],
            NOT_PERMITTED,
        ),
        calls: calls![SYS_clone],
    },
    Group {
        why: "TCP, UDP and connected Unix sockets; its netlink sockets came from the jail's build",
        rule: Rule::Cases(INTERNET_AND_UNIX, NOT_PERMITTED),
        calls: calls![SYS_socket],
    },
];

const NOT_PERMITTED: Verdict = Verdict::Fail(libc::EPERM);

/// `CLONE_NEW*` except for time, whose bit is part of clone's exit signal.
const NEW_NAMESPACE: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();
const NEW_TIME: u32 = libc::CLONE_NEWTIME.cast_unsigned();

const FAST_OPEN: u32 = libc::MSG_FASTOPEN.cast_unsigned();

/// `O_CREAT`, and the bit of `O_TMPFILE` that is not also `O_DIRECTORY`'s.
const CREATES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)).cast_unsigned();

const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
const SET_ID_1: If = If::Any { arg: 1, mask: SET_ID };
const SET_ID_2: If = If::Any { arg: 2, mask: SET_ID };
const SET_ID_3: If = If::Any { arg: 3, mask: SET_ID };

const FILE_TYPE: u32 = libc::S_IFMT;
const DEVICES: &[u32] = &[libc::S_IFCHR, libc::S_IFBLK];

/// `SOCK_TYPE_MASK`: the rest are flags.
const SOCKET_TYPE: u32 = 0xf;
const FAMILY_UNIX: If = If::OneOf { arg: 0, mask: u32::MAX, values: &[1] };
const FAMILY_INTERNET: If = If::OneOf { arg: 0, mask: u32::MAX, values: &[2, 10] };
const FAMILY_NETLINK: If = If::OneOf { arg: 0, mask: u32::MAX, values: &[16] };
/// SOCK_STREAM and SOCK_SEQPACKET.
const TYPE_CONNECTED: If = If::OneOf { arg: 1, mask: SOCKET_TYPE, values: &[1, 5] };
const TYPE_STREAM: If = If::OneOf { arg: 1, mask: SOCKET_TYPE, values: &[1] };
const TYPE_DATAGRAM: If = If::OneOf { arg: 1, mask: SOCKET_TYPE, values: &[2] };
const TYPE_RAW: If = If::OneOf { arg: 1, mask: SOCKET_TYPE, values: &[3] };
/// SOCK_DGRAM and SOCK_RAW, which are the same to netlink.
const TYPE_MESSAGE: If = If::OneOf { arg: 1, mask: SOCKET_TYPE, values: &[2, 3] };
const PROTOCOL_TCP: If = If::OneOf { arg: 2, mask: u32::MAX, values: &[0, 6] };
const PROTOCOL_UDP: If = If::OneOf { arg: 2, mask: u32::MAX, values: &[0, 17] };
const PROTOCOL_ROUTE: If = If::OneOf { arg: 2, mask: u32::MAX, values: &[0] };

/// Which sockets the agent can make. A Unix datagram socket needs no connect to reach a path, so
/// it would pass the notification by.
const SOCKETS: &[Case] = &[
    Case { when: &[FAMILY_INTERNET, TYPE_STREAM, PROTOCOL_TCP], then: Verdict::Allow },
    Case { when: &[FAMILY_INTERNET, TYPE_DATAGRAM, PROTOCOL_UDP], then: Verdict::Allow },
    Case { when: &[FAMILY_INTERNET, TYPE_RAW], then: NOT_PERMITTED },
    Case { when: &[FAMILY_INTERNET], then: Verdict::Fail(libc::EPROTONOSUPPORT) },
    Case { when: &[FAMILY_UNIX, TYPE_CONNECTED], then: Verdict::Allow },
    Case { when: &[FAMILY_UNIX], then: NOT_PERMITTED },
    Case { when: &[FAMILY_NETLINK, TYPE_MESSAGE, PROTOCOL_ROUTE], then: Verdict::Allow },
    Case { when: &[FAMILY_NETLINK], then: Verdict::Fail(libc::EPROTONOSUPPORT) },
];

const INTERNET_AND_UNIX: &[Case] = &[
    Case { when: &[FAMILY_INTERNET, TYPE_STREAM, PROTOCOL_TCP], then: Verdict::Allow },
    Case { when: &[FAMILY_INTERNET, TYPE_DATAGRAM, PROTOCOL_UDP], then: Verdict::Allow },
    Case { when: &[FAMILY_UNIX, TYPE_CONNECTED], then: Verdict::Allow },
];

/// prctl options that concern the caller alone.
const PROCESS_OPTIONS: &[u32] = &[
    1,
    2, // PDEATHSIG
    3,
    4, // DUMPABLE
    7,
    8, // KEEPCAPS
    13,
    14, // TIMING
    15,
    16, // NAME
    21,
    22, // SECCOMP: a further filter can only take away
    23,
    24, // CAPBSET
    25,
    26, // TSC
    27, // GET_SECUREBITS
    29,
    30, // TIMERSLACK
    36,
    37, // CHILD_SUBREAPER
    38,
    39, // NO_NEW_PRIVS
    40, // GET_TID_ADDRESS
    41,
    42, // THP_DISABLE
    47, // CAP_AMBIENT
    50,
    51, // SVE_VL
    52,
    53, // SPECULATION_CTRL
    54,
    60,
    61, // PAC keys
    55,
    56, // TAGGED_ADDR_CTRL
    63,
    64, // SME_VL
    65,
    66,          // MDWE
    0x4155_5856, // GET_AUXV
    0x5356_4d41, // SET_VMA: names of memory
    0x5961_6d61, // SET_PTRACER: crash handlers call it; there is no ptrace
];
