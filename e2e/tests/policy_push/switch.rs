//! Allow to deny and back, while connections are tried every millisecond.

use std::process::Stdio;

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};
use rustix::time::{ClockId, clock_gettime};

/// How often each way.
const CHANGES: usize = 20;
/// How often the new policy is probed at least, after the command has returned.
const PROBES: usize = 5;

const ALLOW: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/python3 }
";
const DENY: &str = "version: 1\nnetwork_policies: {}\n";

/// Tries a connection each millisecond, until there is a file `stop`. Writes when each began and
/// ended, in nanoseconds since the machine started, and the status of the answer.
const PROBER: &str = r#"
import os, socket, time
address = socket.getaddrinfo("api.example.com", 80, socket.AF_INET)[0][4]
request = b"GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"
with open("/sandbox/probes", "w", buffering=1) as probes:
    while not os.path.exists("/sandbox/stop"):
        began = time.monotonic_ns()
        status = "reset"
        try:
            with socket.create_connection(address, 10) as stream:
                stream.sendall(request)
                status = stream.recv(64).split(b" ")[1].decode()
        except (OSError, IndexError):
            pass
        ended = time.monotonic_ns()
        probes.write(f"{began} {ended} {status}\n")
        time.sleep(max(0, 0.001 - (ended - began) / 1e9))
"#;

struct Probe {
    began: i128,
    ended: i128,
    allowed: bool,
}

/// One change: when the command was started, when it had returned, and what holds since then.
struct Change {
    started: i128,
    returned: i128,
    allows: bool,
}

pub fn no_connection_is_decided_by_an_old_policy_once_the_command_returned(run_as: RunAs) {
    world(|w| {
        w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "switch", ALLOW);
        let mut prober = sandbox.exec_command(&[], &["/usr/bin/python3", "-c", PROBER]);
        let mut prober = prober.stdout(Stdio::null()).spawn().expect("openshell runs");
        eventually("the first probe is written", || {
            sandbox.sh("test -e /sandbox/probes").code.filter(|code| *code == 0)
        });

        let probed = || {
            let lines = sandbox.sh("wc -l < /sandbox/probes").succeeded().stdout;
            lines.trim().parse::<usize>().expect("wc counts")
        };
        let mut changes = Vec::new();
        for _ in 0..CHANGES {
            for (policy, allows) in [(DENY, false), (ALLOW, true)] {
                let started = now();
                let said = sandbox.set_policy(policy).succeeded();
                let returned = now();
                assert!(said.stdout.contains("is enforced"), "{said}");
                changes.push(Change { started, returned, allows });
                let begun = probed();
                // One of them may have begun before.
                let is_probed = || (probed() > begun + PROBES).then_some(());
                eventually("the policy is probed", is_probed);
            }
        }
        sandbox.sh("touch /sandbox/stop").succeeded();
        assert!(prober.wait().expect("it can be waited for").success());
        judge(&changes, &probes(&sandbox.sh("cat /sandbox/probes").succeeded().stdout));
    });
}

fn judge(changes: &[Change], probes: &[Probe]) {
    let mut delays: Vec<i128> = Vec::new();
    let mut commands: Vec<i128> = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let end = changes.get(at + 1).map_or(i128::MAX, |next| next.started);
        let after: Vec<&Probe> =
            probes.iter().filter(|p| p.began >= change.returned && p.ended < end).collect();
        assert!(after.len() >= PROBES, "change {at} was probed {} times", after.len());
        let old = after.iter().filter(|probe| probe.allowed != change.allows).count();
        assert_eq!(old, 0, "decisions of the policy before, after change {at} had returned");
        let first = probes.iter().find(|p| p.ended > change.started && p.allowed == change.allows);
        delays.push(first.expect("it was probed").ended - change.started);
        commands.push(change.returned - change.started);
    }
    println!("{} changes, {} probes", changes.len(), probes.len());
    for (what, mut times) in [("first new decision", delays), ("policy set --wait", commands)] {
        times.sort_unstable();
        let ms = |nanos: &i128| *nanos / 10_000;
        let [median, worst] = [&times[times.len() / 2], &times[times.len() - 1]].map(ms);
        println!("{what}: median {} ms, worst {} ms", hundredths(median), hundredths(worst));
    }
}

fn hundredths(value: i128) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn probes(text: &str) -> Vec<Probe> {
    let probe = |line: &str| {
        let mut words = line.split(' ');
        let mut time = || words.next()?.parse().ok();
        let (began, ended) = (time()?, time()?);
        Some(Probe { began, ended, allowed: words.next()? == "200" })
    };
    text.lines().map(|line| probe(line).unwrap_or_else(|| panic!("not a probe: {line}"))).collect()
}

/// Nanoseconds of the clock that Python calls monotonic.
fn now() -> i128 {
    let time = clock_gettime(ClockId::Monotonic);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
