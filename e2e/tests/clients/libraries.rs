//! Python's libraries for what is more than plain HTTP, as clients and as servers.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use openshell_audit::{Http, Outcome};
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Finished, Flaw, Product, RunAs, World, world};
use tempfile::TempDir;

use crate::judged::{all_on_record, on_record, start};

/// Where `cargo xtask test --install` puts them.
const FOLDER: &str = "/opt/openshell-tests/python";

/// What the policies of this file end with.
const BY_PYTHON: &str = "    binaries: [{ path: /usr/bin/python3 }]\n";

const GRPC: &str = r#"
version: 1
network_policies:
  greeter:
    endpoints:
      - host: grpc.example.com
        port: 443
        protocol: grpc
        rules:
          - allow: { service: test.Greeter, method: Say }
          - allow: { service: test.Greeter, method: Talk }
          - allow: { service: test.Greeter, method: Fail }
"#;

const WEBSOCKET: &str = r#"
version: 1
network_policies:
  sockets:
    endpoints:
      - { host: ws.example.com, port: 443, protocol: websocket, path: /talk, access: read-write }
      - host: ws.example.com
        port: 443
        protocol: websocket
        path: /graphql
        rules:
          - allow: { method: GET }
          - allow: { method: WEBSOCKET_TEXT, operation_type: query }
"#;

const MCP: &str = r#"
version: 1
network_policies:
  files:
    endpoints:
      - host: mcp.example.com
        port: 443
        protocol: mcp
        path: /mcp
        mcp: { allow_all_known_mcp_methods: true }
        rules:
          - allow: { method: tools/call, tool: read_file }
"#;

/// Why they cannot be used here.
pub fn missing() -> Option<String> {
    let there = fs::read_to_string(Path::new(FOLDER).join("list.txt")).unwrap_or_default();
    let is_wanted = there == include_str!("../../python.txt");
    (!is_wanted).then(|| format!("{FOLDER} has not what e2e/python.txt names"))
}

/// A server in Python at port 443 of an address of its own.
struct Server {
    files: TempDir,
    child: Child,
}

impl Server {
    /// Starts a program with its address, its certificate and its key.
    fn start(
        w: &World,
        name: &str,
        program: &str,
        address: impl Fn(IpAddr) -> Vec<String>,
    ) -> Self {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let (certificate, key) = w.identity(name, Flaw::None);
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            fs::write(&path, text).expect("our own folder is writable");
            path
        };
        let at = w.fresh_v4();
        w.add_address(at);
        w.dns().set(name, &[at]);
        let said = |name| File::create(files.path().join(name)).expect("our own folder");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(file("server.py", program))
            .args(address(at))
            .args([file("certificate", &certificate), file("key", &key)])
            .env("PYTHONPATH", FOLDER)
            .stdin(Stdio::null())
            .stdout(said("out"))
            .stderr(said("errors"));
        let server = Self { child: w.spawn(&mut command), files };
        eventually("the server listens", || TcpStream::connect(SocketAddr::new(at, 443)).ok());
        server
    }

    /// What it printed.
    fn said(&self) -> String {
        fs::read_to_string(self.files.path().join("out")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = self.files.path().join("errors");
            eprintln!("{}\n{}", self.said(), fs::read_to_string(errors).unwrap_or_default());
        }
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

/// Its address as two arguments.
fn apart(at: IpAddr) -> Vec<String> {
    vec![at.to_string(), "443".to_owned()]
}

/// What a program prints, by way of the proxy and without.
fn both_ways(sandbox: &Sandbox<'_>, program: &str) -> [Finished; 2] {
    let script = format!("PYTHONPATH={FOLDER} /usr/bin/python3 - <<'END'\n{program}END");
    [sandbox.sh(&script).succeeded(), sandbox.direct(&script).succeeded()]
}

/// The operations of the judged requests with this outcome, in order.
fn operations(sandbox: &Sandbox<'_>, outcome: Outcome) -> Vec<String> {
    let of = |one: &Http| one.outcome == outcome;
    let all = sandbox.log().requests().into_iter().filter(of);
    all.map(|one| one.operations.join(" ")).collect()
}

pub fn grpc_calls_what_it_may(run_as: RunAs) {
    world(|w| {
        let program = include_str!("programs/grpc_server.py");
        let server = Server::start(w, "grpc.example.com", program, |at| vec![format!("{at}:443")]);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &format!("{GRPC}{BY_PYTHON}"));
        let both = both_ways(&sandbox, include_str!("programs/grpc_client.py"));
        let what = "grpc.example.com/test.Greeter/Erase";
        let reason = on_record(&sandbox, Outcome::Denied, "POST", what).reason;
        let reason = reason.expect("a denial has one").detail;
        for said in both {
            let lines: Vec<&str> = said.stdout.lines().collect();
            let [say, one, two, end, failed, denied, again] = lines.as_slice() else {
                panic!("seven lines: {said}")
            };
            assert_eq!((*say, *again), ("hello you OK last", "hello again"));
            assert_eq!((*one, *two, *end), ("heard one", "heard two", "[] OK"));
            // The server's own words, and ours.
            assert_eq!((*failed, *denied), ("5 there is none", format!("7 {reason}").as_str()));
        }
        let each = "Say you\nTalk\nFail\nSay again\n";
        assert_eq!(server.said(), each.repeat(2));
        let allowed = ["Say", "Talk", "Fail"].map(|one| what.replace("Erase", one));
        let allowed = allowed.each_ref().map(|what| ("POST", what.as_str()));
        all_on_record(&sandbox, Outcome::Allowed, &allowed);
    });
}

