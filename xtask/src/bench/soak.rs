//! Many idle connections and steady requests while the policy changes every second: memory, wrong
//! decisions and lost events. Then requests that are begun and never ended.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::connect::Probe;
use super::place::{HOST, Place, supervisor_pid};
use super::requests::{Site, endpoint};
use super::samples::say;
use crate::run::{Outcome, cargo, output};

/// Connections that had a request each, and wait. A sandbox serves an eighth of the open files that
/// its starter may have: with 20,000 that is 2,500 connections.
const IDLE: u32 = 2000;

/// Requests that are begun and never ended.
const HALF_SENT: u32 = 2000;

/// Seconds after which memory should not grow any more.
const WARM_UP: u64 = 60;

const SANDBOX: &str = "bench-soak";

/// Soaks for so many seconds.
pub fn measure(place: &Place, seconds: u32) -> Outcome {
    place.run(&["gateway", "stop"])?;
    let site = Site::start(place)?;
    let policies = policies(place, site.plain)?;
    let first = policies.first().ok_or("there is no policy")?;
    place.sandbox(SANDBOX, &first.file)?;
    let supervisor = supervisor_pid(place)?;
    let port = site.plain.to_string();
    let count = IDLE.to_string();
    println!(
        "\nsoak: {IDLE} idle connections, steady requests, a policy change a second, {seconds} s"
    );
    say("supervisor at rest", &resident(&supervisor)?);
    let idle = Probe::start(&mut place.wide_probe_in(SANDBOX, &["idle", HOST, &port, &count]))?;
    let mut steady = Probe::start(&mut place.probe_in(SANDBOX, &["steady", HOST, &port]))?;
    say("supervisor with the idle connections", &resident(&supervisor)?);
    let began = Instant::now();
    let (mut requests, mut wrong, mut flips) = (u64::from(IDLE), 0, 0_u32);
    let (mut warm, mut most) = (0, 0);
    while began.elapsed() < Duration::from_secs(u64::from(seconds)) {
        let second = Instant::now();
        let turn = usize::try_from(flips).unwrap_or_default() % policies.len();
        let Some(Expected { file, allowed }) = policies.get(turn) else { break };
        place.run(&["policy", "set", SANDBOX, "--policy", file, "--wait"])?;
        steady.ask(allowed)?;
        requests += steady.number()?;
        wrong += steady.number()?;
        flips += 1;
        let now = kibibytes(&supervisor)?;
        if began.elapsed() < Duration::from_secs(WARM_UP.min(u64::from(seconds) / 2)) {
            warm = now.max(warm);
        } else {
            most = now.max(most);
        }
        sleep(Duration::from_secs(1).saturating_sub(second.elapsed()));
    }
    say("most after warm-up", &format!("{:.1} MiB, while warming up {:.1}", mib(most), mib(warm)));
    say("decisions", &format!("{requests} requests, {wrong} wrong, {flips} policies"));
    steady.end()?;
    idle.end()?;
    // Events are written before a request goes on, so all are there.
    say("events of requests", &events(place)?.to_string());
    half_sent(place, &supervisor, &port)?;
    place.run(&["sandbox", "delete", SANDBOX])
}

/// A policy, and what it allows.
struct Expected {
    file: String,
    /// Paths, between spaces.
    allowed: String,
}

/// The policies that take turns. What they allow is the oracle's word, which has no code in common
/// with what decides.
fn policies(place: &Place, port: u16) -> Outcome<Vec<Expected>> {
    let expected = |(number, rules): (usize, &&str)| {
        let text = format!(
            "version: 1\nnetwork_policies:\n  soak:\n    endpoints:\n{}    binaries:\n      - {{ path: \
             {PROBE} }}\n",
            endpoint(port, rules)
        );
        let file = place.policy(&format!("soak-{number}.yaml"), &text)?;
        let mut oracle = cargo();
        oracle.args(["run", "--quiet", "--release", "--package", "openshell-policy-oracle", "--"]);
        oracle.args(["allowed", "--policy", &file, "--host", HOST, "--port", &port.to_string()]);
        let said = output(oracle.args(["--binary", PROBE]).args(PATHS))?;
        Ok(Expected { file, allowed: said.split_whitespace().collect::<Vec<_>>().join(" ") })
    };
    RULES.iter().enumerate().map(expected).collect()
}

/// What the policies say of requests. The first path is allowed by all.
const RULES: &[&str] = &[
    "rules: [{ allow: { method: GET, path: '/{always,even}' } }], deny_rules: [{ path: /never }]",
    "rules: [{ allow: { method: GET, path: '/{always,odd}' } }], deny_rules: [{ path: /even }]",
    "access: read-only, deny_rules: [{ path: '/items/**' }, { method: GET, path: /never }]",
    "rules: [{ allow: { method: '*', path: '/**' } }], deny_rules: [{ path: '/items/*/secret' }]",
    "rules: [{ allow: { method: GET, path: '/items/*' } }, { allow: { path: /always } }]",
    "rules: [{ allow: { method: POST, path: '/**' } }, { allow: { method: GET, path: /always } }]",
];

/// What is asked for, each time.
pub const PATHS: [&str; 12] = [
    "/always",
    "/even",
    "/odd",
    "/never",
    "/items",
    "/items/1",
    "/items/1/secret",
    "/items/1/open",
    "/ITEMS/1/SECRET",
    "/alwaysnot",
    "/always/not",
    "/",
];

const PROBE: &str = "/probe/xtask";

fn half_sent(place: &Place, supervisor: &str, port: &str) -> Outcome {
    println!("\n{HALF_SENT} requests that are begun and never ended");
    say("supervisor before", &resident(supervisor)?);
    let count = HALF_SENT.to_string();
    let began = Instant::now();
    let mut half =
        Probe::start(&mut place.wide_probe_in(SANDBOX, &["half-sent", HOST, port, &count]))?;
    say("supervisor with them", &resident(supervisor)?);
    half.ask("go")?;
    let closed = half.number()?;
    say("closed", &format!("{closed} within {} s", began.elapsed().as_secs()));
    half.end()?;
    sleep(Duration::from_secs(2));
    say("supervisor after", &resident(supervisor)?);
    Ok(())
}

/// Lines of requests in the sandbox's log.
fn events(place: &Place) -> Outcome<usize> {
    let sandboxes = fs::read_dir(place.sandboxes()).map_err(|error| error.to_string())?;
    let folder = sandboxes.flatten().next().ok_or("there is no sandbox")?.path();
    let path = folder.join("audit.jsonl");
    let text =
        fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok(text.lines().filter(|line| line.contains("\"kind\":\"http\"")).count())
}

fn resident(pid: &str) -> Outcome<String> {
    Ok(format!("{:.1} MiB", mib(kibibytes(pid)?)))
}

fn kibibytes(pid: &str) -> Outcome<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("{path} has no VmRSS"))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
