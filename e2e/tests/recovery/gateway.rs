//! `kill -9` of the gateway.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use openshell_audit::{Event, Outcome};
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, World, world};

use crate::kill;

const POLICY: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/python3 }
";
const DENY: &str = "version: 1\nnetwork_policies: {}\n";

const CONNECTIONS: usize = 1000;
const KILLS: usize = 20;

/// Makes connections that are allowed and denied in turn, spread over about twelve seconds. Says
/// its number in the jail first, then a line for each connection, and at the end what it counted.
const CLIENT: &str = r#"
import os, socket, sys, time
total, seconds = int(sys.argv[1]), float(sys.argv[2])
address = socket.getaddrinfo("api.example.com", 80, socket.AF_INET)[0][4][0]
print("pid", os.getpid(), flush=True)
began, allowed, denied = time.monotonic(), 0, 0
for number in range(total):
    try:
        with socket.create_connection((address, 80 + number % 2), 10) as stream:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n")
            status = stream.recv(64).split(b" ")[1]
    except (OSError, IndexError) as error:
        status = repr(error).encode()
    allowed += status == b"200"
    denied += status == b"403"
    print("line", number, status.decode(), flush=True)
    time.sleep(max(0, began + seconds * number / total - time.monotonic()))
print("total", allowed, denied, "pid", os.getpid(), flush=True)
sys.exit(7)
"#;

/// A sandbox whose main command is the client, and the command line that is attached to it.
struct Attached {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Attached {
    fn start(product: &Product, name: &str, connections: usize, seconds: u32) -> Self {
        let policy = Sandbox::existing(product, name).write_policy(POLICY);
        let (connections, seconds) = (connections.to_string(), seconds.to_string());
        let create = ["sandbox", "create", "--name", name, "--policy", &policy, "--"];
        let client = ["/usr/bin/python3", "-c", CLIENT, &connections, &seconds];
        let mut child = product
            .command(&[&create[..], &client].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openshell runs");
        let lines = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it writes text");
        line.trim_end().to_owned()
    }

    /// The rest of the lines, and the exit code.
    fn end(mut self) -> (Vec<String>, Option<i32>) {
        let lines = self.lines.lines().map(|line| line.expect("it writes text")).collect();
        (lines, self.child.wait().expect("it can be waited for").code())
    }
}

pub fn a_gateway_that_is_killed_twenty_times_loses_no_connection_and_no_event(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let mut attached = Attached::start(&product, "killed", CONNECTIONS, 12);
        let pid = attached.line();
        assert!(pid.starts_with("pid "), "{pid}");
        let sandbox = Sandbox::existing(&product, "killed");
        let log = sandbox.log();

        let reading = thread::spawn(move || attached.end());
        let answers = kill_at_random(&product);
        let (lines, code) = reading.join().expect("it does not panic");
        assert_eq!(code, Some(7), "the attached terminal went on: {:?}", lines.last());

        // Every line arrived once and in order.
        assert_eq!(lines.len(), CONNECTIONS + 1);
        for (number, line) in lines.iter().take(CONNECTIONS).enumerate() {
            let status = if number % 2 == 0 { 200 } else { 403 };
            assert_eq!(line, &format!("line {number} {status}"));
        }
        let half = CONNECTIONS / 2;
        assert_eq!(
            lines[CONNECTIONS],
            format!("total {half} {half} {pid}"),
            "as the client counts"
        );
        assert_eq!(server.counts().connections, half as u64, "as the server counts");

        // One event each; the chain and its numbers are verified whenever the log is read.
        assert_eq!((log.count(Outcome::Allowed), log.count(Outcome::Denied)), (half, half));
        assert_eq!(log.connections().len(), CONNECTIONS);
        let main: Vec<(String, u32)> = log.records().into_iter().filter_map(main_event).collect();
        let number: u32 = pid[4..].parse().expect("a number");
        assert_eq!(main, [("started".to_owned(), number), ("exited".to_owned(), number)]);

        // The gateway has them all, and each once.
        let shown = product.run(&["logs", "killed", "-n", "10000", "-o", "json"]).succeeded();
        let seqs: Vec<u64> = shown.stdout.lines().map(seq).collect();
        assert_eq!(seqs, (1..=log.records().len() as u64).collect::<Vec<_>>());

        let worst = answers.iter().max().expect("there were some");
        println!("{KILLS} kills; the next command took {worst:?} at most");
        assert!(*worst <= Duration::from_secs(2), "{answers:?}");
        assert_eq!(sandbox.phase(), "Completed");
        assert_eq!(sandbox.detail()["exit_code"], 7);
    });
}