pub fn websockets_says_what_it_may(run_as: RunAs) {
    world(|w| {
        let program = include_str!("programs/websocket_server.py");
        let server = Server::start(w, "ws.example.com", program, apart);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &format!("{WEBSOCKET}{BY_PYTHON}"));
        for said in both_ways(&sandbox, include_str!("programs/websocket_client.py")) {
            let lines: Vec<&str> = said.stdout.lines().collect();
            let [before @ .., denied] = lines.as_slice() else { panic!("lines: {said}") };
            assert_eq!(before, ["compressed", "in two parts", "True", "query { me }"], "{said}");
            assert!(denied.starts_with("1008 denied by policy"), "{said}");
        }
        let told = server.said();
        assert_eq!(told.matches("query { me }").count(), 2, "{told}");
        assert!(!told.contains("drop"), "{told}");
        on_record(&sandbox, Outcome::Allowed, "WEBSOCKET_TEXT", "ws.example.com/talk");
        let denied = ("WEBSOCKET_TEXT", "ws.example.com/graphql");
        all_on_record(&sandbox, Outcome::Denied, &[denied]);
        assert_eq!(operations(&sandbox, Outcome::Denied), ["mutation drop"; 2]);
    });
}

pub fn mcp_calls_the_tools_that_it_may(run_as: RunAs) {
    world(|w| {
        let program = include_str!("programs/mcp_server.py");
        let server = Server::start(w, "mcp.example.com", program, apart);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &format!("{MCP}{BY_PYTHON}"));
        for said in both_ways(&sandbox, include_str!("programs/mcp_client.py")) {
            let lines: Vec<&str> = said.stdout.lines().collect();
            assert_eq!(lines.len(), 8, "{said}");
            for (mode, lines) in ["auto", "legacy"].iter().zip(lines.chunks(4)) {
                let (first, second) =
                    (format!("content of {mode} a"), format!("content of {mode} b"));
                let wanted = ["['delete_file', 'read_file']", &first, &second];
                assert_eq!([lines[0], lines[1], lines[3]], wanted, "{said}");
                // How the SDK words it is its own affair.
                assert!(lines[2].starts_with("refused: "), "{said}");
            }
        }
        let each = ["auto a", "auto b", "legacy a", "legacy b"];
        let each = each.map(|name| format!("read_file {name}\n")).concat();
        assert_eq!(server.said(), each.repeat(2));
        all_on_record(&sandbox, Outcome::Denied, &[("POST", "mcp.example.com/mcp")]);
        assert_eq!(operations(&sandbox, Outcome::Denied), ["tools/call delete_file"; 4]);
        let allowed = operations(&sandbox, Outcome::Allowed);
        for wanted in ["server/discover", "initialize", "tools/list", "tools/call read_file"] {
            assert!(allowed.iter().any(|one| one == wanted), "{wanted}: {allowed:?}");
        }
    });
}
