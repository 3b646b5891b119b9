//! One notification after another: name the caller, tell the supervisor, connect the copy.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{socket_cookie, socket_domain, socket_protocol, socket_type};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, send};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::digests::Digests;
use super::family::Family;
use super::process::{Lookup, Process};
use super::record::Record;
use super::sock_diag::TcpState;
use super::sys::{self, Interrupter, Notification};
use super::unix::Names;
use crate::net::{ANSWER_MARK, UDP_POOL_V4, UDP_POOL_V6};

/// How long a blocking connect may take. In the jail every address is local, so what takes longer
/// waits for a listener that does not accept. The program gets ETIMEDOUT.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a blocking connect looks whether its caller still waits.
const LOOK: Duration = Duration::from_millis(200);
/// `struct sockaddr_storage`: no address is longer.
const MAX_ADDRESS: usize = 128;
/// `PIDFD_THREAD`.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());

/// What the workers share once the jail is known.
pub(super) struct Desk {
    pub(super) listener: OwnedFd,
    pub(super) names: Names,
    pub(super) records: OwnedFd,
    pub(super) digests: Arc<Digests>,
    pub(super) family: Family,
    /// Cookies of TCP sockets that are being connected right now.
    pub(super) busy: Mutex<Vec<u64>>,
    /// How many UDP sockets were marked: the last one's mark.
    pub(super) marks: AtomicU32,
}

/// Why a call gets no success.
enum Stop {
    /// It gets this errno.
    Errno(i32),
    /// Its thread is gone, and nobody hears an answer.
    Gone,
}

impl Desk {
    /// Serves until the jail is over.
    pub(super) fn serve(&self, timer: &Interrupter) {
        loop {
            match sys::receive(self.listener.as_fd()) {
                Ok(notification) => self.answer(&notification, timer),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Every caller is gone.
                Err(_) if self.is_over() => return,
                // One caller died before it was heard.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                // Nobody would answer any more: the supervisor has to see that.
                Err(_) => sys::exit(1),
            }
        }
    }

    fn answer(&self, notification: &Notification, timer: &Interrupter) {
        let errno = match self.connect(notification, timer) {
            Ok(()) => 0,
            Err(Stop::Errno(errno)) => errno,
            Err(Stop::Gone) => return,
        };
        // It fails only when the caller died meanwhile.
        let _gone = sys::respond(self.listener.as_fd(), notification.id, errno);
    }

    fn connect(&self, call: &Notification, timer: &Interrupter) -> Result<(), Stop> {
        let [descriptor, pointer, length, ..] = call.args;
        let socket = copy_socket(call.thread, low_half(descriptor))?;
        let domain = socket_domain(&socket)?;
        let kind = socket_type(&socket)?;
        let address = copy_address(call.thread, pointer, low_half(length))?;
        // SECURITY: only now is it certain that all of this was the caller's, and not that of
        // another process which came to the same number (J7).
        self.still_waiting(call)?;
        match (domain, kind) {
            (AddressFamily::UNIX, SocketType::STREAM | SocketType::SEQPACKET) => {
                let (address, _place) = if family(&address) == Some(AddressFamily::UNIX) {
                    let process = Process::open(call.thread)?;
                    let status = process.status()?;
                    self.still_waiting(call)?;
                    self.names.translate(&address, (&process, &status)).map_err(Stop::Errno)?
                } else {
                    (address, None)
                };
                self.dial(call, &socket, &address, timer)
            }
            (AddressFamily::INET | AddressFamily::INET6, SocketType::DGRAM) => {
                if is_in_udp_pool(&address) {
                    self.mark(call, &socket)?;
                }
                self.dial(call, &socket, &address, timer)
            }
            (AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM)
                if socket_protocol(&socket)? == Some(ipproto::TCP) =>
            {
                self.dial_tcp(call, &socket, &address, timer)
            }
            // SECURITY: a Unix datagram socket that came in from outside, or netlink, where we
            // have rights in the jail's network that the caller does not have.
            _ => Err(Stop::Errno(libc::EPERM)),
        }
    }

    /// Connects a TCP socket: the supervisor learns who asks before anything reaches it.
    fn dial_tcp(
        &self,
        call: &Notification,
        socket: &OwnedFd,
        address: &[u8],
        timer: &Interrupter,
    ) -> Result<(), Stop> {
        let opens = matches!(family(address), Some(AddressFamily::INET | AddressFamily::INET6));
        let cookie = socket_cookie(socket)?;
        // INVARIANT: of one socket, one connect at a time. Two records of it would race for the
        // one connection that comes of them.
        let _busy = Busy::begin(&self.busy, cookie).ok_or(Stop::Errno(libc::EALREADY))?;
        // A call on a socket that is connected or connecting only asks how that went.
        if opens && TcpState::of(socket.as_fd())? == TcpState::CLOSE {
            self.tell(call, cookie, None)?;
        }
        self.dial(call, socket, address, timer)
    }

    /// Marks a UDP socket, so that its datagrams can be told from all others, and tells whose it
    /// is. SECURITY: the supervisor knows the mark before a datagram can have it, and no mark is
    /// used twice.
    fn mark(&self, call: &Notification, socket: &OwnedFd) -> Result<(), Stop> {
        let next = |last: u32| last.checked_add(1).filter(|mark| *mark != ANSWER_MARK);
        let last = self.marks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let mark = last.ok().and_then(next).ok_or(Stop::Errno(libc::ECONNREFUSED))?;
        self.tell(call, socket_cookie(socket)?, Some(mark))?;
        match sys::mark(socket.as_fd(), mark) {
            // Without the right to it datagrams have no sender, and are refused; what else the
            // socket is used for goes on.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
            result => Ok(result?),
        }
    }

