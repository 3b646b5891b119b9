use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use openshell_testkit::http::Response;
use openshell_testkit::{World, alone, finish, world};

pub fn a_client_reaches_a_server_by_its_name() {
    world(|w| {
        let server = w.serve_http("api.example.com", |request| {
            Response::text(format!("{} {}", request.method, request.target))
        });
        let before = w.packets_to(server.address().ip());
        assert_eq!((before, server.counts().connections), (0, 0));
        assert!(get(("api.example.com", 80), "/a?b").ends_with("GET /a?b"));
        assert_eq!(server.counts().connections, 1);
        assert!(server.counts().received > 0 && server.counts().sent > 0);
        assert_eq!(server.requests()[0].header("HOST"), Some("api.example.com"));
        assert_eq!(w.dns().questions_for("api.example.com"), 2, "one for each family");
        assert!(w.packets_to(server.address().ip()) >= 4);
        assert!(("other.example.com", 80).to_socket_addrs().is_err());
    });
}

pub fn curl_trusts_the_https_server_of_the_world() {
    world(|w| {
        let server = w.serve_https("secure.example.com", |_| Response::text("private"));
        let mut curl = Command::new("curl");
        curl.args(["-sS", "https://secure.example.com/x"]);
        let finished = finish(&mut curl, Duration::from_secs(10)).succeeded();
        assert_eq!(finished.stdout, "private");
        assert_eq!(server.requests()[0].target, "/x");
        assert!(w.ca_file().exists());
    });
}

pub fn a_rebinding_name_answers_differently_the_second_time() {
    world(|w| {
        let (public, private) = (w.fresh_v4(), IpAddr::from([10, 0, 0, 7]));
        w.dns().set_sequence("rebind.test", &[&[public], &[private]]);
        assert_eq!(look_up("rebind.test"), [public]);
        assert_eq!(look_up("rebind.test"), [private]);
        assert_eq!(look_up("rebind.test"), [private]);
        w.dns().set("mixed.test", &[public, private]);
        let mut both = look_up("mixed.test");
        both.sort();
        assert_eq!(both, [private, public]);
    });
}

pub fn both_families_and_private_addresses_are_there() {
    world(|w| {
        let metadata = IpAddr::from([169, 254, 169, 254]);
        let addresses = [w.fresh_v4(), w.fresh_v6(), IpAddr::from([192, 168, 50, 1]), metadata];
        for address in addresses {
            let server = w.serve_echo(SocketAddr::new(address, 7000));
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello");
            assert!(w.packets_to(address) > 0, "{address}");
        }
    });
}

pub fn packets_are_counted_by_destination_whoever_has_it() {
    world(|w| {
        let nobody = IpAddr::from([8, 8, 8, 8]);
        assert_eq!(w.packets(), []);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"x", (nobody, 9)).unwrap();
        }
        assert_eq!(w.packets(), [(nobody, 3)]);
    });
}

pub fn datagrams_come_back() {
    world(|w| {
        let server = w.serve_udp(SocketAddr::new(w.fresh_v4(), 443));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"quic?", server.address()).unwrap();
        let mut answer = [0; 16];
        let (length, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..length], from), (&b"quic?"[..], server.address()));
        assert_eq!(server.counts().connections, 1);
    });
}

pub fn a_service_on_the_machine_itself_is_not_on_the_internet() {
    world(|w: &World| {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let server = w.serve_http_on_host(local, |_| Response::json("{}"));
        assert!(get(local, "/").ends_with("{}"));
        assert_eq!(server.counts().connections, 1);
        assert_eq!(w.packets(), []);
        let hosts = fs::read_to_string("/etc/hosts").unwrap();
        assert!(hosts.contains("machine.test"));
    });
}

pub fn chunked_answers_stream() {
    world(|w| {
        w.serve_http("llm.test", |_| Response::events(&["one", "two"]));
        let answer = get(("llm.test", 80), "/v1");
        assert!(answer.contains("data: one\n\n") && answer.ends_with("0\r\n\r\n"), "{answer}");
    });
}

pub fn alone_has_no_network_at_all() {
    alone(|| {
        let error = TcpStream::connect("93.184.216.34:80").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
    });
}

pub fn a_world_starts_fast() {
    let started = Instant::now();
    world(|_| {});
    println!("a world and back: {:?}", started.elapsed());
}

fn look_up(name: &str) -> Vec<IpAddr> {
    (name, 0).to_socket_addrs().unwrap().map(|address| address.ip()).collect()
}

/// One request on a connection of its own; the whole answer.
fn get(to: impl ToSocketAddrs, path: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    let host = "api.example.com";
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
