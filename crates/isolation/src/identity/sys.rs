//! Calls for which there is no safe wrapper.
#![expect(unsafe_code, reason = "fork, notifications and connect to bytes have no safe wrappers")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_long, c_uint, c_void};

/// The two sides of a fork.
pub(super) enum Fork {
    Parent(i32),
    Child,
}

/// Forks. The caller has to be single-threaded, or its child may find a lock held for ever.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: as the caller is single-threaded, the child's memory is as consistent as its parent's.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends the process at once, without the exit handlers that it has from its parent.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor above the standard three, but for two.
pub(super) fn close_all_but(keep: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    let mut keep = keep.map(|fd| fd.as_raw_fd().cast_unsigned());
    keep.sort_unstable();
    let mut first: c_uint = 3;
    for kept in keep {
        if kept > first {
            close_range(first, kept - 1)?;
        }
        first = first.max(kept.saturating_add(1));
    }
    close_range(first, c_uint::MAX)
}

fn close_range(first: c_uint, last: c_uint) -> io::Result<()> {
    // SAFETY: called in a child that never returns to code which owns descriptors of its parent.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    /// Names it towards the kernel.
    pub(super) id: u64,
    /// The calling thread, in the reader's pid namespace.
    pub(super) thread: i32,
    /// The arguments as the kernel took them from the registers.
    pub(super) args: [u64; 6],
}

/// Room for what a newer kernel may write beyond the structure that we know.
#[repr(C, align(8))]
struct Roomy<T> {
    known: T,
    more: [u8; 256],
}

/// Waits for the next notification.
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    // SAFETY: both parts are integers, for which zero is a value.
    let mut buffer: Roomy<libc::seccomp_notif> = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills a seccomp_notif of its own size, which the buffer has room for.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            ptr::from_mut(&mut buffer),
        )
    };
    check(result.into())?;
    let thread = i32::try_from(buffer.known.pid).map_err(io::Error::other)?;
    Ok(Notification { id: buffer.known.id, thread, args: buffer.known.data.args })
}

/// Whether the call still waits: its thread is alive, and has not returned to the program.
pub(super) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    let request = libc::SECCOMP_IOCTL_NOTIF_ID_VALID;
    // SAFETY: the kernel reads eight bytes.
    (unsafe { libc::ioctl(listener.as_raw_fd(), request, ptr::from_ref(&id)) }) == 0
}

/// Answers a call: 0, or an errno.
pub(super) fn respond(listener: BorrowedFd<'_>, id: u64, errno: c_int) -> io::Result<()> {
    // SECURITY: never SECCOMP_USER_NOTIF_FLAG_CONTINUE (K16, K25).
    let known = libc::seccomp_notif_resp { id, val: 0, error: errno.wrapping_neg(), flags: 0 };
    let mut buffer = Roomy { known, more: [0; 256] };
    // SAFETY: the kernel reads a seccomp_notif_resp of its own size, which the buffer has room for.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            ptr::from_mut(&mut buffer),
        )
    };
    check(result.into()).map(drop)
}

/// connect(2) to an address as bytes; the error is its errno.
pub(super) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<(), c_int> {
    let length = libc::socklen_t::try_from(address.len()).map_err(|_| libc::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes, and checks their form itself.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    check(result.into()).map(drop).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Copies memory of another process; the result says how much of `into` was filled.
pub(super) fn copy_from(pid: i32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let address = usize::try_from(address).map_err(io::Error::other)?;
    let remote = libc::iovec {
        iov_base: ptr::without_provenance_mut::<c_void>(address),
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes at most the length of `into`; the other address is not ours.
    let copied = unsafe {
        libc::process_vm_readv(pid, ptr::from_ref(&local), 1, ptr::from_ref(&remote), 1, 0)
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// The first byte of `struct tcp_info`, which is the state.
pub(super) fn tcp_state(socket: BorrowedFd<'_>) -> io::Result<u8> {
    let mut state = 0u8;
    let mut length: libc::socklen_t = 1;
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            ptr::from_mut(&mut state).cast(),
            &mut length,
        )
    };
    check(result.into())?;
    Ok(state)
}

/// Sets what the packets of `socket` are marked with (socket(7), `SO_MARK`).
pub(super) fn mark(socket: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `mark`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MARK,
            ptr::from_ref(&mark).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    check(result.into()).map(drop)
}

/// Interrupts the calling thread's system call again and again while it is armed.
///
/// Once would not do: a signal that comes just before the call would be lost.
pub(super) struct Interrupter(libc::timer_t);

impl Interrupter {
    /// An unarmed timer for the calling thread, which has to keep it.
    pub(super) fn for_this_thread() -> io::Result<Self> {
        // SAFETY: the structure is plain data, for which zero is a value.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: both structures live until the call returns.
        check(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer).into() })?;
        Ok(Self(timer))
    }

    /// From now on, every `period`; zero stops it.
    pub(super) fn arm(&self, period: Duration) -> io::Result<()> {
        let period = libc::timespec {
            tv_sec: libc::time_t::try_from(period.as_secs()).map_err(io::Error::other)?,
            tv_nsec: period.subsec_nanos().into(),
        };
        let setting = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the timer exists as long as `self`, and nothing old is asked for.
        check(unsafe { libc::timer_settime(self.0, 0, &setting, ptr::null_mut()).into() }).map(drop)
    }
}

/// Lets SIGALRM interrupt calls, and do nothing else.
pub(super) fn let_alarms_interrupt() -> io::Result<()> {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: the structure is plain data, for which zero is a value: no flags, so no SA_RESTART.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    // SAFETY: the handler touches nothing, so it may run at any time.
    check(unsafe { libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()).into() }).map(drop)
}

/// The descriptor's number, for a path below /proc/self/fd.
pub(super) fn number(fd: BorrowedFd<'_>) -> RawFd {
    fd.as_raw_fd()
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80);
