//! Connections that are open when the policy changes.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, World, world};

const BOTH: &str = "\
version: 1
network_policies:
  held:
    endpoints:
      - { host: held.example.com, port: 7 }
    binaries:
      - { path: /usr/bin/python3 }
  kept:
    endpoints:
      - { host: kept.example.com, port: 7 }
    binaries:
      - { path: /usr/bin/python3 }
";
const ONLY_KEPT: &str = "\
version: 1
network_policies:
  renamed:
    endpoints:
      - { host: '*.example.com', port: 8 }
      - { host: kept.example.com, port: 7 }
    binaries:
      - { path: /usr/bin/python3 }
";

/// Opens both connections by both ways and talks over them. Then, for each line of its input,
/// says of each connection whether it still answers.
const HOLDER: &str = r#"
import socket, sys
def transparent(name):
    return socket.create_connection((name, 7), 10)
def tunnel(name):
    stream = socket.create_connection(("198.18.0.1", 3128), 10)
    stream.sendall(f"CONNECT {name}:7 HTTP/1.1\r\nHost: {name}:7\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += stream.recv(1)
    assert b" 200 " in head, head
    return stream
def answers(stream):
    try:
        stream.settimeout(5)
        stream.sendall(b"ping")
        return stream.recv(4) == b"ping"
    except ConnectionError:
        return False
names = ["held.example.com", "kept.example.com"]
streams = [open(name) for name in names for open in (transparent, tunnel)]
print(*[answers(stream) for stream in streams], flush=True)
for line in sys.stdin:
    print(*[answers(stream) for stream in streams], flush=True)
"#;

/// A program of the sandbox that holds connections.
struct Holder {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Holder {
    fn start(w: &World, sandbox: &Sandbox) -> Self {
        for name in ["held.example.com", "kept.example.com"] {
            let address = w.fresh_v4();
            w.dns().set(name, &[address]);
            w.serve_echo(SocketAddr::new(address, 7));
        }
        let mut command = sandbox.exec_command(&[], &["/usr/bin/python3", "-c", HOLDER]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openshell runs");
        let lines = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, lines }
    }

    /// What it says next: of held by both ways, then of kept by both ways, whether it answers.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it writes text");
        if line.is_empty() {
            let mut errors = String::new();
            let stderr = self.child.stderr.as_mut().expect("it was piped");
            stderr.read_to_string(&mut errors).expect("it writes text");
            panic!("it ended: {errors}");
        }
        line
    }

    fn ask(&mut self) -> String {
        use std::io::Write;
        let stdin = self.child.stdin.as_mut().expect("it was piped");
        stdin.write_all(b"\n").expect("it reads");
        self.says()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

pub fn e10_a_connection_that_the_new_policy_denies_is_closed_and_another_survives(run_as: RunAs) {
    world(|w| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "live", BOTH);
        let mut holder = Holder::start(w, &sandbox);
        assert_eq!(holder.says(), "True True True True\n");
        sandbox.set_policy(ONLY_KEPT).succeeded();
        assert_eq!(holder.ask(), "False False True True\n");

        let log = sandbox.log();
        let revoked = eventually("both ends are audited", || {
            let mut all = log.connections();
            all.retain(|network| network.outcome == Outcome::Revoked);
            Some(all).filter(|all| all.len() >= 2)
        });
        assert_eq!(revoked.len(), 2, "{revoked:#?}");
        for network in revoked {
            assert_eq!(network.destination.name.as_deref(), Some("held.example.com"));
            assert_eq!(network.generation.number(), 2, "the policy that ended it");
            let predicate = network.reason.map(|reason| reason.predicate);
            assert_eq!(predicate.as_deref(), Some("port"), "the wildcard comes closest");
        }
        assert!(sandbox.logs().contains("NET:CLOSE [MED] REVOKED"));
    });
}

pub fn a_policy_that_changes_nothing_closes_nothing(run_as: RunAs) {
    world(|w| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "steady", BOTH);
        let mut holder = Holder::start(w, &sandbox);
        assert_eq!(holder.says(), "True True True True\n");
        for change in 0..5 {
            sandbox.set_policy(&format!("{BOTH}# {change}\n")).succeeded();
            assert_eq!(holder.ask(), "True True True True\n");
        }
        assert_eq!(sandbox.log().count(Outcome::Revoked), 0);
    });
}
