//! Past the egress, over the network.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::Command;

use openshell_testkit::Connection;

use crate::lab::{ALLOWED, Came, Lab, as_each_user, open_to_all};
use crate::root::as_root;

const TCP: &str = include_str!("attempts/tcp.py");
const DATAGRAM: &str = include_str!("attempts/datagram.py");
const MULTICAST: &str = include_str!("attempts/multicast.py");
const NAME_SERVER: &str = include_str!("attempts/name_server.py");
const PING: &str = include_str!("attempts/ping.py");
const WITHOUT_PROXY: &str = include_str!("attempts/without_proxy.py");
const MULTIPATH: &str = include_str!("attempts/multipath.py");
const FAST_OPEN: &str = include_str!("attempts/fast_open.py");
const RESET_AND_REBIND: &str = include_str!("attempts/reset_and_rebind.py");
const RESOLVER: &str = include_str!("attempts/resolver.c");

/// A connection that is captured and denied ends in one of these.
const CUT: &[&str] = &["ECONNRESET", "EPIPE", "nothing"];

/// Tries `script` outside and inside; no packet of the second may arrive at `at`.
fn stopped(lab: &Lab<'_>, script: &str, (at, arguments): (&str, &[&str]), reasons: &[&str]) {
    lab.outside(script, arguments).must_succeed();
    let before = lab.packets(at);
    assert!(before > 0, "the server's namespace counts packets");
    lab.inside("box", script, arguments).must_fail(reasons);
    assert_eq!(lab.packets(at), before, "a packet got out");
}

pub fn the_way_that_is_allowed_works() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let url = format!("http://{ALLOWED}/");
        for flags in [&["-sS"][..], &["-sS", "--noproxy", "*"]] {
            let words = [&["/usr/bin/curl"], flags, &[url.as_str()]].concat();
            assert_eq!(lab.exec("box", &words).succeeded().stdout, "hello");
        }
    });
}

pub fn raw_ipv4() {
    as_each_user(|lab| raw_ip(lab, SocketAddr::new(lab.world.fresh_v4(), 9999)));
}

pub fn raw_ipv6() {
    as_each_user(|lab| raw_ip(lab, SocketAddr::new(lab.world.fresh_v6(), 9999)));
}

fn raw_ip(lab: &Lab<'_>, at: SocketAddr) {
    let server = lab.world.serve_echo(at);
    lab.sandbox("box", &[]);
    let host = at.ip().to_string();
    stopped(lab, TCP, (&host, &[&host, "9999"]), CUT);
    assert_eq!(server.counts().connections, 1);
    let event = lab.denied("box", &host, 9999);
    assert!(event["caller"]["binary"].as_str().unwrap().contains("python3"), "{event}");
    assert_eq!(event["way"], "transparent");
}

pub fn without_proxy_variables() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let url = format!("http://{ALLOWED}/stolen");
        let at = lab.allowed.address().ip().to_string();
        stopped(lab, WITHOUT_PROXY, (&at, &[&url]), &["403", "ECONNRESET"]);
        let event = lab.denied("box", ALLOWED, 80);
        assert_eq!(event["reason"]["predicate"], "binary");
    });
}

pub fn another_name_server() {
    as_each_user(|lab| {
        let name = "secret.evil.example";
        lab.world.dns().set(name, &[lab.world.fresh_v4()]);
        lab.sandbox("box", &[]);
        let server = lab.world.resolver().ip().to_string();
        let before = lab.world.dns().questions_for(name);
        stopped(lab, NAME_SERVER, (&server, &[&server, name, "udp"]), &["NXDOMAIN"]);
        assert_eq!(lab.world.dns().questions_for(name), before + 1, "asked outside only");
        lab.audited("box", |event| event["kind"] == "dns" && event["name"] == name);
    });
}

