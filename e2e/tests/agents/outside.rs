//! Agents without a sandbox: each does its task, and so what stops one in a sandbox is ours.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use openshell_e2e::models::Model;
use openshell_testkit::{Finished, World, finish, world};
use serde_json::Value;

use crate::agents::{Agent, claude_code, codex, gemini_cli};

const KEY: &str = "sk-the-only-one-that-opens";

/// What a model wants run. Neither it nor its words have what it prints.
pub const COMMAND: &str = "printf 'canary-%d\\n' 0x2a | tee printed.txt";
pub const PRINTED: &str = "canary-42";

/// An agent takes a few seconds.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Makes an agent with a key, and a base URL.
pub type Make = fn(&str, Option<&str>) -> Agent;

pub fn claude_code_does_its_task() {
    at_the_vendors(claude_code);
}

pub fn codex_does_its_task() {
    at_the_vendors(codex);
}

pub fn gemini_cli_does_its_task() {
    at_the_vendors(gemini_cli);
}

pub fn claude_code_asks_where_it_is_told_to() {
    elsewhere(claude_code);
}

pub fn codex_asks_where_it_is_told_to() {
    elsewhere(codex);
}

pub fn gemini_cli_asks_where_it_is_told_to() {
    elsewhere(gemini_cli);
}

pub fn claude_code_speaks_without_tls() {
    in_the_clear(claude_code);
}

pub fn codex_speaks_without_tls() {
    in_the_clear(codex);
}

pub fn gemini_cli_speaks_without_tls() {
    in_the_clear(gemini_cli);
}

pub fn claude_code_needs_the_right_key() {
    with_another_key(claude_code, 401);
}

pub fn codex_needs_the_right_key() {
    with_another_key(codex, 401);
}

pub fn gemini_cli_needs_the_right_key() {
    with_another_key(gemini_cli, 400);
}

/// Asked at the host that its vendor has.
fn at_the_vendors(make: Make) {
    world(|w| {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let agent = make(KEY, None);
        serve(w, agent.vendor.host(), &agent, files.path());
        does_its_task(w, agent, files.path());
    });
}

/// Asked at a host that it is told of.
fn elsewhere(make: Make) {
    world(|w| {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let agent = make(KEY, Some("https://inference.local"));
        serve(w, "inference.local", &agent, files.path());
        does_its_task(w, agent, files.path());
    });
}

/// Asked at a port of this machine.
fn in_the_clear(make: Make) {
    world(|w| {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let agent = make(KEY, Some("http://127.0.0.1:8080"));
        let model = model(&agent, files.path());
        let at = SocketAddr::from(([127, 0, 0, 1], 8080));
        w.serve_http_on_host(at, move |request| model.answer(request));
        does_its_task(w, agent, files.path());
    });
}

/// Told that its key is none, an agent runs nothing.
fn with_another_key(make: Make, status: u16) {
    world(|w| {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let agent = make("sk-another", Some("https://inference.local"));
        serve(w, "inference.local", &agent, files.path());
        let said = run(w, agent, files.path());
        assert!(said.code.is_some_and(|code| code != 0), "{said}");
        assert!(!files.path().join("printed.txt").exists(), "{said}");
        let asked = asked(files.path());
        assert!(!asked.is_empty(), "{said}");
        assert!(asked.iter().all(|request| request["status"] == status), "{asked:?}");
    });
}

fn model(agent: &Agent, files: &Path) -> Model {
    Model::new(agent.vendor, KEY, COMMAND, &files.join("record.jsonl"))
}

fn serve(w: &World, host: &str, agent: &Agent, files: &Path) {
    let model = model(agent, files);
    w.serve_https(host, move |request| model.answer(request));
}

fn run(w: &World, mut agent: Agent, files: &Path) -> Finished {
    agent.trust(&w.ca_file(), Path::new("/etc/ssl/certs/ca-certificates.crt"));
    finish(&mut agent.at(files), DEADLINE)
}

/// The requests that the model had.
fn asked(files: &Path) -> Vec<Value> {
    let record = fs::read_to_string(files.join("record.jsonl")).expect("the model keeps one");
    record.lines().map(|line| serde_json::from_str(line).expect("it writes JSON")).collect()
}

fn does_its_task(w: &World, agent: Agent, files: &Path) {
    let said = run(w, agent, files).succeeded();
    assert!(said.stdout.contains(PRINTED), "{said}");
    let printed = fs::read_to_string(files.join("printed.txt")).unwrap_or_default();
    assert_eq!(printed.trim(), PRINTED, "{said}");
    let asked = asked(files);
    let turns = asked.iter().filter(|one| one["status"] == 200 && one["method"] == "POST").count();
    assert!(turns >= 2, "{asked:?}");
    for request in asked {
        println!("{} {} {}", request["status"], request["method"], request["target"]);
    }
}
