//! Requests by `wrk`, how long each takes, and what they cost a sandbox's supervisor.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place::{Place, supervisor_pids};
use super::requests::{find, median, processor_time};
use crate::run::{Outcome, output};

/// Where what is asked is in a sandbox.
pub const ASK: &str = "/ask";

/// Whether programs are there; what is not measured without one is said.
pub fn has(programs: &[&str], what: &str) -> bool {
    let missing = programs.iter().find(|program| find(program).is_none());
    if let Some(missing) = missing {
        println!("\nnot measured, since {missing} is not installed: {what}");
    }
    missing.is_none()
}

/// Rounds of each measurement: the median counts.
pub fn rounds(runs: u32) -> u32 {
    const MOST: u32 = 5;
    (runs / 40).clamp(1, MOST)
}

/// A sandbox that waits, with the probe and what is asked.
pub struct Sandbox<'a> {
    /// Where it is.
    pub place: &'a Place,
    name: &'static str,
    /// Its supervisor.
    pub pid: String,
}

impl<'a> Sandbox<'a> {
    /// Starts one. `more` are further arguments of its creation.
    pub fn start(place: &'a Place, name: &'static str, ask: &Path, more: &[&str]) -> Outcome<Self> {
        let others = supervisor_pids(place).unwrap_or_default();
        let (probe, ask) = (place.probe_mount(), format!("{}:{ASK}:ro", ask.display()));
        let mut words = vec!["sandbox", "create", "--detach", "--name", name];
        words.extend(["--mount", &probe, "--mount", &ask]);
        words.extend_from_slice(more);
        words.extend(["--", "sleep", "infinity"]);
        place.run(&words)?;
        let own = supervisor_pids(place)?.into_iter().find(|pid| !others.contains(pid));
        let pid = own.ok_or("the sandbox has no supervisor")?;
        Ok(Self { place, name, pid })
    }

    /// A command in it.
    pub fn exec(&self, words: &[&str]) -> Command {
        let mut all = vec!["sandbox", "exec", "-n", self.name, "--"];
        all.extend_from_slice(words);
        self.place.openshell(&all)
    }

    /// The probe in it.
    pub fn probe(&self, words: &[&str]) -> Command {
        self.place.probe_in(self.name, words)
    }

    /// Deletes it.
    pub fn delete(self) -> Outcome {
        self.place.run(&["sandbox", "delete", self.name])
    }
}

/// What is asked, and over how many connections, which are kept.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// The script of `wrk`, in the folder of what is asked.
    pub script: &'a str,
    pub connections: u32,
}

/// One way to ask.
pub struct Way {
    name: String,
    command: Command,
    /// Whose processor time counts.
    pid: Option<String>,
    rounds: Vec<Round>,
}

/// What came of one round; times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    count: f64,
    rate: f64,
    p50: f64,
    p99: f64,
    cost: f64,
}

impl Way {
    /// From within a sandbox.
    pub fn inside(name: &str, sandbox: &Sandbox<'_>, load: Load<'_>, url: &str) -> Self {
        let words = wrk(load, Path::new(ASK), url);
        let mut all = vec!["wrk"];
        all.extend(words.iter().map(String::as_str));
        Self::new(name, sandbox.exec(&all), Some(sandbox.pid.clone()))
    }

    /// From beside it; what is asked is in this folder.
    pub fn outside(name: &str, ask: &Path, load: Load<'_>, url: &str) -> Self {
        let mut command = Command::new("wrk");
        command.args(wrk(load, ask, url)).stdin(Stdio::null());
        Self::new(name, command, None)
    }

    fn new(name: &str, command: Command, pid: Option<String>) -> Self {
        Self { name: name.to_owned(), command, pid, rounds: Vec::new() }
    }

    fn round(&mut self) -> Outcome<Round> {
        let now = |pid: &Option<String>| pid.as_deref().map_or(Ok(0.0), processor_time);
        let before = now(&self.pid)?;
        let text = output(&mut self.command)?;
        let spent = now(&self.pid)? - before;
        let mut round = Round::read(&text).map_err(|error| format!("{}: {error}", self.name))?;
        round.cost = spent * 1e6 / round.count;
        Ok(round)
    }

    fn median(&self, of: fn(&Round) -> f64) -> f64 {
        median(&self.rounds.iter().map(of).collect::<Vec<_>>())
    }
}

impl Round {
    /// Reads what [`DONE`] prints.
    fn read(text: &str) -> Outcome<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("figures "));
        let figures: Vec<f64> =
            line.unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
        match figures[..] {
            [count, took, p50, p99, errors] if errors == 0.0 && count > 0.0 => {
                Ok(Self { count, rate: count * 1e6 / took, p50, p99, cost: 0.0 })
            }
            _ => Err(format!("not all requests succeeded:\n{text}")),
        }
    }
}

fn wrk(load: Load<'_>, ask: &Path, url: &str) -> Vec<String> {
    let script = ask.join(load.script).display().to_string();
    let words = ["-t1", &format!("-c{}", load.connections), "-d1", "-s", &script, url];
    words.map(str::to_owned).to_vec()
}

/// Lets all ways take turns, and prints a table. The ratio is that of the medians to the last.
pub fn compare(title: &str, rounds: u32, ways: &mut [Way]) -> Outcome {
    for round in 0..=rounds {
        for way in ways.iter_mut() {
            let figures = way.round()?;
            // The first round warms up.
            if round > 0 {
                way.rounds.push(figures);
            }
        }
    }
    println!("\n{title}");
    println!(
        "  {:<44} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "", "a second", "p50 µs", "p99 µs", "CPU µs", "ratio"
    );
    let against = ways.last().map_or(1.0, |way| way.median(|round| round.p50));
    for way in ways.iter() {
        let (rate, p50) = (way.median(|round| round.rate), way.median(|round| round.p50));
        let p99 = way.median(|round| round.p99);
        let cost = way.pid.as_ref().map_or("–".to_owned(), |_| {
            let cost = way.median(|round| round.cost);
            format!("{cost:.1}")
        });
        let ratio = p50 / against;
        println!("  {:<44} {rate:>9.0} {p50:>9.0} {p99:>9.0} {cost:>9} {ratio:>7.2}", way.name);
    }
    Ok(())
}

/// Writes scripts of `wrk` into a folder that sandboxes are shown.
pub fn scripts(place: &Place, scripts: &[(&str, &str)]) -> Outcome<PathBuf> {
    let folder = place.folder("ask")?;
    for (name, text) in scripts {
        let path = folder.join(name);
        std::fs::write(&path, format!("{text}\n{DONE}"))
            .map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    Ok(folder)
}

/// Prints what [`Round::read`] reads.
const DONE: &str = "function done(summary, latency)\n  local e = summary.errors\n  \
    io.write(string.format(\"figures %d %d %d %d %d\\n\", summary.requests, summary.duration, \
    latency:percentile(50), latency:percentile(99), \
    e.connect + e.read + e.write + e.status + e.timeout))\nend\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_with_errors_is_none() {
        let round = Round::read("Running\nfigures 500 1000000 40 90 0\n").expect("figures");
        assert_eq!(round, Round { count: 500.0, rate: 500.0, p50: 40.0, p99: 90.0, cost: 0.0 });
        for text in ["", "figures 500 1000000 40 90 1\n", "figures 0 1000000 0 0 0\n"] {
            assert!(Round::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn few_runs_are_few_rounds() {
        assert_eq!([1, 80, 200, 100_000].map(rounds), [1, 2, 5, 5]);
    }
}
