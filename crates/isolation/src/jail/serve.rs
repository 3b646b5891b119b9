//! Init's loop: takes requests, reaps what ended, and goes when its supervisor does.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use super::spawn::{self, Started};
use crate::control::{Event, Inbox, Outbox, Received, Request, SpawnFailure, Stage};

/// Commands that may run at once. Beyond it a spawn is refused with EAGAIN.
const MOST_COMMANDS: usize = 1024;

/// Serves until the control socket ends. What is returned becomes init's exit code; the kernel
/// then kills everything in the jail.
pub(super) fn run(control: BorrowedFd<'_>, signals: &OwnedFd) -> i32 {
    let mut server = Server::default();
    loop {
        match server.turn(control, signals) {
            Ok(true) => {}
            Ok(false) => return 0,
            Err(_) => return 1,
        }
    }
}

#[derive(Default)]
struct Server {
    commands: HashMap<u64, Command>,
    inbox: Inbox<Request>,
    outbox: Outbox,
}

struct Command {
    pid: Pid,
    /// Until the program is loaded: ends then, or says why it could not be.
    loading: Option<OwnedFd>,
    /// The supervisor's ends of the terminal or the pipes, until they are handed over.
    outer: Vec<OwnedFd>,
}

/// What one turn of the loop found to do.
struct Ready {
    control: bool,
    children: bool,
    loaded: Vec<u64>,
}

impl Server {
    /// Waits for something and does it; `false` at the end of the control socket.
    fn turn(&mut self, control: BorrowedFd<'_>, signals: &OwnedFd) -> io::Result<bool> {
        let ready = self.wait(control, signals)?;
        for id in ready.loaded {
            self.settle(id)?;
        }
        if ready.children {
            drain(signals)?;
            self.reap()?;
        }
        if ready.control && !self.take_requests(control)? {
            return Ok(false);
        }
        match self.outbox.flush(control) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(true),
        }
    }

    fn wait(&self, control: BorrowedFd<'_>, signals: &OwnedFd) -> io::Result<Ready> {
        let mut wanted = PollFlags::IN;
        if !self.outbox.is_empty() {
            wanted |= PollFlags::OUT;
        }
        let loading: Vec<(u64, &OwnedFd)> = self
            .commands
            .iter()
            .filter_map(|(id, command)| Some((*id, command.loading.as_ref()?)))
            .collect();
        let mut fds =
            vec![PollFd::from_borrowed_fd(control, wanted), PollFd::new(signals, PollFlags::IN)];
        fds.extend(loading.iter().map(|(_, pipe)| PollFd::new(*pipe, PollFlags::IN)));
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            control: ready.next().unwrap_or(false),
            children: ready.next().unwrap_or(false),
            loaded: loading
                .iter()
                .zip(ready)
                .filter(|(_, ready)| *ready)
                .map(|(l, _)| l.0)
                .collect(),
        })
    }

    fn take_requests(&mut self, control: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            match self.inbox.receive(control) {
                Ok(Some(received)) => self.take(received)?,
                Ok(None) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, received: Received<Request>) -> io::Result<()> {
        match received.message {
            Request::Spawn { id, argv, env, cwd, tty } => {
                let order = spawn::Order { argv, env, cwd, tty, streams: received.descriptors };
                let started = if self.commands.len() >= MOST_COMMANDS {
                    Err(SpawnFailure { stage: Stage::Process, errno: libc::EAGAIN })
                } else if self.commands.contains_key(&id) {
                    Err(SpawnFailure { stage: Stage::Request, errno: libc::EEXIST })
                } else {
                    spawn::start(order)
                };
                match started {
                    Ok(Started { pid, loading, outer }) => {
                        let command = Command { pid, loading: Some(loading), outer };
                        self.commands.insert(id, command);
                        Ok(())
                    }
                    Err(failure) => {
                        self.outbox.push(&Event::SpawnFailed { id, failure }, Vec::new())
                    }
                }
            }
            Request::Signal { id, signal, group } => {
                self.signal(id, signal, group);
                Ok(())
            }
        }
    }

    /// A command that is in the table is not reaped, so its id is nobody else's. A signal that
    /// cannot be sent finds no process any more, which the command's end will tell.
    fn signal(&self, id: u64, signal: i32, group: bool) {
        let Some(command) = self.commands.get(&id) else { return };
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        let _ = if group {
            kill_process_group(command.pid, signal)
        } else {
            kill_process(command.pid, signal)
        };
    }

    /// Says whether command `id` was loaded, once that is known.
    fn settle(&mut self, id: u64) -> io::Result<()> {
        let Some(command) = self.commands.get_mut(&id) else { return Ok(()) };
        let Some(pipe) = command.loading.take() else { return Ok(()) };
        match spawn::outcome(pipe.as_fd()) {
            None => {
                let pid = command.pid.as_raw_nonzero().get().unsigned_abs();
                let outer = std::mem::take(&mut command.outer);
                self.outbox.push(&Event::Spawned { id, pid }, outer)
            }
            Some(failure) => {
                // Its end is no news any more; it is reaped as an orphan.
                self.commands.remove(&id);
                self.outbox.push(&Event::SpawnFailed { id, failure }, Vec::new())
            }
        }
    }

    /// Collects every child that ended: commands of ours, and orphans of theirs.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (pid, status) = match rustix::io::retry_on_intr(|| wait(WaitOptions::NOHANG)) {
                Ok(Some(ended)) => ended,
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let found = self.commands.iter().find(|(_, command)| command.pid == pid);
            let Some(id) = found.map(|(id, _)| *id) else { continue };
            self.settle(id)?;
            if self.commands.remove(&id).is_some() {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                    .unwrap_or(125);
                self.outbox.push(&Event::Exited { id, code }, Vec::new())?;
            }
        }
    }
}

/// Empties the signal descriptor: what ended is asked of the kernel, several ends are one signal.
fn drain(signals: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match rustix::io::read(signals, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
