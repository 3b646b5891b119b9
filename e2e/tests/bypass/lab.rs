//! What an attacker works with: the world, the product, and programs that run outside and inside.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use openshell_testkit::harness::{self, Case};
use openshell_testkit::http::Response;
use openshell_testkit::{Finished, Product, RunAs, Server, World, finish, world};
use serde_json::Value;

/// A program has this long, inside and outside.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event has to be in the log after this.
const AUDITED: Duration = Duration::from_secs(10);

/// What stands before each attempt.
const PRELUDE: &str = include_str!("attempts/prelude.py");

/// The one name that the usual policy lets through.
pub const ALLOWED: &str = "allowed.example.com";

/// Lets `/usr/bin/curl` reach [`ALLOWED`], and nobody anything else.
pub const POLICY: &str = "\
version: 1
network_policies:
  web:
    endpoints:
      - host: allowed.example.com
        port: 80
    binaries:
      - path: /usr/bin/curl
";

/// The product of one user, in the world.
pub struct Lab<'w> {
    pub world: &'w World,
    pub product: Product,
    /// Answers at [`ALLOWED`].
    pub allowed: Server,
}

/// What an attempt came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Came {
    /// It did what it wanted; the text says what.
    Succeeded(String),
    /// Why it did not: an errno's name, or a word.
    Failed(String),
}

/// Runs the cases, or names them where they cannot run: one process has to be several users.
pub fn run(cases: &[Case]) -> ExitCode {
    if is_machine_root() || env::args().any(|argument| argument == "--list") {
        return harness::main(cases);
    }
    for case in cases {
        println!("skipped {}: needs root", case.name);
    }
    ExitCode::SUCCESS
}

/// Runs `test` in a world of its own, with the product of root's and with an ordinary user's.
pub fn as_each_user(test: impl Fn(&Lab<'_>)) {
    world(|world| {
        let allowed = world.serve_http(ALLOWED, |_| Response::text("hello"));
        for run_as in [RunAs::Tester, RunAs::Ordinary] {
            test(&Lab { world, product: Product::new(run_as), allowed: allowed.clone() });
        }
    });
}

/// Whether this is root of the machine, and not only of a user namespace.
fn is_machine_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().eq(["0", "0", "4294967295"])
        && fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t0\t0\t0\n")
}

impl Lab<'_> {
    /// A folder that belongs to the product's user, and that a sandbox can mount.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.product.home().join(name);
        self.product.write(&folder.join("inner"), "from the host\n");
        folder
    }

    /// Creates a detached sandbox under [`POLICY`] whose main command waits.
    pub fn sandbox(&self, name: &str, options: &[&str]) {
        self.sandbox_under(name, POLICY, options);
    }

    /// The same under another policy.
    pub fn sandbox_under(&self, name: &str, policy: &str, options: &[&str]) {
        let file = self.product.home().join(format!("{name}.yaml"));
        self.product.write(&file, policy);
        let mut words = vec!["sandbox", "create", "--name", name, "--detach", "--policy"];
        words.push(file.to_str().unwrap());
        words.extend(options);
        // It outlives a signal to everybody.
        words.extend(["--", "sh", "-c", "trap '' USR1; exec sleep 1000"]);
        self.product.run(&words).succeeded();
    }

    /// Runs a command in a sandbox.
    pub fn exec(&self, sandbox: &str, command: &[&str]) -> Finished {
        let words = [&["sandbox", "exec", "-n", sandbox, "--no-tty", "--"], command].concat();
        self.product.run_for(&words, PATIENCE)
    }

    /// Tries a script outside, where the product's user is what it is.
    pub fn outside(&self, script: &str, arguments: &[&str]) -> Came {
        let words = python(script, arguments);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (program, arguments) = words.split_first().unwrap();
        Came::of(&finish(&mut self.product.program(program, arguments), PATIENCE))
    }

    /// Tries a script in a sandbox.
    pub fn inside(&self, sandbox: &str, script: &str, arguments: &[&str]) -> Came {
        let words = python(script, arguments);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Came::of(&self.exec(sandbox, &words))
    }

    /// The records of a sandbox's log.
    pub fn audit(&self, sandbox: &str) -> Vec<Value> {
        let said = self.product.run(&["logs", sandbox, "-n", "10000", "-o", "json"]).succeeded();
        said.stdout.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    /// The event that `is_it` is about, as soon as it is in the log.
    pub fn audited(&self, sandbox: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let audit = self.audit(sandbox);
            let mut events = audit.iter().map(|record| &record["event"]);
            if let Some(event) = events.find(|event| is_it(event)) {
                return event.clone();
            }
            assert!(started.elapsed() < AUDITED, "no event of it in {audit:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A denial of a connection to `host` and `port`, which has to be in the log.
    pub fn denied(&self, sandbox: &str, host: &str, port: u16) -> Value {
        self.audited(sandbox, |event| {
            let to = &event["destination"];
            event["kind"] == "network"
                && event["outcome"] == "denied"
                && (to["address"] == host || to["name"] == host)
                && to["port"] == port
        })
    }

    /// Packets that arrived for `address`, once no more of them do.
    pub fn packets(&self, address: &str) -> u64 {
        let address = address.parse().unwrap();
        let mut last = self.world.packets_to(address);
        loop {
            thread::sleep(Duration::from_millis(150));
            let now = self.world.packets_to(address);
            if now == last {
                return now;
            }
            last = now;
        }
    }
}

impl Came {
    /// Reads the last line of what a program said.
    pub fn of(finished: &Finished) -> Self {
        let line = finished.stdout.lines().last().unwrap_or_default();
        match line.split_once(' ') {
            Some(("succeeded", what)) => Self::Succeeded(what.to_owned()),
            Some(("failed", why)) => Self::Failed(why.to_owned()),
            _ => panic!("it says nothing of use: {finished}"),
        }
    }

    /// Shows that the attempt is one.
    #[track_caller]
    pub fn must_succeed(self) -> String {
        match self {
            Self::Succeeded(what) => what,
            Self::Failed(why) => panic!("outside of the jail it fails, too: {why}"),
        }
    }

    /// Shows that it is stopped, by one of `reasons`.
    #[track_caller]
    pub fn must_fail(self, reasons: &[&str]) {
        match self {
            Self::Failed(why) if reasons.contains(&why.as_str()) => {}
            other => panic!("expected a failure with one of {reasons:?}, not {other:?}"),
        }
    }
}

/// Lets every user of the machine run, read or write `path`, as `mode` says.
pub fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn python(script: &str, arguments: &[&str]) -> Vec<String> {
    let program = format!("{PRELUDE}\n\n{script}");
    ["/usr/bin/python3", "-I", "-c", &program]
        .into_iter()
        .chain(arguments.iter().copied())
        .map(str::to_owned)
        .collect()
}
