//! The main command: started at once or at the first attach, seen and fed by whoever attaches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openshell_audit::{Event, Process, bounded_argv};
use openshell_egress::Report;
use openshell_types::{SandboxSpec, TerminalSize};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::copy::{Input, exit_code, feed, outputs, watch_exit};
use crate::output::{Channel, Output};
use crate::processes::{Processes, Program, Running, SpawnError, Stdio};
use crate::stdio::{Sink, Source, Terminal, pipes};

/// Where the main command is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum MainState {
    /// It was not started yet.
    #[default]
    Waiting,
    /// It runs.
    Running {
        /// Its process id inside the jail.
        pid: u32,
    },
    /// It ended, or could not be started.
    Ended {
        /// Its exit code.
        code: i32,
        /// Why it could not be started; empty when it was.
        error: String,
    },
}

/// The main command, shared by all who attach.
pub(crate) struct MainCommand {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    terminal: Option<TerminalSize>,
    with_input: bool,
    start: Notify,
    /// Told when the credentials are there, if it waits for them.
    credentials: Option<Notify>,
    output: Output,
    state: watch::Sender<MainState>,
    /// One permit: whoever has it may write standard input.
    holder: Arc<Semaphore>,
    live: Mutex<Live>,
}

/// What exists only while the command runs.
#[derive(Default)]
struct Live {
    id: Option<u64>,
    terminal: Option<Arc<Terminal>>,
    input: Option<mpsc::Sender<Input>>,
    /// The size that a client asked for before the command was started.
    size: Option<TerminalSize>,
}

/// The right to write the main command's standard input; given back on drop.
pub(crate) struct Stdin {
    command: Arc<MainCommand>,
    _permit: OwnedSemaphorePermit,
}

impl MainCommand {
    /// The main command of `spec`, not started yet.
    pub(crate) fn new(spec: &SandboxSpec, env: BTreeMap<String, String>, output: Output) -> Self {
        let command = Self {
            argv: spec.command.clone(),
            env,
            terminal: spec.terminal,
            // Nobody feeds a command that does not wait for its client and has no terminal; an
            // input that never ends would hang a program that reads all of it first.
            with_input: spec.await_attach || spec.terminal.is_some(),
            start: Notify::new(),
            credentials: spec.await_credentials.then(Notify::new),
            output,
            state: watch::Sender::new(MainState::Waiting),
            holder: Arc::new(Semaphore::new(1)),
            live: Mutex::new(Live::default()),
        };
        if !spec.await_attach {
            command.start();
        }
        command
    }

    /// Starts it, unless it was started.
    pub(crate) fn start(&self) {
        self.start.notify_one();
    }

    /// Lets it start, now that what its placeholders stand for is there.
    pub(crate) fn has_credentials(&self) {
        if let Some(credentials) = &self.credentials {
            credentials.notify_one();
        }
    }

    /// What it printed.
    pub(crate) const fn output(&self) -> &Output {
        &self.output
    }

    /// Where it is.
    pub(crate) fn watch(&self) -> watch::Receiver<MainState> {
        self.state.subscribe()
    }

    /// Whether it has a terminal.
    pub(crate) const fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// The right to its standard input, unless somebody has it or there is none.
    pub(crate) fn hold_stdin(self: &Arc<Self>) -> Option<Stdin> {
        if !self.with_input {
            return None;
        }
        let permit = Arc::clone(&self.holder).try_acquire_owned().ok()?;
        Some(Stdin { command: Arc::clone(self), _permit: permit })
    }

    /// Changes the size of its terminal, if it has one.
    pub(crate) fn resize(&self, size: TerminalSize) {
        let mut live = self.live();
        live.size = Some(size);
        if let Some(terminal) = &live.terminal
            && let Err(error) = terminal.resize(size)
        {
            tracing::debug!(%error, "Terminal was not resized");
        }
    }

    /// Sends a signal to its process group.
    pub(crate) async fn signal(&self, processes: &Processes, signal: i32) {
        let id = self.live().id;
        if let Some(id) = id {
            processes.signal(id, signal).await;
        }
    }

