//! A further command in the sandbox, run for one client.

use std::sync::Arc;
use std::time::Duration;

use openshell_audit::{Event, Process, bounded_argv};
use openshell_egress::Report;
use openshell_wire::session::Exec;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::copy::{Ended, exit_code, feed, outputs, watch_exit};
use crate::environment;
use crate::limits;
use crate::main_command::MainState;
use crate::output::Channel;
use crate::processes::{Program, SpawnError, Stdio};
use crate::sandbox::Sandbox;
use crate::stdio::{Sink, Source, Terminal, pipes, terminal_size};

use super::stream::{Control, Gone, Out, Stream};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// What a command that ran out of time exits with, as with timeout(1).
const TIMED_OUT: i32 = 124;

/// Runs one command to its end, or until its client is gone.
pub(super) async fn serve(sandbox: &Arc<Sandbox>, exec: Exec, stream: Stream) {
    let out = stream.out.clone();
    let tty = exec.tty;
    // Whoever is gone does not hear how it ended.
    let _ = match run(sandbox, exec, stream).await {
        Ok(Ok(code)) => out.exit(code, String::new()).await,
        Ok(Err(Gone)) => out.refuse("the command was ended because its client was").await,
        // A command that could not be run has a code as any other, so it has a stream as well.
        Err(Refusal::Spawn(error)) => match out.opened(tty, false, 0).await {
            Ok(()) => out.exit(error.exit_code(), error.to_string()).await,
            Err(Gone) => Err(Gone),
        },
        Err(Refusal::Asked(why)) => out.refuse(why).await,
    };
}

