//! The client of a measurement: this program, inside of a sandbox or outside.
//!
//! It stays for the whole measurement and does what a line on its standard input asks for, so
//! that no start of a program is measured.

use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::backend::PIECE;
use super::soak;
use crate::run::Outcome;

/// What the server answers with a byte; see [`super::connect::Server`].
pub const ECHO: u8 = b'e';

/// What the server answers with [`BULK_BYTES`].
pub const BULK: u8 = b'b';

/// Bytes of one bulk answer.
pub const BULK_BYTES: u64 = 512 * 1024 * 1024;

/// Bytes of one upload.
pub const UPLOAD_BYTES: u64 = 256 * 1024 * 1024;

/// What one of a crowd says when it holds its files.
const HELD: &[u8] = b"held\n";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the probe is for.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// For each line with a number: so many connections, the nanoseconds of each on a line.
    Connect { host: String, port: u16 },
    /// A connection every millisecond; whenever they begin to be allowed or denied, a line with the
    /// times at which the last old one was begun and the first new one was decided.
    Watch { host: String, port: u16 },
    /// For each line: a download, and its nanoseconds on a line.
    Download { host: String, port: u16 },
    /// For each line: an upload over the same connection, and its nanoseconds on a line.
    Upload { host: String, port: u16 },
    /// Opens connections, asks once over each, and keeps them until the input ends.
    Idle { host: String, port: u16, count: u32 },
    /// For each line with the path that is allowed now, `even` or `odd`: some requests; how many
    /// they were and how many answers were wrong, on two lines.
    Steady { host: String, port: u16 },
    /// Begins requests; for a line it waits until all are closed, and says how many were.
    HalfSent { host: String, port: u16, count: u32 },
    /// Starts processes with open files, says so, and ends them with its input.
    Crowd { processes: u32, files: u32 },
    /// One of these.
    Hold { files: u32 },
}

/// Does it until the input ends.
pub fn run(options: &Options) -> Outcome {
    let done = match &options.task {
        Task::Connect { host, port } => {
            let at = resolve(host, *port)?;
            each_line(|line| connections(at, line.trim().parse().unwrap_or(1)))
        }
        Task::Watch { host, port } => watch(resolve(host, *port)?),
        Task::Download { host, port } => {
            let at = resolve(host, *port)?;
            each_line(|_| download(at))
        }
        Task::Upload { host, port } => {
            let mut stream = connect(resolve(host, *port)?)
                .map_err(|error| format!("the probe cannot connect: {error}"))?;
            let to = format!("{host}:{port}");
            each_line(|_| upload(&mut stream, &to))
        }
        Task::Idle { host, port, count } => {
            resolve(host, *port).map(|at| idle(at, &format!("{host}:{port}"), *count))?
        }
        Task::Steady { host, port } => {
            let (at, to) = (resolve(host, *port)?, format!("{host}:{port}"));
            each_line(|line| steady(at, &to, line.trim()))
        }
        Task::HalfSent { host, port, count } => half_sent(resolve(host, *port)?, *count),
        Task::Crowd { processes, files } => crowd(*processes, *files),
        Task::Hold { files } => hold(*files),
    };
    done.map_err(|error| format!("the probe failed: {error}"))
}

/// Once: a look-up is not what is measured.
fn resolve(host: &str, port: u16) -> Outcome<SocketAddr> {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| format!("`{host}` does not resolve: {error}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| format!("`{host}` has no address"))
}

fn each_line(mut act: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    say("ready")?;
    for line in io::stdin().lock().lines() {
        act(&line?)?;
    }
    Ok(())
}

fn say(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn connections(at: SocketAddr, count: u32) -> io::Result<()> {
    let mut times = String::new();
    for _ in 0..count {
        let started = Instant::now();
        exchange(at)?;
        times.push_str(&format!("{}\n", started.elapsed().as_nanos()));
    }
    let mut out = io::stdout().lock();
    out.write_all(times.as_bytes())?;
    out.flush()
}

/// A connection is there when the other end has answered: a captured one is accepted by the
/// egress before it is decided.
fn exchange(at: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[ECHO])?;
    stream.read_exact(&mut [0])
}

fn watch(at: SocketAddr) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    /// A change that does not come in this time never does.
    const LONGEST: Duration = Duration::from_secs(30);
    let (mut before, mut last, mut changed) = (None, 0, Instant::now());
    while changed.elapsed() < LONGEST {
        let begun = now();
        let allowed = exchange(at).is_ok();
        if before != Some(allowed) {
            before = Some(allowed);
            changed = Instant::now();
            let word = if allowed { "allowed" } else { "denied" };
            say(format_args!("{word} {last} {}", now()))?;
        }
        last = begun;
        sleep(PAUSE);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Nanoseconds on the clock that all processes share.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn download(at: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let started = Instant::now();
    stream.write_all(&[BULK])?;
    let mut buffer = vec![0; 256 * 1024];
    let mut left = BULK_BYTES;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX)),
        }
    }
    say(started.elapsed().as_nanos())
}

