//! Datagrams, with the names that a rule speaks UDP with.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;

use openshell_audit::{Network, Outcome, Way};
use openshell_e2e::{Log, Sandbox, eventually};
use openshell_testkit::{Product, RunAs, Server, World, world};

const POLICY: &str = "\
version: 1
network_policies:
  time:
    endpoints:
      - { host: time.example.com, port: 123, protocol: udp }
      - { host: '*.private.example.com', port: 123, protocol: udp }
    binaries:
      - { path: /usr/bin/python3 }
";

/// One datagram and its answer, of one family, over a socket that is connected or not.
const PYTHON: &str = r#"
import socket, sys
name, port, family, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
to = socket.getaddrinfo(name, port, socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)[0]
client = socket.socket(*to[:3])
client.settimeout(10)
try:
    if how == "connected":
        client.connect(to[4])
        client.send(b"what time is it")
        print(client.recv(100).decode())
    else:
        client.sendto(b"what time is it", to[4])
        client.settimeout(0.5)
        print(client.recvfrom(100)[0].decode())
except OSError as error:
    print(type(error).__name__, error)
"#;

fn ask(sandbox: &Sandbox, name: &str, port: u16, how: &str) -> String {
    sandbox.python(PYTHON, &[name, &port.to_string(), "4", how]).stdout
}

/// The last of `all` events about flows, once there are so many.
#[track_caller]
fn flow(log: &Log, all: usize) -> Network {
    let flows = eventually("the flows are audited", || {
        let flows: Vec<_> =
            log.connections().into_iter().filter(|event| event.way == Way::Datagram).collect();
        Some(flows).filter(|flows| flows.len() >= all)
    });
    assert_eq!(flows.len(), all, "{flows:#?}");
    flows[all - 1].clone()
}

#[track_caller]
fn is_denied(event: &Network, predicate: &str) {
    let reason = event.reason.as_ref().map(|reason| reason.predicate.as_str());
    assert_eq!((event.outcome, reason), (Outcome::Denied, Some(predicate)), "{event:?}");
}

fn serve(w: &World, name: &str) -> Server {
    let address = w.fresh_v4();
    w.dns().set(name, &[address]);
    w.serve_udp(SocketAddr::new(address, 123))
}

pub fn a_rule_lets_one_program_speak_udp_with_one_name(run_as: RunAs) {
    world(|w| {
        let server = serve(w, "time.example.com");
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "udp", POLICY);
        let log = sandbox.log();
        for (family, flows) in [("4", 1), ("6", 2)] {
            let said = sandbox.python(PYTHON, &["time.example.com", "123", family, "connected"]);
            assert_eq!(said.stdout, "what time is it\n", "{said}");
            let event = flow(&log, flows);
            assert_eq!((event.outcome, event.rule.as_deref()), (Outcome::Allowed, Some("time")));
            assert_eq!(event.destination.name.as_deref(), Some("time.example.com"));
            assert_eq!(event.destination.address, Some(server.address().ip()));
            let caller = event.caller.expect("a caller").binary;
            assert!(caller.starts_with("/usr/bin/python3"), "{caller}");
        }
        assert_eq!(server.counts().connections, 2);

        // Another port, and another protocol with the same name.
        let refused = ask(&sandbox, "time.example.com", 124, "connected");
        assert!(refused.contains("Error"), "{refused}");
        is_denied(&flow(&log, 3), "port");
        let tcp = "import socket; socket.create_connection(('time.example.com', 123), 10).recv(1)";
        assert!(sandbox.python(tcp, &[]).stderr.contains("Error"));

        // Another program: what it sends is sent and closed at once, and nobody hears it.
        sandbox.direct("cp /usr/bin/python3 /tmp/copy");
        sandbox.direct("bash -c 'echo x > /dev/udp/time.example.com/123'");
        is_denied(&flow(&log, 4), "binary");
        let copy = ["/tmp/copy", "-c", PYTHON, "time.example.com", "123", "4", "connected"];
        let refused = sandbox.exec(&copy).stdout;
        assert!(refused.starts_with("OSError") || refused.contains("Error"), "{refused}");
        is_denied(&flow(&log, 5), "binary");

        // Nobody can tell who sends over a socket that is not connected.
        let refused = ask(&sandbox, "time.example.com", 123, "unconnected");
        assert!(refused.contains("timed out"), "{refused}");
        is_denied(&flow(&log, 6), "unidentified");
        assert_eq!(server.counts().connections, 2);
        assert!(sandbox.logs().contains("connect(2)"), "{}", sandbox.logs());
    });
}

