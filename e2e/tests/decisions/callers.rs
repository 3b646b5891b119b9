//! Who asks, and by which way.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use openshell_audit::{Network, Outcome, Way};
use openshell_e2e::{Log, Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};

const POLICY: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

/// One request by one way; prints the status, or what the library said.
const PYTHON: &str = r#"
import http.client, sys
way, proxy, path = sys.argv[1], ("198.18.0.1", 3128), "/"
if way == "connect":
    connection = http.client.HTTPConnection(*proxy, timeout=10)
    connection.set_tunnel("api.example.com", 80)
elif way == "forward":
    connection, path = http.client.HTTPConnection(*proxy, timeout=10), "http://api.example.com/"
else:
    connection = http.client.HTTPConnection("api.example.com", 80, timeout=10)
try:
    connection.request("GET", path)
    print(connection.getresponse().status)
except OSError as error:
    print(error)
"#;

const WAYS: [(&str, Way); 3] =
    [("connect", Way::Connect), ("forward", Way::Forward), ("transparent", Way::Transparent)];

/// One request by one way with a copy of curl; prints the status that it got.
fn curl(sandbox: &Sandbox, program: &str, way: &str) -> String {
    let flag = if way == "connect" { "--proxytunnel" } else { "" };
    let script = format!(
        "{program} -s {flag} -m 10 -o /dev/null \
         -w '%{{http_connect}} %{{http_code}}' http://api.example.com/"
    );
    let said = if way == "transparent" { sandbox.direct(&script) } else { sandbox.sh(&script) };
    said.stdout
}

/// The one event that an attempt has caused since there were `before` of them.
#[track_caller]
fn the_new_one(log: &Log, before: usize) -> Network {
    let connections = eventually("the attempt is audited", || {
        Some(log.connections()).filter(|all| all.len() > before)
    });
    assert_eq!(connections.len(), before + 1, "{:#?}", &connections[before..]);
    connections[before].clone()
}

pub fn a_rule_names_one_program_and_every_other_is_denied_by_every_way(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "callers", POLICY);
        let log = sandbox.log();
        sandbox.sh("cp /usr/bin/curl /sandbox/curl && cp /usr/bin/curl /tmp/curl").succeeded();

        let mut before = 0;
        for (way, as_way) in WAYS {
            for program in ["/usr/bin/python3", "/sandbox/curl", "/tmp/curl"] {
                let said = match program {
                    "/usr/bin/python3" => sandbox.python(PYTHON, &[way]).stdout,
                    copy => curl(&sandbox, copy, way),
                };
                assert!(said.contains("403"), "{program} by {way}: {said}");
                let event = the_new_one(&log, before);
                before += 1;
                assert_eq!((event.outcome, event.way), (Outcome::Denied, as_way), "{event:?}");
                assert_eq!(event.destination.name.as_deref(), Some("api.example.com"));
                assert_eq!(event.destination.port, 80);
                assert_eq!(event.rule.as_deref(), Some("api"), "the rule that came closest");
                let caller = event.caller.expect("it was identified");
                assert!(caller.binary.starts_with(program), "{caller:?}");
                assert!(caller.pid > 1 && !caller.argv.is_empty(), "{caller:?}");
                let reason = event.reason.expect("a denial has one");
                assert_eq!((reason.predicate.as_str(), reason.line), ("binary", Some(5)));
                let can_be_named = program == "/usr/bin/python3";
                assert_eq!(reason.nearest.is_some(), can_be_named, "{reason:?}");
            }
        }
        assert_eq!(w.packets_to(server.address().ip()), 0);
        assert_eq!(w.dns().questions(), [], "what is denied is not even resolved");

        for (way, as_way) in WAYS {
            let said = curl(&sandbox, "/usr/bin/curl", way);
            assert!(said.ends_with(" 200"), "{way}: {said}");
            let event = the_new_one(&log, before);
            before += 1;
            assert_eq!((event.outcome, event.way), (Outcome::Allowed, as_way), "{event:?}");
            assert_eq!(event.destination.address, Some(server.address().ip()), "what was dialled");
            assert_eq!((event.rule.as_deref(), event.reason), (Some("api"), None));
        }
        assert_eq!((server.counts().connections, server.requests().len()), (3, 3));

        let logs = sandbox.logs();
        let denied = "-> api.example.com:80 [rule:api reason:binary via:connect gen:1]";
        assert!(logs.contains(denied), "{logs}");
        let help = "add `- path: /usr/bin/python3.";
        assert!(logs.contains("help: ") && logs.contains(help), "{logs}");
        let allowed = "-> api.example.com:80 [rule:api via:transparent gen:1]";
        assert!(logs.contains(allowed), "{logs}");
    });
}

/// Passes connections on to the proxy, and has curl ask through itself.
const RELAY: &str = r#"
import os, socket, subprocess, threading
def move(source, to):
    try:
        while octets := source.recv(4096):
            to.sendall(octets)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One of them has reset it.
