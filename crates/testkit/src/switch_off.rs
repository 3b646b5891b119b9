//! Taking a kernel feature away from a child process and from all that it starts, by a seccomp
//! filter around it: the product has no switch for tests.

#![expect(unsafe_code, reason = "a filter is installed between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A feature that a kernel, a container or a host's policy may lack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Feature {
    /// `landlock_*` answer ENOSYS, as a kernel without it does.
    Landlock,
    /// `unshare` and `clone` with a new user namespace answer EPERM, as hosts that restrict them
    /// do. `clone3`, whose flags a filter cannot see, answers ENOSYS.
    UserNamespaces,
    /// Installing a seccomp listener answers EBUSY, as under a supervisor that has one already.
    SeccompListener,
    /// Reading another process's descriptors by `pidfd_getfd` answers EPERM.
    PidfdGetfd,
    /// `mount_setattr` answers ENOSYS: no id-mapped mounts.
    IdMappedMounts,
}

const CLONE_NEWUSER: u32 = 0x1000_0000;
/// Offsets in `struct seccomp_data`. Arguments are 64-bit; all that are looked at fit the low
/// half, which comes first on the architectures we build for.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST: u32 = 16;
const SECOND: u32 = 24;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// Makes `command` run without `features`. Its user gains no privileges by exec any more, so
/// `newuidmap` does not work beneath it.
pub fn around(command: &mut Command, features: &[Feature]) {
    let program = program(features);
    // SAFETY: the closure runs in the child between fork and exec. It makes two system calls with
    // a program that was built before, and does not allocate.
    unsafe {
        command.pre_exec(move || install(&program));
    }
}

/// The filter: each rule is tried in turn, and what none refuses is allowed.
fn program(features: &[Feature]) -> Vec<libc::sock_filter> {
    let mut program = vec![load(ARCHITECTURE), jump_if_equal(NATIVE, 1, 0), allow()];
    for feature in features {
        program.extend(refusals(*feature).iter().flat_map(Refusal::encode));
    }
    program.push(allow());
    program
}

/// One system call, refused if its argument has one of some bits or, without any, always.
struct Refusal {
    call: libc::c_long,
    argument: u32,
    bits: Option<u32>,
    error: i32,
}

impl Refusal {
    const fn always(call: libc::c_long, error: i32) -> Self {
        Self { call, argument: FIRST, bits: None, error }
    }

    fn encode(&self) -> Vec<libc::sock_filter> {
        let call = u32::try_from(self.call).unwrap_or(u32::MAX);
        let error = libc::SECCOMP_RET_ERRNO | u32::try_from(self.error).unwrap_or_default();
        match self.bits {
            None => vec![load(NUMBER), jump_if_equal(call, 0, 1), answer(error)],
            Some(bits) => vec![
                load(NUMBER),
                jump_if_equal(call, 0, 3),
                load(self.argument),
                jump_if_set(bits, 0, 1),
                answer(error),
            ],
        }
    }
}

fn refusals(feature: Feature) -> Vec<Refusal> {
    match feature {
        Feature::Landlock => [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ]
        .map(|call| Refusal::always(call, libc::ENOSYS))
        .into(),
        Feature::UserNamespaces => {
            let with_user = |call| Refusal {
                call,
                argument: FIRST,
                bits: Some(CLONE_NEWUSER),
                error: libc::EPERM,
            };
            vec![
                with_user(libc::SYS_unshare),
                with_user(libc::SYS_clone),
                Refusal::always(libc::SYS_clone3, libc::ENOSYS),
            ]
        }
        Feature::SeccompListener => vec![Refusal {
            call: libc::SYS_seccomp,
            argument: SECOND,
            bits: Some(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32),
            error: libc::EBUSY,
        }],
        Feature::PidfdGetfd => vec![Refusal::always(libc::SYS_pidfd_getfd, libc::EPERM)],
        Feature::IdMappedMounts => vec![Refusal::always(libc::SYS_mount_setattr, libc::ENOSYS)],
    }
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump_if_equal(value: u32, equal: u8, other: u8) -> libc::sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, equal, other)
}

fn jump_if_set(bits: u32, set: u8, clear: u8) -> libc::sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, set, clear)
}

fn answer(value: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn allow() -> libc::sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

fn statement(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}

fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or_default(),
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the call takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `filter` describes `program`, which the kernel copies.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{SYSTEM_PATH, finish};
    use std::time::Duration;

    fn run(program: &str, arguments: &[&str], features: &[Feature]) -> crate::Finished {
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", SYSTEM_PATH);
        around(&mut command, features);
        finish(&mut command, Duration::from_secs(10))
    }

    #[test]
    fn user_namespaces_are_refused_and_the_rest_works() {
        let arguments = ["--user", "--map-root-user", "true"];
        run("unshare", &arguments, &[Feature::Landlock]).succeeded();
        let refused = run("unshare", &arguments, &[Feature::UserNamespaces]);
        assert!(refused.stderr.contains("Operation not permitted"), "{refused}");
    }

    #[test]
    fn several_features_go_at_once() {
        let all = [Feature::Landlock, Feature::UserNamespaces, Feature::SeccompListener];
        run("sh", &["-c", "ls / >/dev/null"], &all).succeeded();
    }

    /// What a system call says on a thread that has lost `feature`.
    fn error_without(feature: Feature, call: impl Fn() -> libc::c_long + Send + 'static) -> i32 {
        let thread = std::thread::spawn(move || {
            install(&program(&[feature])).unwrap();
            assert_eq!(call(), -1);
            io::Error::last_os_error().raw_os_error().unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn each_call_answers_as_a_host_without_it_does() {
        let version = || {
            // SAFETY: a query for the version, without a pointer.
            unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) }
        };
        assert_eq!(error_without(Feature::Landlock, version), libc::ENOSYS);
        let getfd = || {
            // SAFETY: no pointer is passed.
            unsafe { libc::syscall(libc::SYS_pidfd_getfd, -1, 0, 0) }
        };
        assert_eq!(error_without(Feature::PidfdGetfd, getfd), libc::EPERM);
        let setattr = || {
            // SAFETY: null pointers are refused, were the call to be made.
            unsafe { libc::syscall(libc::SYS_mount_setattr, -1, 0, 0, 0, 0) }
        };
        assert_eq!(error_without(Feature::IdMappedMounts, setattr), libc::ENOSYS);
        let listener = || {
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
            // SAFETY: a null program is refused, were the call to be made.
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, 0) }
        };
        assert_eq!(error_without(Feature::SeccompListener, listener), libc::EBUSY);
        let filter = || {
            // SAFETY: a null program is refused by the kernel.
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, 0) }
        };
        assert_eq!(error_without(Feature::SeccompListener, filter), libc::EFAULT);
    }
}