fn upload(stream: &mut TcpStream, to: &str) -> io::Result<()> {
    // Text as agents send it, in which nearly everything could be the beginning of something.
    let line = "{\"role\":\"tool\",\"content\":\"src/main.rs:12: the borrowed value `bench` is moved\"},\n";
    let text = line.repeat(PIECE / line.len() + 1);
    let piece = text.as_bytes().get(..PIECE).unwrap_or_default();
    let started = Instant::now();
    let head = format!(
        "PUT /upload HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: \
         {UPLOAD_BYTES}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    for _ in 0..UPLOAD_BYTES / u64::try_from(PIECE).unwrap_or(1) {
        stream.write_all(piece)?;
    }
    match answer(stream)? {
        200 => say(started.elapsed().as_nanos()),
        status => Err(io::Error::other(format!("the answer is {status}"))),
    }
}

/// Asks for a path and reads the status of the answer, whose body is read, too.
fn ask(stream: &mut TcpStream, to: &str, path: &str) -> io::Result<u16> {
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())?;
    answer(stream)
}

/// Reads an answer and tells its status.
fn answer(stream: &mut TcpStream) -> io::Result<u16> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let stated = head.split("content-length: ").nth(1).unwrap_or_default();
            let length = stated.split("\r\n").next().and_then(|text| text.parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
                return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(part.get(..read).unwrap_or_default()),
        }
    }
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn idle(at: SocketAddr, to: &str, count: u32) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = connect(at)?;
        ask(&mut stream, to, "always")?;
        held.push(stream);
    }
    each_line(|_| Ok(()))
}

/// Asks for each of the soak's paths some times; `allowed` says, between spaces, for which.
fn steady(at: SocketAddr, to: &str, allowed: &str) -> io::Result<()> {
    const ROUNDS: u32 = 12;
    let (mut asked, mut wrong) = (0_u64, 0_u64);
    let mut stream = connect(at)?;
    for _ in 0..ROUNDS {
        for path in soak::PATHS {
            let status = ask(&mut stream, to, path.trim_start_matches('/'))?;
            let is_allowed = allowed.split(' ').any(|allowed| allowed == path);
            let expected = if is_allowed { 200 } else { 403 };
            asked += 1;
            wrong += u64::from(status != expected);
            if status != 200 {
                stream = connect(at)?;
            }
        }
    }
    say(asked)?;
    say(wrong)
}

fn half_sent(at: SocketAddr, count: u32) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE * 6))?;
        stream.write_all(b"GET /always HTTP/1.1\r\nX: ")?;
        held.push(stream);
    }
    each_line(|_| {
        let mut closed = 0;
        for stream in &mut held {
            // What it was told before it was closed does not matter.
            closed += u64::from(stream.read_to_end(&mut Vec::new()).is_ok());
        }
        say(closed)
    })
}

fn crowd(processes: u32, files: u32) -> io::Result<()> {
    let own = std::env::current_exe()?;
    // Two pipes for all: one says when each is there, the other ends them with this process.
    let (mut said, says) = io::pipe()?;
    let (waits, ends) = io::pipe()?;
    let mut children = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(&own);
        command.args(["bench", "probe", "hold", &files.to_string()]);
        command.stdin(waits.try_clone()?).stdout(says.try_clone()?);
        children.push(command.spawn()?);
    }
    for _ in &children {
        said.read_exact(&mut [0; HELD.len()])?;
    }
    each_line(|_| Ok(()))?;
    drop(ends);
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

fn hold(files: u32) -> io::Result<()> {
    let held: Vec<File> = (0..files).map(|_| File::open("/dev/null")).collect::<io::Result<_>>()?;
    io::stdout().write_all(HELD)?;
    io::stdout().flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
