//! One command: forked by init under its seal, then loaded.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use openshell_types::TerminalSize;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Resource, Rlimit, chdir, getrlimit, ioctl_tiocsctty, setrlimit, setsid, umask,
};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::control::{SpawnFailure, Stage};
use crate::sys::{self, Program};

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What to run, and how.
pub(super) struct Order {
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) tty: Option<TerminalSize>,
    /// Standard input, output and error; none with a terminal, or if pipes are to be made.
    pub(super) streams: Vec<OwnedFd>,
}

/// A command that is being loaded.
pub(super) struct Started {
    pub(super) pid: Pid,
    /// See [`outcome`].
    pub(super) loading: OwnedFd,
    /// The supervisor's ends of the terminal or of the pipes.
    pub(super) outer: Vec<OwnedFd>,
}

/// Forks the command's process.
pub(super) fn start(order: Order) -> Result<Started, SpawnFailure> {
    let plan =
        Plan::new(&order).ok_or(SpawnFailure { stage: Stage::Request, errno: libc::EINVAL })?;
    let (outer, streams) = match order.tty {
        Some(size) => {
            let (master, slave) =
                terminal(size).map_err(|error| failure(Stage::Terminal, &error.into()))?;
            (vec![master], vec![slave])
        }
        None if order.streams.is_empty() => {
            pipes().map_err(|error| failure(Stage::Process, &error.into()))?
        }
        None => (Vec::new(), order.streams),
    };
    let (loading, told) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| failure(Stage::Process, &error.into()))?;
    let pid = sys::fork(|| {
        let error = load(&plan, &streams, told.as_fd());
        // Init reads what is told, or the end of a pipe that says nothing; both mean failure only
        // if something was told, so a write that fails is a plain exit.
        let _ = rustix::io::write(&told, &encode(error));
        error.exit_code()
    })
    .map_err(|error| failure(Stage::Process, &error))?;
    Ok(Started { pid, loading, outer })
}

/// What the loading pipe says: `None` once the program runs, for it closed the other end.
pub(super) fn outcome(pipe: BorrowedFd<'_>) -> Option<SpawnFailure> {
    let mut bytes = [0; 5];
    match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut bytes)) {
        Ok(5) => decode(bytes),
        _ => None,
    }
}

const STAGES: [Stage; 5] =
    [Stage::Request, Stage::Terminal, Stage::Process, Stage::WorkingDirectory, Stage::Program];

fn encode(failure: SpawnFailure) -> [u8; 5] {
    let stage = STAGES.iter().position(|stage| *stage == failure.stage).unwrap_or(0);
    let [a, b, c, d] = failure.errno.to_ne_bytes();
    [u8::try_from(stage).unwrap_or(0), a, b, c, d]
}

fn decode([stage, a, b, c, d]: [u8; 5]) -> Option<SpawnFailure> {
    let stage = *STAGES.get(usize::from(stage))?;
    Some(SpawnFailure { stage, errno: i32::from_ne_bytes([a, b, c, d]) })
}

