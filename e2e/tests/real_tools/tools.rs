//! The tools, and the way from nothing to what they need.

use std::collections::BTreeSet;
use std::time::Duration;

use openshell_e2e::{Repository, Sandbox, eventually};
use openshell_testkit::{Finished, Product, RunAs, finish};
use serde_json::Value;

use crate::edits::Edited;
use crate::settings;

const PIP: [&str; 7] =
    ["/usr/bin/python3", "-m", "pip", "download", "--no-deps", "--retries=0", "six"];
const NPM: [&str; 6] = [
    "/usr/bin/npm",
    "view",
    "--fetch-retries=0",
    "--update-notifier=false",
    "is-number",
    "version",
];

/// This machine, for a sandbox.
const HOST: &str = "host.openshell.internal";

/// A tool that has not answered by then never will.
const DEADLINE: Duration = Duration::from_secs(45);

/// More hosts than any of the tools asks for.
const ROUNDS: usize = 8;

pub fn pip_works_once_its_denied_hosts_are_added(run_as: RunAs) {
    let product = Product::new(run_as);
    let (sandbox, _) = add_what_is_denied(&product, &PIP);
    let got = sandbox.sh("ls /sandbox/six-*").succeeded();
    assert_eq!(got.stdout.lines().count(), 1, "{got}");
}

pub fn npm_works_once_its_denied_hosts_are_added(run_as: RunAs) {
    let product = Product::new(run_as);
    let (_, said) = add_what_is_denied(&product, &NPM);
    assert!(said.stdout.trim().split('.').count() == 3, "a version: {said}");
}

pub fn git_works_once_its_denied_host_is_added(run_as: RunAs) {
    let repository = Repository::serve();
    let product = Product::new(run_as);
    let url = repository.url(HOST);
    let (sandbox, _) = add_what_is_denied(&product, &clone(&url));
    assert_eq!(sandbox.sh("cat clone/greeting").succeeded().stdout, "hello\n");
}

pub fn pip_cannot_run() -> Option<String> {
    outside(&PIP)
}

pub fn npm_cannot_run() -> Option<String> {
    outside(&NPM)
}

pub fn git_cannot_run() -> Option<String> {
    let repository = Repository::serve();
    outside(&clone(&repository.url("127.0.0.1")))
}

fn clone(url: &str) -> [&str; 5] {
    ["/usr/bin/git", "clone", "--quiet", url, "clone"]
}

/// Why a command does not work without a sandbox either.
fn outside(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first().expect("a command has a program");
    if !std::path::Path::new(program).exists() {
        return Some(format!("there is no {program}"));
    }
    let product = Product::new(RunAs::Ordinary);
    let mut command = product.program(program, arguments);
    let said = finish(command.envs(settings::variables()), DEADLINE);
    let mut lines = said.stderr.lines();
    let why = lines.clone().find(|line| line.to_ascii_lowercase().contains("error"));
    let why = why.or(lines.next_back()).unwrap_or("it printed nothing");
    (said.code != Some(0)).then(|| format!("it does not work outside of a sandbox: {why}"))
}

/// Runs a command until it works, in a sandbox that at first may reach nothing. After each failure
/// the policy gets what the denials in the log advise.
fn add_what_is_denied<'p>(product: &'p Product, command: &[&str]) -> (Sandbox<'p>, Finished) {
    let mut policy = Edited::default();
    let sandbox = Sandbox::start(product, "tools", &policy.text());
    let variables = settings::variables();
    let variables: Vec<String> =
        variables.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
    let options: Vec<&str> = variables.iter().map(String::as_str).collect();
    let mut denied = BTreeSet::new();
    let mut seen = 0;
    for round in 0..ROUNDS {
        let tried = finish(&mut sandbox.exec_command(&options, command), DEADLINE);
        if tried.code == Some(0) {
            assert!(round > 0, "it worked although nothing was allowed: {tried}");
            assert_only(&policy, &denied, product, &sandbox);
            return (sandbox, tried);
        }
        let before = policy.text();
        let denials = eventually(&format!("a denial that explains: {tried}"), || {
            let denials = denials(&events(product, &sandbox), seen);
            (!denials.is_empty()).then_some(denials)
        });
        for denial in denials {
            seen = seen.max(denial.seq);
            denied.insert(denial.host);
            policy.apply(&denial.nearest);
        }
        assert_ne!(before, policy.text(), "the advice changes nothing: {tried}");
        sandbox.set_policy(&policy.text()).succeeded();
    }
    panic!("it does not work yet, with\n{}", policy.text());
}

/// Every host of the policy was denied before, and nothing else was reached.
fn assert_only(
    policy: &Edited,
    denied: &BTreeSet<String>,
    product: &Product,
    sandbox: &Sandbox<'_>,
) {
    assert_eq!(&policy.hosts(), denied);
    let reached: BTreeSet<String> = events(product, sandbox)
        .iter()
        .filter(|event| event["event"]["outcome"] == "allowed")
        .map(host)
        .collect();
    assert!(!reached.is_empty() && reached.is_subset(denied), "{reached:?}, {denied:?}");
    // Not one of the tools goes around the egress, and our own self-test is not told as one.
    assert_eq!(sandbox.log().bypasses(), []);
}

struct Denial {
    seq: u64,
    host: String,
    nearest: String,
}

fn denials(events: &[Value], after: u64) -> Vec<Denial> {
    let new = events.iter().filter(|event| {
        event["event"]["outcome"] == "denied"
            && event["seq"].as_u64().is_some_and(|seq| seq > after)
    });
    let denial = |event: &Value| Denial {
        seq: event["seq"].as_u64().unwrap_or_default(),
        host: host(event),
        nearest: event["event"]["reason"]["nearest"]
            .as_str()
            .unwrap_or_else(|| panic!("no advice: {event}"))
            .to_owned(),
    };
    new.map(denial).collect()
}

fn host(event: &Value) -> String {
    event["event"]["destination"]["name"].as_str().unwrap_or_default().to_owned()
}

/// The connections that `openshell logs` prints.
fn events(product: &Product, sandbox: &Sandbox<'_>) -> Vec<Value> {
    let said = product.run(&["logs", sandbox.name(), "-n", "1000", "-o", "json"]).succeeded();
    let event = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    said.stdout.lines().map(event).filter(|event| event["event"]["kind"] == "network").collect()
}