    fn tell(&self, call: &Notification, cookie: u64, mark: Option<u32>) -> Result<(), Stop> {
        let lookup = Lookup { root: self.names.root(), digests: &self.digests };
        let (caller, exe) = self.family.find(call.thread, &lookup)?;
        let record = Record {
            cookie,
            mark,
            pid: caller.status.within.last().copied().unwrap_or(0),
            exe,
            argv: caller.process.argv()?,
            ancestors: caller.ancestors(&lookup),
        };
        // SECURITY: after the exe was read: a process that was replaced meanwhile is not waiting.
        self.still_waiting(call)?;
        let packet = record.encode().ok_or(Stop::Errno(libc::ECONNREFUSED))?;
        // Without a record the connection would be denied anyway; this says so at once.
        send(&self.records, &packet, SendFlags::NOSIGNAL)
            .map_err(|_| Stop::Errno(libc::ECONNREFUSED))?;
        Ok(())
    }

    /// connect(2) on our copy. Whether it blocks is the socket's own O_NONBLOCK, which is shared
    /// with the caller and left alone.
    fn dial(
        &self,
        call: &Notification,
        socket: &OwnedFd,
        address: &[u8],
        timer: &Interrupter,
    ) -> Result<(), Stop> {
        let armed = Armed::new(timer)?;
        let begun = Instant::now();
        loop {
            match sys::connect(socket.as_fd(), address) {
                Ok(()) => break,
                Err(libc::EINTR) => {
                    self.still_waiting(call)?;
                    if begun.elapsed() > DEADLINE {
                        return Err(Stop::Errno(libc::ETIMEDOUT));
                    }
                }
                Err(errno) => return Err(Stop::Errno(errno)),
            }
        }
        drop(armed);
        Ok(())
    }

    fn still_waiting(&self, call: &Notification) -> Result<(), Stop> {
        if sys::is_waiting(self.listener.as_fd(), call.id) { Ok(()) } else { Err(Stop::Gone) }
    }

    /// Whether no process under the filter is left.
    fn is_over(&self) -> bool {
        let mut listener = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut listener, Some(&now)).is_ok()
            && listener.iter().any(|listener| listener.revents().contains(PollFlags::HUP))
    }
}

/// A cookie's place among those that are being connected.
struct Busy<'a> {
    all: &'a Mutex<Vec<u64>>,
    cookie: u64,
}

impl<'a> Busy<'a> {
    fn begin(all: &'a Mutex<Vec<u64>>, cookie: u64) -> Option<Self> {
        let mut cookies = all.lock().unwrap_or_else(PoisonError::into_inner);
        if cookies.contains(&cookie) {
            return None;
        }
        cookies.push(cookie);
        Some(Self { all, cookie })
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut cookies = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.retain(|cookie| *cookie != self.cookie);
    }
}

/// The timer, for as long as a connect lasts.
struct Armed<'a>(&'a Interrupter);

impl<'a> Armed<'a> {
    fn new(timer: &'a Interrupter) -> io::Result<Self> {
        timer.arm(LOOK)?;
        Ok(Self(timer))
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        // Left armed, it would interrupt the next receive, which tries again.
        let _armed = self.0.arm(Duration::ZERO);
    }
}

/// The caller's socket, as a descriptor of ours.
fn copy_socket(thread: i32, descriptor: i32) -> Result<OwnedFd, Stop> {
    let open =
        |id: i32, flags| pidfd_open(Pid::from_raw(id).ok_or(rustix::io::Errno::SRCH)?, flags);
    let pidfd = match open(thread, THREAD) {
        // Before 6.9 only a whole process can be opened; its threads share their descriptors.
        Err(rustix::io::Errno::INVAL) => {
            open(Process::open(thread)?.status()?.process, PidfdFlags::empty())
        }
        other => other,
    }?;
    Ok(pidfd_getfd(pidfd, descriptor, PidfdGetfdFlags::empty())?)
}

/// The caller's address, copied once: what is decided about is what is used.
fn copy_address(thread: i32, pointer: u64, length: i32) -> Result<Vec<u8>, Stop> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ADDRESS);
    let mut address = vec![0; length.ok_or(Stop::Errno(libc::EINVAL))?];
    if !address.is_empty() && sys::copy_from(thread, pointer, &mut address)? != address.len() {
        return Err(Stop::Errno(libc::EFAULT));
    }
    Ok(address)
}

/// Whether an address leads to the synthetic addresses that UDP is spoken with, also when it is an
/// IPv4 one in the form of IPv6.
fn is_in_udp_pool(address: &[u8]) -> bool {
    let ip = match family(address) {
        // `sockaddr_in`: family, port, address.
        Some(AddressFamily::INET) => address.get(4..8),
        // `sockaddr_in6`: family, port, flow, address.
        Some(AddressFamily::INET6) => address.get(8..24),
        _ => None,
    };
    let ip = ip.unwrap_or_default();
    let v4 = ip.strip_prefix(&MAPPED).unwrap_or(ip);
    let is_v4 = v4.len() == 4 && v4.starts_with(&UDP_POOL_V4);
    is_v4 || ip.len() == 16 && ip.starts_with(&UDP_POOL_V6)
}

/// ::ffff:0:0/96 (RFC 4291, section 2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

fn family(address: &[u8]) -> Option<AddressFamily> {
    address.first_chunk().map(|bytes| AddressFamily::from_raw(u16::from_ne_bytes(*bytes)))
}

/// An `int` argument: the kernel ignores the upper half of the register.
const fn low_half(argument: u64) -> i32 {
    (argument & 0xffff_ffff) as u32 as i32
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or(libc::EACCES))
    }
}

impl From<rustix::io::Errno> for Stop {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Errno(error.raw_os_error())
    }
}
