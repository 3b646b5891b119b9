//! New connections through the egress, beside direct ones.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use super::place::{HOST, Place, policy_text, spawn, stdout};
use super::probe::{BULK, BULK_BYTES};
use super::samples::{Samples, show};
use crate::run::Outcome;

/// Connections of one turn.
const TURN: u32 = 10;

/// Crowds, as processes and the files that each has open: what a scan of all descriptors would have to
/// go through.
const CROWDS: [(&str, &str); 3] = [("10", "1"), ("10", "100"), ("1000", "20")];

/// Measures.
pub fn measure(place: &Place, runs: u32) -> Outcome {
    let server = Server::start()?;
    let port = server.port.to_string();
    let policy = place.policy("connect.yaml", &policy_text(Some(server.port)))?;
    place.sandbox("bench-connect", &policy)?;
    let mut inside = Probe::start(&mut place.probe_in("bench-connect", &["connect", HOST, &port]))?;
    let mut outside = Probe::start(&mut place.probe_outside(&["connect", "127.0.0.1", &port]))?;

    // Ten times as many as asked for: they are cheap, and the 99th of a hundred is what counts.
    let turns = runs.saturating_mul(10).div_ceil(TURN);
    alternate("a jail with one process", turns, &mut inside, &mut outside)?;
    for (processes, files) in CROWDS {
        let words = ["crowd", processes, files];
        let crowd = Probe::start(&mut place.probe_in("bench-connect", &words))?;
        let jail = format!("a jail with {processes} processes × {files} open files");
        alternate(&jail, turns, &mut inside, &mut outside)?;
        crowd.end()?;
    }
    inside.end()?;
    outside.end()?;
    place.run(&["sandbox", "delete", "bench-connect"])
}

fn alternate(what: &str, turns: u32, inside: &mut Probe, outside: &mut Probe) -> Outcome {
    let mut captured = Samples::of("through the egress, by rule");
    let mut direct = Samples::of("direct, outside");
    for turn in 0..=turns {
        for (probe, samples) in [(&mut *inside, &mut captured), (&mut *outside, &mut direct)] {
            probe.ask(&TURN.to_string())?;
            for _ in 0..TURN {
                let time = probe.number()?;
                // The first turn is for caches.
                if turn > 0 {
                    samples.add_nanoseconds(time);
                }
            }
        }
    }
    let title = format!("a new allowed connection → its first byte back, from {what}");
    show(&title, &[&captured, &direct], &direct);
    Ok(())
}

/// A server on this machine's loopback. It ends with this process.
pub struct Server {
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts it.
    pub fn start() -> Outcome<Self> {
        let failed = |error| format!("a server cannot be started: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // A thread for each would be measured as well; only bulk answers need one.
                answer(stream);
            }
        });
        Ok(Self { port })
    }
}

fn answer(mut stream: TcpStream) {
    let mut asked = [0];
    // A client that went away is none of a server's troubles.
    if stream.read_exact(&mut asked).is_err() {
        return;
    }
    if asked == [BULK] {
        thread::spawn(move || send_bulk(&mut stream));
    } else {
        let _ = stream.write_all(&asked);
    }
}

fn send_bulk(stream: &mut TcpStream) {
    let piece = vec![b'x'; 256 * 1024];
    let mut left = BULK_BYTES;
    while left > 0 && stream.write_all(&piece).is_ok() {
        left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
}

/// A probe that runs; see [`super::probe`].
pub struct Probe {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Probe {
    /// Starts one and waits until it is ready.
    pub fn start(command: &mut Command) -> Outcome<Self> {
        let mut probe = Self::start_unready(command)?;
        match probe.line()?.as_str() {
            "ready" => Ok(probe),
            other => Err(format!("the probe said `{other}`")),
        }
    }

    /// Starts one that does not say when it is ready.
    pub fn start_unready(command: &mut Command) -> Outcome<Self> {
        let mut child = spawn(command.stdin(Stdio::piped()))?;
        let output = BufReader::new(stdout(&mut child)?);
        let input = child.stdin.take();
        Ok(Self { child, input, output })
    }

    /// Sends a line.
    pub fn ask(&mut self, line: &str) -> Outcome {
        let input = self.input.as_mut().ok_or("the probe was ended")?;
        writeln!(input, "{line}").map_err(|error| format!("the probe does not listen: {error}"))
    }

    /// The next line.
    pub fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err("the probe ended".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("the probe cannot be read: {error}")),
        }
    }

    /// The next line, which is a number.
    pub fn number(&mut self) -> Outcome<u64> {
        let line = self.line()?;
        line.parse().map_err(|_| format!("the probe said `{line}`"))
    }

    /// Ends it by the end of its input.
    pub fn end(mut self) -> Outcome {
        drop(self.input.take());
        let status = self.child.wait().map_err(|error| format!("waiting: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("the probe ended with {status}")) }
    }

    /// Ends one that does not read its input.
    pub fn kill(mut self) -> Outcome {
        self.child.kill().map_err(|error| format!("ending the probe: {error}"))?;
        self.child.wait().map(drop).map_err(|error| format!("waiting: {error}"))
    }
}