fn main_event(record: openshell_audit::Record) -> Option<(String, u32)> {
    match record.event {
        Event::Process(process) if process.role == "main" => Some((process.activity, process.pid)),
        _ => None,
    }
}

fn seq(line: &str) -> u64 {
    let record: serde_json::Value = serde_json::from_str(line).expect(line);
    record["seq"].as_u64().expect(line)
}

/// Kills gateways at random moments; how long the command after each kill took.
fn kill_at_random(product: &Product) -> Vec<Duration> {
    let mut answers = Vec::new();
    for _ in 0..KILLS {
        let mut random = [0u8; 1];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .expect("there are random numbers");
        thread::sleep(Duration::from_millis(50 + u64::from(random[0])));
        kill::kill(kill::gateway(product).expect("a command has started one"));
        thread::sleep(Duration::from_millis(u64::from(random[0] % 64)));
        let started = Instant::now();
        let said = product.run(&["sandbox", "get", "killed", "-o", "json"]).succeeded();
        answers.push(started.elapsed());
        assert!(said.stdout.contains("\"phase\": \"Ready\""), "{said}");
    }
    answers
}

pub fn a_policy_that_was_set_is_in_force_after_a_gateway_was_killed(run_as: RunAs) {
    world(|w| {
        let server = serve(w);
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "set", POLICY);
        let get = "import urllib.request; print(urllib.request.urlopen('http://api.example.com/').status)";
        sandbox.python(get, &[]).succeeded();
        sandbox.set_policy(DENY).succeeded();
        kill::kill(kill::gateway(&product).expect("one runs"));
        // Nothing widens while it is away, nor when it is back.
        sandbox.python(get, &[]).exited(1);
        assert_eq!(server.counts().connections, 1);
        let said = product.run(&["policy", "get", "set", "-o", "json"]).succeeded();
        let policy: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        assert_eq!((&policy["revision"], &policy["status"]), (&2.into(), &"Enforced".into()));
        sandbox.set_policy(POLICY).succeeded();
        sandbox.python(get, &[]).succeeded();
        assert_eq!(sandbox.log().connections().last().map(|n| n.generation.number()), Some(3));
    });
}

fn serve(w: &World) -> openshell_testkit::Server {
    w.serve_http("api.example.com", |_| Response::text("hello"))
}

pub fn a_stopped_gateway_leaves_its_sandboxes_running(run_as: RunAs) {
    world(|w| {
        let server = serve(w);
        let product = Product::new(run_as);
        let mut attached = Attached::start(&product, "stopped", 100, 3);
        assert!(attached.line().starts_with("pid "));
        let said = product.run(&["gateway", "stop"]).succeeded();
        assert!(said.stdout.contains("sandboxes go on"), "{said}");
        let status = product.run(&["status"]).exited(4);
        assert!(status.stdout.contains("Unreachable"), "{status}");
        thread::sleep(Duration::from_secs(1));
        product.run(&["sandbox", "list"]).succeeded();
        let (lines, code) = attached.end();
        assert_eq!((lines.len(), code), (101, Some(7)));
        assert_eq!(server.counts().connections, 50);
    });
}

pub fn a_sandbox_that_ended_meanwhile_is_completed(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "while [ ! -e /sandbox/go ]; do sleep 0.05; done; echo last words; exit 9";
        let sandbox = Sandbox::start_with(&product, "ended", "version: 1\n", &["sh", "-c", script]);
        let go = sandbox.folder().join("home/go");
        kill::kill(kill::gateway(&product).expect("one runs"));
        std::fs::write(&go, "").expect("the folder is this test's to write");
        eventually("the command has ended", || kill::with_word(script).is_empty().then_some(()));
        eventually("the gateway has heard", || (sandbox.phase() == "Completed").then_some(()));
        assert_eq!(sandbox.detail()["exit_code"], 9);
        let said = product.run(&["sandbox", "connect", "ended"]).exited(9);
        assert_eq!(said.stdout, "last words\n");
        eventually("its supervisor ends", || kill::supervisors(&product).is_empty().then_some(()));
    });
}
