//! The jail's processes: one task speaks with the jail's init, everybody else has a handle.
//!
//! Init's word is hostile, since an agent may find a way to speak through it: an id that was not
//! given out is ignored, and a broken frame ends the jail.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use openshell_isolation::control::{Event, Inbox, Outbox, Received, Request, SpawnFailure, Stage};
use openshell_types::TerminalSize;
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A command to run in the jail.
#[derive(Debug)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The working directory.
    pub(crate) cwd: String,
    /// What its standard streams are.
    pub(crate) stdio: Stdio,
}

/// The standard streams of a command.
#[derive(Debug)]
pub(crate) enum Stdio {
    /// A terminal of this size, which init makes.
    Terminal(TerminalSize),
    /// Input, output and error.
    Pipes([OwnedFd; 3]),
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its name towards init.
    pub(crate) id: u64,
    /// Its process id inside the jail, for display only.
    pub(crate) pid: u32,
    /// The terminal's master end, when it has one.
    pub(crate) terminal: Option<OwnedFd>,
    /// Its exit code, once it ended; an error when the jail ended before telling.
    pub(crate) exited: oneshot::Receiver<i32>,
}

/// Why a command does not run.
#[derive(Debug, Error)]
pub(crate) enum SpawnError {
    /// Init could not run it.
    #[error("{}", describe(*.0))]
    Failed(SpawnFailure),
    /// There is no jail any more.
    #[error("the sandbox's processes have ended")]
    JailEnded,
}

impl SpawnError {
    /// The exit code that a shell would give.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::Failed(failure) => failure.exit_code(),
            Self::JailEnded => 125,
        }
    }
}

fn describe(failure: SpawnFailure) -> String {
    let cause = io::Error::from_raw_os_error(failure.errno).to_string();
    let cause = cause.split(" (os error").next().unwrap_or(&cause);
    match failure.exit_code() {
        127 => "the command was not found in the sandbox".into(),
        126 => format!("the command cannot be run: {cause}"),
        _ => {
            let what = match failure.stage {
                Stage::Request => "the command cannot be passed on",
                Stage::Terminal => "no terminal could be made",
                Stage::Process => "no process could be made",
                Stage::WorkingDirectory => "the working directory cannot be entered",
                Stage::Program => "the command could not be started",
            };
            format!("{what}: {cause}")
        }
    }
}

/// A handle on the jail's processes. All clones speak with the same init.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Spawn(Program, oneshot::Sender<Result<Running, SpawnError>>),
    Signal { id: u64, signal: i32 },
}

impl Processes {
    /// Takes the control socket. The returned task ends when the jail does, or when `end` is
    /// cancelled, which ends the jail.
    pub(crate) fn start(
        control: OwnedFd,
        end: CancellationToken,
    ) -> io::Result<(Self, impl Future<Output = ()>)> {
        let socket = StdUnixStream::from(control);
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        let (orders, received) = mpsc::channel(64);
        let owner = Owner {
            socket,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            orders: received,
            next_id: 1,
            starting: HashMap::new(),
            running: HashMap::new(),
        };
        Ok((Self { orders }, owner.run(end)))
    }

    /// Runs a command.
    pub(crate) async fn spawn(&self, program: Program) -> Result<Running, SpawnError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Spawn(program, answer)).await.map_err(|_| SpawnError::JailEnded)?;
        answered.await.map_err(|_| SpawnError::JailEnded)?
    }

    /// Sends a signal to the process group of a command that still runs.
    pub(crate) async fn signal(&self, id: u64, signal: i32) {
        // A closed channel means that the jail has ended and the command with it.
        let _ = self.orders.send(Order::Signal { id, signal }).await;
    }
}

struct Owner {
    socket: UnixStream,
    inbox: Inbox<Event>,
    outbox: Outbox,
    orders: mpsc::Receiver<Order>,
    next_id: u64,
    starting: HashMap<u64, oneshot::Sender<Result<Running, SpawnError>>>,
    running: HashMap<u64, oneshot::Sender<i32>>,
}

impl Owner {
    async fn run(mut self, end: CancellationToken) {
        if let Err(error) = self.serve(&end).await {
            tracing::error!(%error, "The jail's init is broken; its processes are ended");
        }
    }

    async fn serve(&mut self, end: &CancellationToken) -> io::Result<()> {
        loop {
            let wanted = if self.outbox.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                order = self.orders.recv() => match order {
                    Some(order) => self.take(order)?,
                    None => return Ok(()),
                },
                ready = self.socket.ready(wanted) => {
                    let ready = ready?;
                    if ready.is_writable() {
                        self.flush()?;
                    }
                    if ready.is_readable() && !self.read()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Spawn(program, answer) => {
                let id = self.next_id;
                self.next_id = self.next_id.saturating_add(1);
                let Program { argv, env, cwd, stdio } = program;
                let (tty, descriptors) = match stdio {
                    Stdio::Terminal(size) => (Some(size), Vec::new()),
                    Stdio::Pipes(pipes) => (None, pipes.into()),
                };
                let request = Request::Spawn { id, argv, env, cwd, tty };
                match self.outbox.push(&request, descriptors) {
                    Ok(()) => {
                        self.starting.insert(id, answer);
                    }
                    // Too long for a frame: this command's fault, not the jail's.
                    Err(error) => {
                        tracing::warn!(%error, "Command refused");
                        drop(answer);
                    }
                }
            }
            Order::Signal { id, signal } => {
                self.outbox.push(&Request::Signal { id, signal, group: true }, Vec::new())?;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let (socket, outbox) = (&self.socket, &mut self.outbox);
        match socket.try_io(Interest::WRITABLE, || outbox.flush(socket.as_fd())) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads what is there; `false` at the end of the stream.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            let (socket, inbox) = (&self.socket, &mut self.inbox);
            match socket.try_io(Interest::READABLE, || inbox.receive(socket.as_fd())) {
                Ok(Some(received)) => self.handle(received),
                Ok(None) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    fn handle(&mut self, received: Received<Event>) {
        let terminal = received.descriptors.into_iter().next();
        match received.message {
            Event::Spawned { id, pid } => {
                let Some(answer) = self.starting.remove(&id) else { return };
                let (exit, exited) = oneshot::channel();
                self.running.insert(id, exit);
                // Nobody waits any more when the client went away; its caller signals the command.
                let _ = answer.send(Ok(Running { id, pid, terminal, exited }));
            }
            Event::SpawnFailed { id, failure } => {
                if let Some(answer) = self.starting.remove(&id) {
                    let _ = answer.send(Err(SpawnError::Failed(failure)));
                }
            }
            Event::Exited { id, code } => {
                if let Some(exit) = self.running.remove(&id) {
                    let _ = exit.send(code);
                }
            }
        }
    }
}
