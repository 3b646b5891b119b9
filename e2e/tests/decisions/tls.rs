//! Under TLS the name in the hello is the name that was allowed (D1, D2).

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};

const POLICY: &str = "\
version: 1
network_policies:
  secure:
    endpoints:
      - { host: secure.example.com, port: 443 }
    binaries:
      - { path: /usr/bin/python3 }
      - { path: /usr/bin/curl }
";

/// A TLS handshake by one way, with the given name in its hello (`-` for none).
const HANDSHAKE: &str = r#"
import socket, ssl, sys
way, name = sys.argv[1], sys.argv[2]
if way == "connect":
    stream = socket.create_connection(("198.18.0.1", 3128), 10)
    stream.sendall(b"CONNECT secure.example.com:443 HTTP/1.1\r\nHost: secure.example.com:443\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(4096)
    print(head.split(b"\r\n")[0].decode())
else:
    stream = socket.create_connection(("secure.example.com", 443), 10)
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
try:
    context.wrap_socket(stream, server_hostname=None if name == "-" else name)
    print("handshake")
except OSError as error:
    print("refused:", error)
"#;

pub fn https_needs_the_name_that_was_allowed(run_as: RunAs) {
    world(|w| {
        let server = w.serve_https("secure.example.com", |_| Response::text("private"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "tls", POLICY);
        let log = sandbox.log();

        let wrong = [("other.example.com", "sni_mismatch"), ("-", "sni_missing")];
        let mut attempts = 0;
        for way in ["connect", "transparent"] {
            for (name, predicate) in wrong {
                let said = sandbox.python(HANDSHAKE, &[way, name]).succeeded();
                assert!(said.stdout.contains("refused:"), "{way} {name}: {said}");
                attempts += 1;
                let last = eventually("the attempt is audited", || {
                    Some(log.connections()).filter(|all| all.len() >= attempts)
                });
                assert_eq!(last.len(), attempts, "{last:#?}");
                let event = last.last().expect("there is one");
                let reason = event.reason.as_ref().expect("a denial has one");
                assert_eq!(event.outcome, Outcome::Denied, "{event:?}");
                assert_eq!(reason.predicate, predicate, "{event:?}");
            }
        }
        assert_eq!(server.counts().received, 0, "not a byte of a wrong hello went upstream");

        for way in ["connect", "transparent"] {
            let said = sandbox.python(HANDSHAKE, &[way, "secure.example.com"]).succeeded();
            assert!(said.stdout.ends_with("handshake\n"), "{way}: {said}");
        }
        // With the machine's own trust store, which the jail sees; by both ways.
        let get = "curl -sS https://secure.example.com/";
        for said in [sandbox.sh(get), sandbox.direct(get)] {
            assert_eq!(said.succeeded().stdout, "private");
        }
        assert_eq!(log.count(Outcome::Allowed), 4);
    });
}