    /// Runs it to its end. `report` hears of start and end.
    pub(crate) async fn run(self: Arc<Self>, processes: Processes, report: Arc<dyn Report>) {
        self.start.notified().await;
        if let Some(credentials) = &self.credentials {
            credentials.notified().await;
        }
        let ended = match self.spawn(&processes).await {
            Ok((running, sources)) => {
                let pid = running.pid;
                self.tell(&*report, "started", pid, None);
                self.state.send_replace(MainState::Running { pid });
                let code = self.follow(running, sources).await;
                self.tell(&*report, "exited", pid, Some(code));
                MainState::Ended { code, error: String::new() }
            }
            Err(error) => {
                let code = error.exit_code();
                self.tell(&*report, "exited", 0, Some(code));
                MainState::Ended { code, error: error.to_string() }
            }
        };
        *self.live() = Live::default();
        self.state.send_replace(ended);
        self.output.close();
    }

    async fn spawn(
        &self,
        processes: &Processes,
    ) -> Result<(Running, Vec<(Channel, Source)>), SpawnError> {
        let (stdio, ends) = match self.terminal {
            Some(size) => (Stdio::Terminal(self.live().size.unwrap_or(size)), None),
            None => match pipes(self.with_input) {
                Ok((stdio, ends)) => (stdio, Some(ends)),
                Err(error) => {
                    tracing::error!(%error, "Pipes for the main command could not be made");
                    return Err(SpawnError::JailEnded);
                }
            },
        };
        let mut running = processes
            .spawn(Program {
                argv: self.argv.clone(),
                env: self.env.clone(),
                cwd: "/sandbox".into(),
                stdio,
            })
            .await?;
        let terminal = running.terminal.take().map(Terminal::new).transpose();
        let terminal = terminal.map_err(|_| SpawnError::JailEnded)?.map(Arc::new);
        let mut sources = Vec::new();
        let mut sink = terminal.as_ref().map(|terminal| Sink::Terminal(Arc::clone(terminal)));
        if let Some(terminal) = &terminal {
            sources.push((Channel::Stdout, Source::Terminal(Arc::clone(terminal))));
        }
        if let Some(ends) = ends {
            sources.push((Channel::Stdout, ends.stdout));
            sources.push((Channel::Stderr, ends.stderr));
            sink = ends.stdin;
        }
        let input = sink.map(|sink| {
            let (input, mut received) = mpsc::channel(8);
            tokio::spawn(async move { feed(sink, &mut received).await });
            input
        });
        let mut live = self.live();
        if let (Some(terminal), Some(size)) = (&terminal, live.size) {
            // A client may have resized between the request and its answer.
            let _ = terminal.resize(size);
        }
        *live = Live { id: Some(running.id), terminal, input, size: live.size };
        drop(live);
        Ok((running, sources))
    }

    /// Copies output until the command ended and its output is read.
    async fn follow(&self, running: Running, sources: Vec<(Channel, Source)>) -> i32 {
        let ended = watch_exit(running.exited);
        let mut chunks = outputs(sources, &ended);
        while let Some((channel, data)) = chunks.recv().await {
            self.output.room(data.len()).await;
            self.output.append(channel, &data);
        }
        exit_code(ended).await
    }

    fn tell(&self, report: &dyn Report, activity: &str, pid: u32, exit_code: Option<i32>) {
        report.record(Event::Process(Process {
            role: "main".into(),
            activity: activity.into(),
            pid,
            argv: bounded_argv(&self.argv),
            exit_code,
        }));
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stdin {
    /// Writes input; waits while the command does not read. Input for a command that has not
    /// started waits for it, input for one that has ended is dropped.
    pub(crate) async fn write(&self, data: Vec<u8>) {
        self.send(Input::Data(data)).await;
    }

    /// Ends the input for good.
    pub(crate) async fn finish(&self) {
        self.send(Input::End).await;
    }

    async fn send(&self, input: Input) {
        let mut state = self.command.watch();
        if state.wait_for(|state| *state != MainState::Waiting).await.is_err() {
            return;
        }
        let sender = self.command.live().input.clone();
        if let Some(sender) = sender {
            // A closed channel: the input was ended, or the command was.
            let _ = sender.send(input).await;
        }
    }
}