pub fn a_program_cannot_send_from_anothers_address(run_as: RunAs) {
    world(|w| {
        let server = serve(w, "time.example.com");
        let product = Product::new(run_as);
        // Only Perl may: Python binds beside its socket and claims to be it. That the lie is refused is
        // told to Perl's socket, as whose it came.
        let policy = POLICY.replace("/usr/bin/python3", "/usr/bin/perl");
        let sandbox = Sandbox::start(&product, "spoof", &policy);
        let script = r#"
import socket, struct, subprocess
perl = "use IO::Socket::INET; $| = 1; " \
    "my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => 'time.example.com:123') or die; " \
    "for my $w ('a', 'b') { my $back; 1 until defined $s->send($w); " \
    "1 until defined $s->recv($back, 9); print $s->sockport, $back; <STDIN> }"
held = subprocess.Popen(["/usr/bin/perl", "-e", perl], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
said = b""
while not said.endswith(b"a"):
    said += held.stdout.read(1)
to = (socket.gethostbyname("time.example.com"), 123)
own = socket.inet_aton("198.18.0.1")
liar = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
liar.bind(("10.9.9.9", int(said[:-1])))
for attempt in range(5):
    liar.sendmsg([b"secret"], [(socket.IPPROTO_IP, 8, struct.pack("i4s4s", 0, own, own))], 0, to)
print(held.communicate(b"\n\n")[0].decode()[-1])
"#;
        let said = sandbox.python(script, &[]);
        assert_eq!(said.stdout, "b\n", "{said}");
        assert_eq!(server.counts().received, 2, "what Perl said, and nothing else");
    });
}

pub fn a_flow_ends_with_its_rule_and_begins_with_it(run_as: RunAs) {
    world(|w| {
        let server = serve(w, "time.example.com");
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "live", POLICY);
        let log = sandbox.log();
        let script = "import socket, sys\n\
             to = socket.gethostbyname('time.example.com'), 123\n\
             client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             client.settimeout(10)\n\
             client.connect(to)\n\
             for word in sys.stdin:\n\
             \x20   try:\n\
             \x20       client.send(word.strip().encode())\n\
             \x20       print(client.recv(100).decode(), flush=True)\n\
             \x20   except ConnectionError as error:\n\
             \x20       print('refused', flush=True)\n\
             \x20   except OSError as error:\n\
             \x20       print('refused' if error.errno in (1, 13, 113) else error, flush=True)\n";
        let mut program = sandbox.exec_command(&[], &["/usr/bin/python3", "-c", script]);
        let mut program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, from) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        let mut from = BufReader::new(from).lines();
        let mut ask = |word: &str| {
            writeln!(to, "{word}").unwrap();
            from.next().unwrap().unwrap()
        };
        assert_eq!(ask("one"), "one");
        sandbox.set_policy("version: 1\n").succeeded();
        assert_eq!(ask("two"), "refused");
        assert_eq!(flow(&log, 2).outcome, Outcome::Revoked);
        sandbox.set_policy(POLICY).succeeded();
        assert_eq!(ask("three"), "three");
        assert_eq!(flow(&log, 3).outcome, Outcome::Allowed);
        assert_eq!(server.counts().connections, 2);
        drop(to);
        assert!(program.wait().unwrap().success());
    });
}

pub fn b03_addresses_are_checked_as_those_of_connections(run_as: RunAs) {
    world(|w| {
        let private = "10.0.0.8".parse().expect("an address");
        w.add_address(private);
        w.dns().set("a.private.example.com", &[private]);
        let server = w.serve_udp(SocketAddr::new(private, 123));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "guarded", POLICY);
        let refused = ask(&sandbox, "a.private.example.com", 123, "connected");
        assert!(refused.contains("Error"), "{refused}");
        assert_eq!(flow(&sandbox.log(), 1).outcome, Outcome::Denied);
        assert_eq!(server.counts().connections, 0);
    });
}