pub fn a09_name_services_over_tcp_and_tls() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let at = lab.world.fresh_v4();
        let host = at.to_string();
        lab.world.serve_echo(SocketAddr::new(at, 853));
        stopped(lab, TCP, (&host, &[&host, "853"]), CUT);
        lab.denied("box", &host, 853);

        // Over TCP, too, it is we who answer, whichever server was asked.
        lab.world.serve_tcp(SocketAddr::new(at, 53), answer);
        let name = "secret.tcp.example";
        stopped(lab, NAME_SERVER, (&host, &[&host, name, "tcp"]), &["NXDOMAIN"]);
        lab.audited("box", |event| event["kind"] == "dns" && event["name"] == name);
    });
}

/// A name server of an attacker's: whatever is asked, it heard it.
fn answer(mut client: Connection) -> io::Result<()> {
    let mut question = [0; 512];
    let length = client.read(&mut question)?;
    // The same message, as an answer without an error.
    if let Some(flags) = question.get_mut(4..6) {
        flags.copy_from_slice(&[0x81, 0x80]);
    }
    client.write_all(question.get(..length).unwrap_or_default())
}

pub fn a09_questions_to_everybody() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        for (group, port) in [("224.0.0.251", "5353"), ("224.0.0.252", "5355")] {
            let refused = &["EPERM", "ENETUNREACH", "EACCES"];
            stopped(lab, MULTICAST, (group, &[group, port]), refused);
        }
    });
}

pub fn udp_and_quic() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        for host in [lab.world.fresh_v4(), lab.world.fresh_v6()] {
            for port in [443, 9999] {
                let server = lab.world.serve_udp(SocketAddr::new(host, port));
                let (host, text) = (host.to_string(), port.to_string());
                stopped(lab, DATAGRAM, (&host, &[&host, &text]), &["EPERM"]);
                assert_eq!(server.counts().connections, 1);
                lab.audited("box", |event| {
                    event["kind"] == "bypass"
                        && event["protocol"] == "udp"
                        && event["address"] == host
                        && event["port"] == port
                });
            }
        }
    });
}

pub fn k07_ping() {
    as_each_user(|lab| {
        // A fresh namespace lets no group ping; a machine usually lets all.
        let groups = ["0 2147483647", "0 60001", "0 0"];
        let range = "/proc/sys/net/ipv4/ping_group_range";
        assert!(groups.iter().any(|groups| fs::write(range, groups).is_ok()));
        lab.sandbox("box", &[]);
        for host in [lab.world.fresh_v4(), lab.world.fresh_v6()] {
            lab.world.add_address(host);
            let host = host.to_string();
            stopped(lab, PING, (&host, &[&host, "datagram"]), &["EPROTONOSUPPORT"]);
        }
    });
}

pub fn k07_raw_packets() {
    as_root(|lab| {
        lab.sandbox("box", &[]);
        for host in [lab.world.fresh_v4(), lab.world.fresh_v6()] {
            lab.world.add_address(host);
            let host = host.to_string();
            stopped(lab, PING, (&host, &[&host, "raw"]), &["EPERM"]);
        }
    });
}

pub fn a_static_program_with_its_own_resolver() {
    as_each_user(|lab| {
        let name = "own.example.com";
        let at = lab.world.fresh_v4();
        lab.world.dns().set(name, &[at]);
        lab.world.serve_echo(SocketAddr::new(at, 9999));
        let folder = lab.folder("attempt");
        let (source, program) = (folder.join("resolver.c"), folder.join("resolver"));
        lab.product.write(&source, RESOLVER);
        let built = Command::new("cc")
            .args(["-static", "-o", program.to_str().unwrap(), source.to_str().unwrap()])
            .status()
            .expect("a C compiler and a static libc are installed");
        assert!(built.success());
        open_to_all(&program, 0o755);
        lab.sandbox("box", &["--mount", &format!("{}:/sandbox/attempt:ro", folder.display())]);

        let server = lab.world.resolver().ip().to_string();
        let arguments = [server.as_str(), name, "9999"];
        let mut command = lab.product.program(&program, &arguments);
        let outside = openshell_testkit::finish(&mut command, std::time::Duration::from_secs(20));
        Came::of(&outside).must_succeed();
        let (servers, targets) = (lab.packets(&server), lab.packets(&at.to_string()));
        let words = [&["/sandbox/attempt/resolver"], &arguments[..]].concat();
        Came::of(&lab.exec("box", &words)).must_fail(&["NXDOMAIN"]);
        // A name that some rule has gets an address from us, but it is not this program's.
        let words = ["/sandbox/attempt/resolver", &server, ALLOWED, "80"];
        Came::of(&lab.exec("box", &words)).must_fail(&["reset"]);
        assert_eq!((lab.packets(&server), lab.packets(&at.to_string())), (servers, targets));
        let event = lab.denied("box", ALLOWED, 80);
        assert_eq!(event["caller"]["binary"], "/sandbox/attempt/resolver");
    });
}

