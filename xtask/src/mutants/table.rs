//! Which protections are taken out, and who has to notice.
//!
//! The name says what the attacker gains. Where a layer is taken out the jail's self-test has to
//! find it: `says` names the layer, and no agent has started.

use super::{Edit, Mutant, Test};

const ISOLATION: &str = "openshell-isolation";
const POLICY: &str = "openshell-policy";

const BOOT: &str = "crates/isolation/src/jail/boot.rs";
const COMPOSE: &str = "crates/isolation/src/rootfs/compose.rs";
const FILTER: &str = "crates/isolation/src/seccomp/table.rs";
const NFT: &str = "crates/isolation/src/net/nft.rs";
const SOURCE: &str = "crates/isolation/src/rootfs/source.rs";

/// A jail is built, or says why not.
const ANY_JAIL: Test = Test::Target(ISOLATION, "jail", "runs_a_command_with_pipes");

const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, from, to }
}

/// Every mutant.
pub(super) const MUTANTS: &[Mutant] = &[
    // Layers of the jail. Without one of them no agent starts.
    Mutant {
        name: "layer: no Landlock",
        edits: &[edit(
            BOOT,
            "let landlock = landlock::enforce(spec)?;",
            "let landlock = LandlockReport { abi: 9, enforced: true, scoped: true };",
        )],
        test: ANY_JAIL,
        says: "layer `landlock`",
    },
    Mutant {
        name: "layer: no system call filter",
        edits: &[edit(
            BOOT,
            "let (connect, listener) = filter(spec)?;",
            "let (connect, listener) = (Connect::Notified, None);",
        )],
        test: ANY_JAIL,
        says: "layer `seccomp`",
    },
    Mutant {
        name: "layer: no listener for connects",
        edits: &[edit(
            BOOT,
            "match install(Connect::Notified) {",
            "match install(Connect::Unwatched) {",
        )],
        test: Test::Programs("bypass", "the_way_that_is_allowed_works"),
        says: "seccomp listener",
    },
    Mutant {
        name: "layer: capabilities stay",
        edits: &[edit(
            "crates/isolation/src/privileges.rs",
            "set_capabilities(None, none).map_err(Into::into)",
            "Some(none).map(drop).ok_or(io::ErrorKind::Other.into())",
        )],
        test: ANY_JAIL,
        says: "layer `capabilities`",
    },
    Mutant {
        name: "layer: capabilities can come back by exec",
        edits: &[edit(
            "crates/isolation/src/privileges.rs",
            "for capability in (0..u64::BITS).map(|bit| 1 << bit) {",
            "for capability in (0..0u32).map(|bit| 1 << bit) {",
        )],
        test: ANY_JAIL,
        says: "layer `capabilities`",
    },
    Mutant {
        name: "layer: set-id programs give rights (no_new_privs)",
        edits: &[
            edit(BOOT, "set_no_new_privs(true).step(\"set no_new_privs\")?;", ""),
            edit(
                "crates/isolation/src/landlock.rs",
                "let status = ruleset.restrict_self()",
                "let status = ruleset.set_no_new_privs(false).restrict_self()",
            ),
        ],
        test: ANY_JAIL,
        says: "enforce Landlock",
    },
    Mutant {
        name: "layer: read-only binds can be written",
        edits: &[edit(SOURCE, "read_only: bind.access == Access::ReadOnly,", "read_only: false,")],
        test: ANY_JAIL,
        says: "layer `mounts`",
    },
    Mutant {
        name: "layer: the root can be written",
        edits: &[edit(
            "crates/isolation/src/rootfs.rs",
            "Tree::Top, MountAttributes { read_only: true, ..Default::default() })",
            "Tree::Top, MountAttributes { read_only: false, ..Default::default() })",
        )],
        test: ANY_JAIL,
        says: "layer `mounts`",
    },
    Mutant {
        name: "layer: set-id bits count on mounts",
        edits: &[edit(
            "crates/isolation/src/sys/mount.rs",
            "let mut set = MOUNT_ATTR_NOSUID;",
            "let mut set = 0;",
        )],
        test: ANY_JAIL,
        says: "layer `mounts`",
    },
    Mutant {
        name: "layer: init can be looked into (K21)",
        edits: &[edit(
            BOOT,
            "set_dumpable_behavior(DumpableBehavior::NotDumpable).step(STEP)",
            "set_dumpable_behavior(DumpableBehavior::Dumpable).step(STEP)",
        )],
        test: ANY_JAIL,
        says: "layer `proc`",
    },
    Mutant {
        name: "layer: /proc can be written (K20)",
        edits: &[edit(
            COMPOSE,
            "MountAttributes { read_only: true, no_devices: true, no_execute: true, id_map: None };",
            "MountAttributes { read_only: false, no_devices: true, no_execute: true, id_map: None };",
        )],
        test: ANY_JAIL,
        says: "layer `",
    },
    Mutant {
        name: "layer: datagrams are not refused",
        edits: &[edit(
            NFT,
            "rules.push(Rule::new(\"refuse\").counter().refuse());",
            "rules.push(Rule::new(\"refuse\").counter().accept());",
        )],
        test: ANY_JAIL,
        says: "layer `network`",
    },
    Mutant {
        name: "layer: root stands behind the jail's user (K20)",
        edits: &[edit(
            "crates/isolation/src/jail/build.rs",
            "if uid == 0 {",
            "if uid == u32::MAX {",
        )],
        test: Test::Target(ISOLATION, "jail", "k20_refuses_root_behind_the_jails_user"),
        says: "k20_refuses_root",
    },
    // The capture.
    Mutant {
        name: "capture: TCP is not handed to the listener (raw IPv4, IPv6, DoT)",
        edits: &[edit(
            NFT,
            ".protocol(TCP)\n                .tproxy(address, PROXY_PORT)\n",
            ".protocol(TCP)\n",
        )],
        test: Test::Programs("bypass", "raw_ipv"),
        says: "raw_ipv",
    },
    Mutant {
        name: "capture: questions go to the server that was asked (another name server)",
        edits: &[edit(NFT, ".tproxy(address, DNS_PORT)\n", "\n")],
        test: Test::Programs("bypass", "another_name_server"),
        says: "another_name_server",
    },
    Mutant {
        name: "capture: refused datagrams are not told (UDP, QUIC)",
        edits: &[edit(NFT, "rules.push(Rule::new(\"report\")", "let _ = (Rule::new(\"report\")")],
        test: Test::Programs("bypass", "udp_and_quic"),
        says: "no event of it",
    },
    Mutant {
        name: "capture: a refused client waits for its answer",
        edits: &[edit(NFT, "rules.push(Rule::new(\"refuse\").counter().refuse());", "")],
        test: Test::Target(ISOLATION, "capture", "f11_a_connected_quic_client"),
        says: "f11",
    },
    Mutant {
        name: "capture: without us a program of the jail takes connections",
        edits: &[edit(
            NFT,
            "rules.push(Rule::new(\"reset new tcp\").protocol(TCP).tcp_opens().reset());",
            "",
        )],
        test: Test::Target(ISOLATION, "capture", "without_a_listener"),
        says: "without_a_listener",
    },
    Mutant {
        name: "capture: every name exists (a static program with its own resolver, A7)",
        edits: &[edit(
            "crates/egress/src/dns.rs",
            "if !policy.policy.resolves(&name) && !policy.routes.resolves(&name) {",
            "if false {",
        )],
        test: Test::Programs("bypass", "a_static_program"),
        says: "a_static_program",
    },
    // The filter, rule by rule.
    Mutant {
        name: "filter: io_uring (K1)",
        edits: &[edit(
            FILTER,
            "rule: ABSENT,\n        calls: calls![SYS_io_uring_setup",
            "rule: ALLOW,\n        calls: calls![SYS_io_uring_setup",
        )],
        test: Test::Programs("bypass", "k01_io_uring"),
        says: "layer `seccomp`",
    },
    Mutant {
        name: "filter: nested user namespaces by unshare (K3)",
        edits: &[edit(
            FILTER,
            "when: &[If::Any { arg: 0, mask: NEW_NAMESPACE | NEW_TIME }],",
            "when: &[If::Any { arg: 0, mask: 0 }],",
        )],
        test: Test::Programs("bypass", "k03_nested_namespaces"),
        says: "layer `seccomp`",
    },
    Mutant {
        name: "filter: nested user namespaces by clone (K3)",
        edits: &[edit(
            FILTER,
            "&[Case { when: &[If::Any { arg: 0, mask: NEW_NAMESPACE }], then: NOT_PERMITTED }],",
            "&[],",
        )],
        test: Test::Programs("bypass", "k03_nested_namespaces"),
        says: "k03_nested",
    },
    Mutant {
        name: "filter: ptrace and the memory of neighbours (K4)",
        edits: &[edit(
            FILTER,
            "rule: REFUSE,\n        calls: calls![\n            SYS_ptrace",
            "rule: ALLOW,\n        calls: calls![\n            SYS_ptrace",
        )],
        test: Test::Programs("bypass", "k04_looking_into"),
        says: "layer `seccomp`",
    },
    Mutant {
        name: "filter: raw sockets (K7)",
        edits: &[edit(
            FILTER,
            "when: &[FAMILY_INTERNET, TYPE_RAW], then: NOT_PERMITTED",
            "when: &[FAMILY_INTERNET, TYPE_RAW], then: Verdict::Allow",
        )],
        test: Test::Unit(ISOLATION, "k07_sockets_exist"),
        says: "k07",
    },
    Mutant {
        name: "filter: ping and multipath TCP (K7, J14)",
        edits: &[edit(
            FILTER,
            "when: &[FAMILY_INTERNET], then: Verdict::Fail(libc::EPROTONOSUPPORT)",
            "when: &[FAMILY_INTERNET], then: Verdict::Allow",
        )],
        test: Test::Programs("bypass", "j14_multipath_tcp"),
        says: "j14_multipath",
    },
    Mutant {
        name: "filter: fast open by a message (J14)",
        edits: &[edit(
            FILTER,
            "when: &[If::Any { arg: 3, mask: FAST_OPEN }],",
            "when: &[If::Any { arg: 3, mask: 0 }],",
        )],
        test: Test::Programs("bypass", "j14_fast_open"),
        says: "j14_fast_open",
    },
    Mutant {
        name: "filter: fast open by an option (J14)",
        edits: &[edit(FILTER, "values: &[30, 31] }", "values: &[31] }")],
        test: Test::Programs("bypass", "j14_fast_open"),
        says: "j14_fast_open",
    },
    Mutant {
        name: "filter: set-id bits by chmod and creat (K24)",
        edits: &[edit(
            FILTER,
            "rule: Rule::Cases(&[Case { when: &[SET_ID_1], then: NOT_PERMITTED }], Verdict::Allow),\n        calls: calls![SYS_chmod SYS_creat],",
            "rule: ALLOW,\n        calls: calls![SYS_chmod SYS_creat],",
        )],
        test: Test::Programs("bypass", "k24_set_id"),
        says: "k24_set_id",
    },
    Mutant {
        name: "filter: set-id bits behind a pointer (openat2, K24)",
        edits: &[edit(
            FILTER,
            "rule: ABSENT,\n        calls: calls![SYS_openat2],",
            "rule: ALLOW,\n        calls: calls![SYS_openat2],",
        )],
        test: Test::Programs("bypass", "k24_set_id"),
        says: "k24_set_id",
    },
    Mutant {
        name: "filter: Unix datagrams to a mounted folder (K22)",
        edits: &[edit(
            FILTER,
            "Case { when: &[FAMILY_UNIX], then: NOT_PERMITTED },",
            "Case { when: &[FAMILY_UNIX], then: Verdict::Allow },",
        )],
        test: Test::Programs("bypass", "k22_a_datagram_socket"),
        says: "k22_a_datagram",
    },
    Mutant {
        name: "filter: Unix datagram pairs to a mounted folder (K22)",
        edits: &[edit(
            FILTER,
            "&[Case { when: &[FAMILY_UNIX, TYPE_CONNECTED], then: Verdict::Allow }],\n            Verdict::Fail(libc::EOPNOTSUPP),",
            "&[Case { when: &[FAMILY_UNIX, TYPE_CONNECTED], then: Verdict::Allow }],\n            Verdict::Allow,",
        )],
        test: Test::Programs("bypass", "k22_a_datagram_socket"),
        says: "k22_a_datagram",
    },
    Mutant {
        name: "filter: connect is nobody's business (K22, J7)",
        edits: &[edit(
            FILTER,
            "Connect::Notified => Verdict::Notify,",
            "Connect::Notified => Verdict::Allow,",
        )],
        test: Test::Programs("bypass", "k22_a_socket_on_a_mounted_folder"),
        says: "k22_a_socket_on",
    },
    // The identity of callers.
    Mutant {
        name: "identity: a socket of the host's on a mounted folder (K22)",
        edits: &[edit(
            "crates/isolation/src/identity/unix.rs",
            "if !known || !place.may_write(caller.1) {",
            "if !place.may_write(caller.1) {",
        )],
        test: Test::Programs("bypass", "k22_a_socket_on_a_mounted_folder"),
        says: "k22_a_socket_on",
    },
    Mutant {
        name: "identity: a connect goes on in the kernel (K25)",
        edits: &[
            edit(
                "crates/isolation/src/identity/sys.rs",
                "error: errno.wrapping_neg(), flags: 0 }",
                "error: errno.wrapping_neg(), flags: u32::from(errno == 0) }",
            ),
            edit(
                "crates/isolation/src/identity/sys.rs",
                "let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) };",
                "let result = i32::from(length == u32::MAX && socket.as_raw_fd() < 0);",
            ),
        ],
        test: Test::Programs("hostile", "k25_swapping"),
        says: "k25_swapping",
    },
    Mutant {
        name: "identity: ends that do not fit (J13)",
        edits: &[edit(
            "crates/isolation/src/identity/sock_diag.rs",
            "Ok(fits(ours, peer.state).then_some(peer.cookie))",
            "Ok(Some((ours, peer.cookie).1))",
        )],
        test: Test::Unit(ISOLATION, "j13_ends"),
        says: "j13",
    },
    Mutant {
        name: "identity: a record is used twice (J13)",
        edits: &[edit(
            "crates/isolation/src/identity/table.rs",
            "self.forget(|_| false, now);\n        self.remove(cookie)",
            "self.records.get(&cookie).map(|(_, record)| record.clone())",
        )],
        test: Test::Unit(ISOLATION, "a_record_is_used_once"),
        says: "a_record_is_used_once",
    },
    Mutant {
        name: "identity: a file that the agent can write is a binary (J1)",
        edits: &[edit(
            "crates/supervisor/src/binaries.rs",
            "if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) || self.can_be_written(real) {",
            "if self.can_be_written(real) {",
        )],
        test: Test::Unit("openshell-supervisor", "j01_a_path_on_a_writable_mount"),
        says: "j01",
    },
    Mutant {
        name: "identity: a file that the agent can write by another mount is a binary (J1)",
        edits: &[edit(
            "crates/supervisor/src/binaries.rs",
            "if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) || self.can_be_written(real) {",
            "if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {",
        )],
        test: Test::Programs("hostile", "j01_a_read_only_mount"),
        says: "j01_a_read_only_mount",
    },
    // The decision.
    Mutant {
        name: "decision: any binary (without proxy variables, J1)",
        edits: &[edit(
            "crates/policy/src/compiled/connect.rs",
            "let unions = [&parts.host, &parts.program, &parts.port];",
            "let unions = [&parts.host, &parts.port, &parts.port];",
        )],
        test: Test::Programs("bypass", "without_proxy_variables"),
        says: "without_proxy_variables",
    },
    Mutant {
        name: "decision: never-reachable addresses are reachable (B3, B6, B9)",
        edits: &[edit(
            "crates/policy/src/policy.rs",
            "        if matches!(class, AddressClass::Never(_)) {\n            return Err(AddressRefusal::NeverReachable(address));\n        }\n",
            "",
        )],
        test: Test::Target(POLICY, "suite", "cases"),
        says: "FAILED",
    },
    // The caller's own rights.
    Mutant {
        name: "mounts: what only a group of the caller's opens (K23)",
        edits: &[edit(
            "crates/cli/src/gateway/run.rs",
            "mounts::check_groups(&real, caller, &groups).map_err(|refusal| refusal.to_string())?;",
            "let _ = (caller, groups);",
        )],
        test: Test::Programs("bypass", "k23_supplementary_groups"),
        says: "k23",
    },
    Mutant {
        name: "policy paths: what only a group of the caller's opens (K23)",
        edits: &[edit(
            "crates/supervisor/src/view.rs",
            "match mounts::check_groups(&real, spec.identity, &groups) {",
            "match mounts::check_groups(&real, spec.identity, &[]) {",
        )],
        test: Test::Programs("bypass", "k23_supplementary_groups"),
        says: "k23",
    },
    Mutant {
        name: "descriptors: what the caller left open (K13)",
        edits: &[
            edit(
                BOOT,
                "sys::close_all_but(&keep).step(\"close the supervisor's descriptors\")",
                "Some(keep).map(drop).ok_or_else(|| BuildError::new(\"close\", \"nothing\"))",
            ),
            edit(
                BOOT,
                "sys::close_all_but(&[boot.control.as_fd(), signals.as_fd()]).step(\"close what is left\")?;",
                "",
            ),
            edit("crates/isolation/src/jail/spawn.rs", "sys::close_all_but(&[told])?;", ""),
        ],
        test: Test::Target(ISOLATION, "jail", "k13_no_descriptor"),
        says: "k13",
    },
    Mutant {
        name: "identity: a datagram is of the program that connected last (J13)",
        edits: &[edit(
            "crates/supervisor/src/callers.rs",
            "if mark == 0 {\n            return Err(Unidentified::NotConnected);\n        }",
            "let mark = self.records().senders.all.keys().max().copied().unwrap_or(mark);",
        )],
        test: Test::Programs("decisions", "a_program_cannot_send"),
        says: "",
    },
    Mutant {
        name: "capture: a program of the jail answers in a server's place",
        edits: &[edit(NFT, ".mark(ANSWER_MARK)", "")],
        test: Test::Target(ISOLATION, "capture", "nothing_else_reaches_the_pools_sockets"),
        says: "nothing_else_reaches_the_pools_sockets",
    },
    Mutant {
        name: "identity: what is known of senders grows with their arguments (N1)",
        edits: &[edit(
            "crates/supervisor/src/callers.rs",
            "while self.size > SENDERS && self.forget_one() {}",
            "",
        )],
        test: Test::Unit("openshell-supervisor", "n01_one_program_takes_no_more"),
        says: "n01_one_program_takes_no_more",
    },
    Mutant {
        name: "identity: records grow with arguments (N1)",
        edits: &[edit("crates/isolation/src/identity/table.rs", " || table.size > LONGEST", "")],
        test: Test::Unit(ISOLATION, "n01_long_arguments_do_not_make_a_table_large"),
        says: "n01_long_arguments_do_not_make_a_table_large",
    },
];
