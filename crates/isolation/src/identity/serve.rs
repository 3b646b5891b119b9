//! The identifier's process: seal, take a jail, serve it until the supervisor's socket closes.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError};
use std::thread;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, clear_ambient_capability_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::digests::{Digests, Waiting};
use super::filter::CALLS;
use super::spawn::{Answer, Ids, MAX_CONTROL, Options, Paths};
use super::sys::{self, Interrupter};
use super::unix::Names;
use super::worker::Desk;
use crate::seccomp::confine_process;

/// How many connects are served at once; more wait in the kernel. A jail that lets this many hang
/// makes its own further connects wait for their deadline.
const WORKERS: usize = 12;
/// Stack of a worker, which keeps its buffers on the heap.
const STACK: usize = 128 * 1024;
/// Exit code after a panic: the supervisor ends the jail when this process ends.
const PANICKED: i32 = 101;

/// Runs the identifier in the forked child, and never returns.
pub(super) fn run(control: OwnedFd, records: OwnedFd, options: &Options, parent: Pid) -> ! {
    // A worker that panics would leave its caller waiting for ever.
    std::panic::set_hook(Box::new(|_| sys::exit(PANICKED)));
    let code = match serve(&control, records, options, parent) {
        Ok(()) => 0,
        Err(error) => {
            let _closed = say(&control, &Err(error.to_string()));
            1
        }
    };
    sys::exit(code)
}

fn serve(control: &OwnedFd, records: OwnedFd, options: &Options, parent: Pid) -> io::Result<()> {
    sys::close_all_but([control.as_fd(), records.as_fd()])?;
    give_up_privileges(options.ids)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Ok(());
    }
    limit()?;
    sys::let_alarms_interrupt()?;
    let (digests, waiting) = Digests::new(options.hashing);
    let digests = Arc::new(digests);
    let place = Arc::new(Place::default());
    start_threads(&place, &digests, waiting)?;
    confine_process(CALLS)?;
    say(control, &Ok(()))?;

    let Some((paths, [listener, root])) = take_jail(control)? else { return Ok(()) };
    let names = Names::new(root, &paths.private, &paths.allowed_sockets)?;
    let (family, busy, marks) = Default::default();
    place.set(Desk { listener, names, records, digests, family, busy, marks });
    say(control, &Ok(()))?;
    // Nothing more is said on this socket: what comes is its end.
    let mut nothing = [0; 1];
    while rustix::net::recv(control, &mut nothing, RecvFlags::empty())?.1 != 0 {}
    Ok(())
}

/// Keeps CAP_SYS_PTRACE, and CAP_NET_RAW to mark sockets, if they are there, and no other
/// capability. As an ordinary user none is: the owner of the jail's user namespace may do both in
/// it anyway.
fn give_up_privileges(ids: Option<Ids>) -> io::Result<()> {
    let kept = capabilities(None)?.permitted & (CapabilitySet::SYS_PTRACE | CapabilitySet::NET_RAW);
    if let Some(ids) = ids {
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        set_keep_capabilities(true)?;
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        if !kept.contains(CapabilitySet::SYS_PTRACE) {
            return Err(io::Error::other("another uid needs CAP_SYS_PTRACE"));
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })?;
    Ok(set_no_new_privs(true)?)
}

/// No core file, no debugger, no file of any length written; as many descriptors as there may be.
fn limit() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)?;
    setrlimit(Resource::Fsize, none)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Where the threads wait for the jail.
#[derive(Default)]
struct Place {
    desk: Mutex<Option<Arc<Desk>>>,
    came: Condvar,
}

impl Place {
    fn set(&self, desk: Desk) {
        *self.desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(desk));
        self.came.notify_all();
    }

    fn wait(&self) -> Arc<Desk> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(desk) = desk.as_ref() {
                return Arc::clone(desk);
            }
            desk = self.came.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Starts every thread that there will ever be, and waits until each has what it needs.
fn start_threads(place: &Arc<Place>, digests: &Arc<Digests>, waiting: Waiting) -> io::Result<()> {
    let ready = Arc::new(Barrier::new(WORKERS + 2));
    for number in 0..WORKERS {
        let (place, ready) = (Arc::clone(place), Arc::clone(&ready));
        start(format!("connect-{number}"), move || {
            // Without a timer a hanging connect could not be ended.
            let Ok(timer) = Interrupter::for_this_thread() else { sys::exit(PANICKED) };
            ready.wait();
            place.wait().serve(&timer);
        })?;
    }
    let (digests, also_ready) = (Arc::clone(digests), Arc::clone(&ready));
    start("digests".into(), move || {
        also_ready.wait();
        digests.compute(&waiting);
    })?;
    ready.wait();
    Ok(())
}

fn start(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name).stack_size(STACK).spawn(work).map(drop)
}

/// The jail's paths and descriptors, `None` when the supervisor is gone.
fn take_jail(control: &OwnedFd) -> io::Result<Option<(Paths, [OwnedFd; 2])>> {
    let mut message = vec![0; MAX_CONTROL];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut descriptors = RecvAncillaryBuffer::new(&mut space);
    let length = recvmsg(
        control,
        &mut [io::IoSliceMut::new(&mut message)],
        &mut descriptors,
        RecvFlags::CMSG_CLOEXEC,
    )?
    .bytes;
    if length == 0 {
        return Ok(None);
    }
    let mut received = Vec::new();
    for message in descriptors.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            received.extend(fds);
        }
    }
    let descriptors = received
        .try_into()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not two descriptors"))?;
    let paths = serde_json::from_slice(message.get(..length).unwrap_or_default())?;
    Ok(Some((paths, descriptors)))
}

fn say(control: &OwnedFd, answer: &Answer) -> io::Result<()> {
    let message = serde_json::to_vec(answer).map_err(io::Error::other)?;
    send(control, &message, SendFlags::NOSIGNAL)?;
    Ok(())
}
