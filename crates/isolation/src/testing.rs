//! Forked children for tests: what a case does to its process ends with it.
#![expect(unsafe_code, reason = "fork and calls by number have no safe wrappers")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{UnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;

/// Descriptors from here on are this module's.
pub(crate) const HIGH: i32 = 900;

/// A forked child that has yet to be waited for.
pub(crate) struct Child {
    pub(crate) pid: i32,
    words: File,
}

impl Child {
    /// Waits for the end, however it comes; the status is waitpid's.
    pub(crate) fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result.
        let waited = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!(waited, self.pid);
        status
    }

    /// Waits for the end, and fails with the child's panic if it had one.
    #[track_caller]
    pub(crate) fn join(mut self) {
        let mut words = String::new();
        self.words.read_to_string(&mut words).expect("the child's words");
        let status = self.wait();
        assert!(words.is_empty() && status == 0, "child (status {status:#x}): {words}");
    }
}

/// Runs `body` in a forked child.
pub(crate) fn fork(body: impl FnOnce() + UnwindSafe) -> Child {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    // SAFETY: the child runs tests' code only, which waits for no lock that a sibling thread of
    // the parent may hold: glibc makes its allocator usable after fork.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            drop(read);
            let _orphaned = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            // Far away from what a case closes.
            let write = rustix::io::fcntl_dupfd_cloexec(&write, HIGH).expect("a pipe");
            // SAFETY: a case that hangs is ended by SIGALRM.
            unsafe { libc::alarm(30) };
            let code = report(write, body);
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        pid => {
            drop(write);
            Child { pid, words: File::from(read) }
        }
    }
}

fn report(write: OwnedFd, body: impl FnOnce() + UnwindSafe) -> i32 {
    let Err(cause) = catch_unwind(body) else { return 0 };
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    // Even when the filter under test forbids it, the exit code tells.
    let _told = File::from(write).write_all(text.unwrap_or_default().as_bytes());
    1
}

/// Runs `body` in a forked child and waits for it. One case at a time: a child would inherit what
/// the other cases have open, and keep it open.
#[track_caller]
pub(crate) fn in_child(body: impl FnOnce() + UnwindSafe) {
    static ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    fork(body).join();
}

/// Makes a call by number; the error is its errno.
pub(crate) fn syscall(call: libc::c_long, args: [u64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: for tests, which pass numbers, or pointers to what outlives the call.
    let result = unsafe { libc::syscall(call, a, b, c, d, e, f) };
    let errno = std::io::Error::last_os_error().raw_os_error();
    if result == -1 { Err(errno.unwrap_or(0)) } else { Ok(result) }
}

/// getpid as a 32-bit program would call it.
pub(crate) fn i386_getpid() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the gate keeps every register but these, and getpid touches no memory.
    unsafe {
        std::arch::asm!(
            "int 0x80", inout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _
        );
    }
}

/// Ends the process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(code) }
}

/// The descriptor with this number, which nobody else owns.
pub(crate) fn owned(fd: i64) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: for tests, which pass what a call just made.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

/// The descriptor with this number for a while.
pub(crate) fn borrowed<'a>(fd: i32) -> std::os::fd::BorrowedFd<'a> {
    // SAFETY: for tests, which close it later, or on purpose under the borrower.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}