fn failure(stage: Stage, error: &io::Error) -> SpawnFailure {
    SpawnFailure { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// The order in the form that the kernel takes, made before the fork.
struct Plan {
    program: Program,
    /// Where the program may be, in order.
    candidates: Vec<CString>,
    cwd: CString,
    has_terminal: bool,
}

impl Plan {
    fn new(order: &Order) -> Option<Self> {
        let name = order.argv.first().filter(|name| !name.is_empty())?;
        if !order.cwd.starts_with('/') {
            return None;
        }
        let candidates: Vec<String> = if name.contains('/') {
            vec![name.clone()]
        } else {
            let path = order.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
            // SECURITY: an empty or relative folder in PATH would be the working directory, which
            // an agent fills.
            path.split(':')
                .filter(|dir| dir.starts_with('/'))
                .map(|dir| format!("{dir}/{name}"))
                .collect()
        };
        let strings = |texts: Vec<String>| -> Option<Vec<CString>> {
            texts.into_iter().map(|text| CString::new(text).ok()).collect()
        };
        let environment = order.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Some(Self {
            program: Program {
                arguments: strings(order.argv.clone())?,
                environment: strings(environment)?,
            },
            candidates: strings(candidates)?,
            cwd: CString::new(order.cwd.clone()).ok()?,
            has_terminal: order.tty.is_some(),
        })
    }
}

/// Pipes for the three streams: the supervisor's ends, and the command's.
fn pipes() -> rustix::io::Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let (stdin, to_stdin) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((vec![to_stdin, from_stdout, from_stderr], vec![stdin, stdout, stderr]))
}

/// A terminal of the jail's own: a person's terminal is never passed in, for what holds it can
/// type into it.
fn terminal(size: TerminalSize) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let cells = Winsize { ws_col: size.cols, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, cells)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// In the new process: becomes the program. Returns only if that fails.
fn load(plan: &Plan, streams: &[OwnedFd], told: BorrowedFd<'_>) -> SpawnFailure {
    if let Err(error) = detach(plan, streams, told) {
        return failure(Stage::Process, &error);
    }
    if let Err(error) = chdir(plan.cwd.as_c_str()) {
        return failure(Stage::WorkingDirectory, &error.into());
    }
    failure(Stage::Program, &run_first(plan))
}

/// A session of its own, the given streams and no other descriptor, and default signals.
fn detach(plan: &Plan, streams: &[OwnedFd], told: BorrowedFd<'_>) -> io::Result<()> {
    setsid()?;
    let stream = |at: usize| {
        streams.get(at).or_else(|| streams.first()).ok_or(io::Error::from_raw_os_error(libc::EBADF))
    };
    if plan.has_terminal {
        ioctl_tiocsctty(stream(0)?)?;
    }
    rustix::stdio::dup2_stdin(stream(0)?)?;
    rustix::stdio::dup2_stdout(stream(1)?)?;
    rustix::stdio::dup2_stderr(stream(2)?)?;
    // SECURITY: the control socket, the signal descriptor and other commands' streams end here,
    // whatever their flags say (K13); `told` closes itself when the program is loaded.
    sys::close_all_but(&[told])?;
    sys::reset_signals();
    umask(Mode::from_raw_mode(0o022));
    limit_files()
}

/// Open files of the command's processes; programs that need more than 1,024 raise their limit.
///
/// SECURITY: N1: descriptors that wait in sockets are counted for all processes of a host user
/// together, and who wants to send one more is measured by its own limit. Half of ours: whatever an
/// agent leaves lying in sockets, init, supervisors and the gateway can still send theirs.
fn limit_files() -> io::Result<()> {
    const FILES: u64 = 524_288;
    let files = getrlimit(Resource::Nofile).maximum.map_or(FILES, |own| (own / 2).min(FILES));
    let limit = Rlimit { current: Some(files.min(1024)), maximum: Some(files) };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Tries the candidates as execvp(3) does: a program that is there but may not be run is
/// remembered, and told if no later one runs.
fn run_first(plan: &Plan) -> io::Error {
    let mut told = io::Error::from_raw_os_error(libc::ENOENT);
    for path in &plan.candidates {
        let error = sys::execute(path, &plan.program);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => told = error,
            Some(libc::ENOEXEC) => return run_script(path, plan),
            _ => return error,
        }
    }
    told
}

/// A file that is neither a binary nor starts with `#!` is a script for the shell.
fn run_script(path: &CString, plan: &Plan) -> io::Error {
    let mut arguments = vec![c"/bin/sh".to_owned(), path.clone()];
    arguments.extend(plan.program.arguments.iter().skip(1).cloned());
    let environment = plan.program.environment.clone();
    sys::execute(c"/bin/sh", &Program { arguments, environment })
}
