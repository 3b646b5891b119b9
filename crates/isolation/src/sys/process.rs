//! Making processes and loading programs.

use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use rustix::process::Pid;

use super::check;

/// A process that [`clone`] made.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its id in our pid namespace.
    pub(crate) pid: Pid,
    /// The process itself.
    pub(crate) pidfd: OwnedFd,
}

/// `struct clone_args` of `linux/sched.h`, without the fields that we leave at zero.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Whether no other thread shares our memory.
pub(crate) fn is_single_threaded() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.strip_prefix("Threads:").is_some_and(|n| n.trim() == "1"))
    })
}

/// Runs `child` in a new process with the given new namespaces; it ends with the number that
/// `child` returns, or 101 on a panic. Refused in a process with several threads.
pub(crate) fn clone(namespaces: libc::c_int, child: impl FnOnce() -> i32) -> io::Result<Child> {
    if !is_single_threaded() {
        return Err(io::Error::other("a jail is built before the first thread starts"));
    }
    let mut pidfd: RawFd = -1;
    let flags = namespaces | libc::CLONE_PIDFD;
    let args = CloneArgs {
        flags: u64::from(flags.cast_unsigned()),
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child has its own copy of our memory, and no stack is passed, so
    // both return here as from fork(2). There is one thread (checked above), so no lock that the
    // child could need is held by anybody else. `args` and `pidfd` outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match check(pid)? {
        0 => run(child),
        pid => {
            let pid = to_pid(pid)?;
            // SAFETY: the kernel stored a new descriptor there that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid, pidfd })
        }
    }
}

/// Runs `child` in a copy of this process.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the child runs only `child` and ends; libc's own locks are made usable in it by
    // fork(3), and our callers either have one thread or make plain system calls in the child.
    let pid = unsafe { libc::fork() };
    match check(libc::c_long::from(pid))? {
        0 => run(child),
        pid => to_pid(pid),
    }
}

fn to_pid(raw: libc::c_long) -> io::Result<Pid> {
    i32::try_from(raw)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the kernel gave no process id"))
}

/// SECURITY: nothing returns from here, by value or by unwinding: the child has a copy of its
/// parent's stack, and would go on as a second parent inside the jail.
fn run(child: impl FnOnce() -> i32) -> ! {
    exit(catch_unwind(AssertUnwindSafe(child)).unwrap_or(101))
}

/// Ends the process without running anything of the parent's that was registered for its end.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: takes no pointer, and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from 3 on but those of `keep`.
pub(crate) fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd.saturating_add(1));
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: our callers run in a process of their own that owns none of these descriptors: it
    // leaves by `exit` or by loading a program, so no value that holds one of them is dropped.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    check(result).map(drop)
}

/// All signals as a program expects to find them: not blocked, no handler, none ignored.
pub(crate) fn reset_signals() {
    const LAST: libc::c_long = 64;
    const SET_SIZE: usize = 8;
    /// `struct sigaction` as the kernel reads it, all zeros: the default action.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=LAST {
        // SAFETY: installs no handler, and the kernel only reads the 32 octets that it is shown.
        // The raw call, because libc keeps two signals from its callers, which may be ignored too;
        // one that cannot be changed is refused harmlessly.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                ptr::null_mut::<u64>(),
                SET_SIZE,
            )
        };
    }
    set_mask(libc::SIG_SETMASK, None);
}

/// Blocks SIGCHLD and gives a non-blocking descriptor that is readable when one waits.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    let set = set_mask(libc::SIG_BLOCK, Some(libc::SIGCHLD));
    // SAFETY: `set` is initialised and outlives the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(libc::c_long::from(fd))?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_mask(how: libc::c_int, signal: Option<libc::c_int>) -> libc::sigset_t {
    // SAFETY: a signal set is plain data for which all zeros is a value; `sigemptyset` makes it the
    // empty one, and the calls only read or fill this variable.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        if let Some(signal) = signal {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(how, &raw const set, ptr::null_mut());
        set
    }
}

/// A program's arguments and environment, in the form that the kernel reads.
#[derive(Debug)]
pub(crate) struct Program {
    /// `argv`.
    pub(crate) arguments: Vec<CString>,
    /// `KEY=VALUE` strings.
    pub(crate) environment: Vec<CString>,
}

/// Loads the program at `path` into this process. Returns only if that fails.
pub(crate) fn execute(path: &CStr, program: &Program) -> io::Error {
    let arguments = pointers(&program.arguments);
    let environment = pointers(&program.environment);
    // SAFETY: the strings are NUL-terminated, the arrays end with a null pointer, and all outlive
    // the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Marks every descriptor above the standard three as close-on-exec, so that what this process
/// inherited by accident goes no further (close_range(2), `CLOSE_RANGE_CLOEXEC`).
pub fn end_descriptors_at_exec() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing is closed and no memory is touched; only flags of descriptors change.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    check(done).map(drop)
}