def relay(listener):
    while True:
        client, _ = listener.accept()
        proxy = socket.create_connection(("198.18.0.1", 3128))
        for ends in [(client, proxy), (proxy, client)]:
            threading.Thread(target=move, args=ends, daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=relay, args=[listener], daemon=True).start()
at = f"http://127.0.0.1:{listener.getsockname()[1]}"
code = ["-o", "/dev/null", "-w", "%{http_connect} %{http_code}\n"]
for flags in [[], ["--proxytunnel"]]:
    subprocess.run(["/usr/bin/curl", "-s", "-x", at, *flags, *code, "http://api.example.com/"])
# Without waiting for the threads.
os._exit(0)
"#;

/// C1, J12: whoever connects to us is judged, not whoever connects to them.
pub fn c01_j12_a_relay_is_judged_as_itself(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "relay", POLICY);
        assert_eq!(sandbox.python(RELAY, &[]).succeeded().stdout, "000 403\n403 000\n");
        assert_eq!(w.packets_to(server.address().ip()), 0);
        let other = POLICY.replace("/usr/bin/curl", "/usr/bin/python3");
        sandbox.set_policy(&other).succeeded();
        assert_eq!(sandbox.python(RELAY, &[]).succeeded().stdout, "000 200\n200 200\n");
        let events = eventually("every attempt is audited", || {
            Some(sandbox.log().connections()).filter(|all| all.len() >= 4)
        });
        let told: Vec<_> = events.iter().map(|event| event.outcome).collect();
        let (denied, allowed) = (Outcome::Denied, Outcome::Allowed);
        assert_eq!(told, [denied, denied, allowed, allowed]);
        for event in events {
            let caller = event.caller.expect("it was identified");
            assert!(caller.binary.starts_with("/usr/bin/python3"), "{caller:?}");
        }
    });
}

/// What listens for TCP on this machine, as the kernel lists it.
fn listeners() -> BTreeSet<String> {
    let lists =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string).map(Result::unwrap_or_default);
    let lines = lists.iter().flat_map(|list| list.lines());
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = fields.filter(|fields| fields.get(3) == Some(&"0A"));
    listening.map(|fields| fields[1].to_owned()).collect()
}

pub fn c11_nothing_listens_outside_of_the_jail(run_as: RunAs) {
    world(|w| {
        let _server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        // Both use the one gateway, which has a port of its own.
        let _first = Sandbox::start(&product, "first", POLICY);
        let before = listeners();
        let sandbox = Sandbox::start(&product, "second", POLICY);
        assert!(curl(&sandbox, "/usr/bin/curl", "forward").ends_with(" 200"));
        assert_eq!(listeners(), before);
        let proxy = "198.18.0.1:3128".parse().expect("a constant address");
        assert!(TcpStream::connect_timeout(&proxy, Duration::from_secs(1)).is_err());
    });
}

pub fn each_attempt_is_one_event_of_an_unbroken_chain(run_as: RunAs) {
    const ROUNDS: usize = 30;
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "events", POLICY);
        // curl makes one connection for each of its processes; half of them at once.
        let script = format!(
            "for i in $(seq {ROUNDS}); do \
               curl -so /dev/null http://api.example.com/ & \
               curl -so /dev/null http://api.example.com:81/; \
             done; wait"
        );
        sandbox.direct(&script).succeeded();
        let log = sandbox.log();
        eventually("every attempt is audited", || {
            (log.connections().len() >= 2 * ROUNDS).then_some(())
        });
        // The chain itself is verified whenever it is read.
        assert_eq!((log.count(Outcome::Allowed), log.count(Outcome::Denied)), (ROUNDS, ROUNDS));
        assert_eq!(log.connections().len(), 2 * ROUNDS);
        assert_eq!(server.counts().connections, ROUNDS as u64);
        let shown = sandbox.logs();
        assert_eq!(shown.matches(" ALLOWED ").count(), ROUNDS);
        assert_eq!(shown.matches("reason:port via:transparent").count(), ROUNDS);
    });
}

pub fn a_denial_says_why_where_the_protocol_can(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "reasons", POLICY);
        let forward = sandbox.sh("curl -s http://other.example.com/").succeeded().stdout;
        let by_address = "curl -s http://api.example.com/ \
                          --resolve api.example.com:80:93.184.216.34";
        let transparent = sandbox.direct(by_address).succeeded().stdout;
        let connect = sandbox.sh("curl -s -D /dev/stdout -p http://other.example.com/").stdout;
        assert!(connect.contains("403 Forbidden"), "{connect}");
        assert!(connect.contains("X-OpenShell-Policy: denied"), "{connect}");
        for (body, host) in [(forward, "other.example.com"), (transparent, "93.184.216.34")] {
            let problem: serde_json::Value = serde_json::from_str(&body).expect(&body);
            assert_eq!(problem["error"], "policy_denied");
            assert_eq!(problem["host"], host, "an address is never turned into a name");
            assert_eq!(problem["binary"], "/usr/bin/curl");
            let edit = problem["rule_missing"]["edit"].as_str().unwrap_or_default();
            assert!(edit.contains(host), "{body}");
        }
    });
}