enum Refusal {
    /// The command could not be run.
    Spawn(SpawnError),
    /// It is not run at all.
    Asked(&'static str),
}

/// A command that runs for a client.
struct Run {
    id: u64,
    pid: u32,
    argv: Vec<String>,
    terminal: Option<Arc<Terminal>>,
    ended: Ended,
    timeout: Option<Duration>,
}

async fn run(
    sandbox: &Arc<Sandbox>,
    exec: Exec,
    stream: Stream,
) -> Result<Result<i32, Gone>, Refusal> {
    if exec.argv.is_empty() {
        return Err(Refusal::Asked("a command is needed"));
    }
    if matches!(*sandbox.main.watch().borrow(), MainState::Ended { .. }) {
        return Err(Refusal::Asked("the sandbox has completed"));
    }
    let (run, sources, sink) = start(sandbox, exec).await?;
    tell(sandbox, &run, "started", None);
    let result = run.follow(sandbox, sources, sink, stream).await;
    let code = exit_code(run.ended.clone()).await;
    tell(sandbox, &run, "exited", Some(code));
    Ok(result)
}

type Streams = (Run, Vec<(Channel, Source)>, Option<Sink>);

async fn start(sandbox: &Sandbox, exec: Exec) -> Result<Streams, Refusal> {
    let mut env = sandbox.environment.clone();
    env.extend(environment::given(&exec.environment.into_iter().collect()));
    let cwd = if exec.workdir.is_empty() { "/sandbox".into() } else { exec.workdir };
    let (stdio, ends) = if exec.tty {
        (Stdio::Terminal(terminal_size(exec.cols, exec.rows)), None)
    } else {
        let (stdio, ends) =
            pipes(true).map_err(|_| Refusal::Asked("the supervisor has no descriptors left"))?;
        (stdio, Some(ends))
    };
    let program = Program { argv: exec.argv.clone(), env, cwd, stdio };
    let mut running = sandbox.processes.spawn(program).await.map_err(Refusal::Spawn)?;

    let terminal = running.terminal.take().map(Terminal::new).transpose();
    let terminal = terminal.map_err(|_| Refusal::Spawn(SpawnError::JailEnded))?.map(Arc::new);
    let mut sources = Vec::new();
    let mut sink = None;
    if let Some(terminal) = &terminal {
        sources.push((Channel::Stdout, Source::Terminal(Arc::clone(terminal))));
        sink = Some(Sink::Terminal(Arc::clone(terminal)));
    }
    if let Some(ends) = ends {
        sources.push((Channel::Stdout, ends.stdout));
        sources.push((Channel::Stderr, ends.stderr));
        sink = ends.stdin;
    }
    let run = Run {
        id: running.id,
        pid: running.pid,
        argv: exec.argv,
        terminal,
        ended: watch_exit(running.exited),
        timeout: (exec.timeout_ms > 0).then(|| Duration::from_millis(exec.timeout_ms)),
    };
    Ok((run, sources, sink))
}

impl Run {
    /// Moves bytes both ways until the command ended. A client that goes away takes the command's
    /// process group with it.
    async fn follow(
        &self,
        sandbox: &Sandbox,
        sources: Vec<(Channel, Source)>,
        sink: Option<Sink>,
        stream: Stream,
    ) -> Result<i32, Gone> {
        let Stream { mut input, mut control, out } = stream;
        let chunks = outputs(sources, &self.ended);
        let output = copy(chunks, &out);
        let feeding = async {
            if let Some(sink) = sink {
                feed(sink, &mut input).await;
            }
        };
        if out.opened(self.terminal.is_some(), true, 0).await.is_err() {
            sandbox.processes.signal(self.id, SIGKILL).await;
            return Err(Gone);
        }
        let mut clock = Clock::new(self.timeout);
        tokio::pin!(output, feeding);
        // Output may end long before the command does: a daemon closes its streams.
        let (mut fed, mut copied) = (false, false);
        loop {
            tokio::select! {
                sent = &mut output, if !copied => {
                    copied = true;
                    if sent.is_err() {
                        break;
                    }
                }
                code = exit_code(self.ended.clone()), if copied => {
                    return Ok(if clock.has_struck { TIMED_OUT } else { code });
                }
                () = &mut feeding, if !fed => fed = true,
                signal = clock.next() => sandbox.processes.signal(self.id, signal).await,
                asked = control.recv() => match asked {
                    Some(Control::Resize(size)) => self.resize(size),
                    Some(Control::Signal(signal)) => {
                        sandbox.processes.signal(self.id, signal).await;
                    }
                    None => break,
                },
            }
        }
        sandbox.processes.signal(self.id, SIGKILL).await;
        Err(Gone)
    }

    fn resize(&self, size: openshell_types::TerminalSize) {
        if let Some(terminal) = &self.terminal
            && let Err(error) = terminal.resize(size)
        {
            tracing::debug!(%error, "Terminal was not resized");
        }
    }
}

async fn copy(mut chunks: mpsc::Receiver<(Channel, Vec<u8>)>, out: &Out) -> Result<(), Gone> {
    while let Some((channel, data)) = chunks.recv().await {
        out.data(channel, &data, 0).await?;
    }
    Ok(())
}

/// The signals that a command gets when its time is up.
struct Clock {
    next: Option<(Instant, i32)>,
    has_struck: bool,
}

impl Clock {
    fn new(timeout: Option<Duration>) -> Self {
        // A time that is further away than the clock goes never comes.
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { next: at.map(|at| (at, SIGTERM)), has_struck: false }
    }

    /// Waits for the next signal; for ever when there is none.
    async fn next(&mut self) -> i32 {
        let Some((at, signal)) = self.next else { return std::future::pending().await };
        sleep_until(at).await;
        self.has_struck = true;
        self.next = (signal == SIGTERM).then(|| (Instant::now() + limits::TIMEOUT_GRACE, SIGKILL));
        signal
    }
}

fn tell(sandbox: &Sandbox, run: &Run, activity: &str, exit_code: Option<i32>) {
    sandbox.journal.record(Event::Process(Process {
        role: "exec".into(),
        activity: activity.into(),
        pid: run.pid,
        argv: bounded_argv(&run.argv),
        exit_code,
    }));
}