pub fn j14_multipath_tcp() {
    as_each_user(|lab| {
        let at = SocketAddr::new(lab.world.fresh_v4(), 9999);
        lab.world.serve_echo(at);
        lab.sandbox("box", &[]);
        let host = at.ip().to_string();
        stopped(lab, MULTIPATH, (&host, &[&host, "9999"]), &["EPROTONOSUPPORT"]);
    });
}

pub fn j14_fast_open() {
    as_each_user(|lab| {
        let at = SocketAddr::new(lab.world.fresh_v4(), 9999);
        lab.world.serve_echo(at);
        lab.sandbox("box", &[]);
        let host = at.ip().to_string();
        for (way, refused) in [
            ("sendto", "EOPNOTSUPP"),
            ("sendmsg", "EOPNOTSUPP"),
            ("sendmmsg", "EOPNOTSUPP"),
            ("option", "ENOPROTOOPT"),
        ] {
            stopped(lab, FAST_OPEN, (&host, &[&host, "9999", way]), &[refused]);
        }
    });
}

pub fn j13_reset_and_rebind() {
    const ROUNDS: &str = "60";
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.outside(RESET_AND_REBIND, &[ALLOWED, "80", ROUNDS]).must_succeed();
        let stolen =
            || lab.allowed.requests().iter().filter(|request| request.target == "/stolen").count();
        let before = stolen();
        assert!(before > 0);
        lab.inside("box", RESET_AND_REBIND, &[ALLOWED, "80", ROUNDS]).must_fail(&["denied"]);
        assert_eq!(stolen(), before, "a request went out under another program's name");
        let own = lab.allowed.requests().iter().filter(|request| request.target == "/own").count();
        assert!(own > 0, "the program that may is not stopped by it");
        for event in lab.audit("box") {
            let event = &event["event"];
            if event["outcome"] == "allowed" {
                assert_eq!(event["caller"]["binary"], "/usr/bin/curl", "{event}");
            }
        }
    });
}

pub fn b10_another_sandboxs_port() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.sandbox("neighbour", &[]);
        let service = "import socket\n\
            s = socket.create_server(('', 8000))\n\
            print('up', flush=True)\n\
            while True:\n    c, _ = s.accept()\n    c.sendall(c.recv(64))\n    c.close()";
        let words = ["sandbox", "exec", "-n", "neighbour", "--no-tty", "--"];
        let words = [&words[..], &["/usr/bin/python3", "-I", "-c", service]].concat();
        let mut service = lab.product.command(&words).spawn().unwrap();
        // The neighbour's own programs reach it.
        let started = std::time::Instant::now();
        while matches!(lab.inside("neighbour", TCP, &["127.0.0.1", "8000"]), Came::Failed(_)) {
            assert!(started.elapsed() < std::time::Duration::from_secs(20));
        }
        lab.inside("box", TCP, &["127.0.0.1", "8000"]).must_fail(&["ECONNREFUSED"]);
        let mut hosts = vec!["198.18.0.1".to_owned(), "fd23:6f70:656e::1".to_owned()];
        hosts.extend(lab.world.host_addresses().map(|address| address.to_string()));
        for host in &hosts {
            lab.inside("box", TCP, &[host, "8000"]).must_fail(CUT);
            lab.denied("box", host, 8000);
        }
        service.kill().unwrap();
        service.wait().unwrap();
    });
}
