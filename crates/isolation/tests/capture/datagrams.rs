//! UDP and ICMP: questions reach us, and everything else is refused at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use openshell_isolation::net::nflog::{self, Dropped};
use openshell_isolation::net::{JAIL_V4, JAIL_V6, Listeners, dns_socket};
use openshell_testkit::finish;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto};

use crate::lab::{PATIENCE, address, jailed, patiently};

pub fn a_question_is_answered_from_the_server_that_was_asked() {
    jailed(|listeners| {
        let servers = [
            "8.8.8.8:53",
            "198.18.0.1:53",
            "10.1.2.3:53",
            "[2001:4860:4860::8888]:53",
            "[fd00::53]:53",
        ];
        for asked in servers.map(address) {
            let ours = dns(&listeners, asked);
            for is_connected in [true, false] {
                let client = client(asked);
                if is_connected {
                    client.connect(asked).unwrap();
                    client.send(b"question").unwrap();
                } else {
                    client.send_to(b"question", asked).unwrap();
                }
                let mut buffer = [0; 512];
                let (length, from, to) = patiently(|| dns_socket::recv(ours, &mut buffer));
                assert_eq!((&buffer[..length], to), (&b"question"[..], asked));
                assert_eq!(from.port(), client.local_addr().unwrap().port());
                dns_socket::send(ours, b"answer", to, from).unwrap();
                let (length, server) = client.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], server), (&b"answer"[..], asked));
            }
        }
        let buffer = &mut [0; 512];
        let error = dns_socket::recv(&listeners.dns4, buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let (v4, v6) = (address("8.8.8.8:53"), address("[2001:db8::1]:53"));
        for (from, to) in [(v4, v6), (v6, v4), (address("8.8.8.8:54"), v4)] {
            let error = dns_socket::send(&listeners.dns4, b"answer", from, to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

pub fn look_ups_find_both_families() {
    jailed(|listeners| {
        let resolv = tempfile::NamedTempFile::new().unwrap();
        fs::write(resolv.path(), format!("nameserver {JAIL_V4}\n")).unwrap();
        rustix::mount::mount_bind(resolv.path(), "/etc/resolv.conf").unwrap();
        thread::spawn(move || answer_every_question(&listeners));
        // With AI_ADDRCONFIG, as programs ask: a family without an address of ours is left out.
        let script = "import socket as s\n\
             for f in (0, s.AI_ADDRCONFIG):\n\
             \x20   r = s.getaddrinfo('api.example.com', 443, type=s.SOCK_STREAM, flags=f)\n\
             \x20   print(sorted(x[4][0] for x in r))";
        let mut python = Command::new("/usr/bin/python3");
        let found = finish(python.args(["-c", script]), PATIENCE).succeeded().stdout;
        assert_eq!(found, "['198.18.1.7', 'fd23:6f70:656e:1::7']\n".repeat(2));
    });
}

pub fn a_big_question_is_cut_and_the_next_one_is_whole() {
    jailed(|listeners| {
        for asked in ["8.8.8.8:53", "[2001:4860:4860::8888]:53"].map(address) {
            let client = client(asked);
            client.send_to(&[1; 60_000], asked).unwrap();
            client.send_to(b"next", asked).unwrap();
            let mut buffer = [0; 4096];
            let ours = dns(&listeners, asked);
            assert_eq!(patiently(|| dns_socket::recv(ours, &mut buffer)).0, buffer.len());
            assert_eq!(patiently(|| dns_socket::recv(ours, &mut buffer)).0, 4);
        }
    });
}

pub fn a09_other_datagrams_are_refused_at_once_and_reported() {
    jailed(|listeners| {
        let destinations = ["8.8.8.8:443", "10.0.0.1:5355", "198.18.0.1:3128", "198.18.0.1:54"];
        let destinations = destinations.into_iter().chain(["[2606:2800::1]:443", "[fd00::1]:853"]);
        for to in destinations.map(address) {
            let started = Instant::now();
            let error = client(to).send_to(b"x", to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{to}");
            assert!(started.elapsed() < Duration::from_millis(100));
            let src = if to.is_ipv4() { IpAddr::V4(JAIL_V4) } else { IpAddr::V6(JAIL_V6) };
            let expected = Dropped { protocol: 17, src, dst: to.ip(), port: Some(to.port()) };
            assert_eq!(reports(&listeners.nflog), [expected]);
        }
    });
}

pub fn f11_a_connected_quic_client_is_refused_at_once() {
    jailed(|_listeners| {
        for to in ["93.184.216.34:443", "[2606:2800::1]:443"].map(address) {
            let client = client(to);
            client.connect(to).unwrap();
            assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::PermissionDenied);
            // The kernel's ICMP error is there as well, for those who only wait for an answer.
            let error = client.recv(&mut [0; 16]).unwrap_err();
            let refused = [libc::EHOSTUNREACH, libc::EACCES, libc::ECONNREFUSED];
            assert!(refused.contains(&error.raw_os_error().unwrap()), "{error}");
        }
    });
}

pub fn k07_ping_sockets_are_refused() {
    jailed(|listeners| {
        let icmp =
            || rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP));
        // A fresh namespace lets no group have them; with that gone, the capture still refuses.
        assert_eq!(icmp().unwrap_err(), rustix::io::Errno::ACCESS);
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
        let echo = [8, 0, 0, 0, 0, 0, 0, 0];
        let to = address("8.8.8.8:0");
        let error = rustix::net::sendto(icmp().unwrap(), &echo, SendFlags::empty(), &to);
        assert_eq!(error.unwrap_err(), rustix::io::Errno::PERM);
        let reports = reports(&listeners.nflog);
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].protocol, reports[0].dst, reports[0].port), (1, to.ip(), None));
    });
}

pub fn multicast_and_broadcast_are_refused() {
    jailed(|_listeners| {
        let everybody =
            ["224.0.0.251:5353", "239.255.255.250:1900", "255.255.255.255:67", "[ff02::fb%1]:5353"];
        for to in everybody.map(|text| address(&text.replace("%1", ""))) {
            let client = client(to);
            if to.is_ipv4() {
                client.set_broadcast(true).unwrap();
            }
            let error = client.send_to(b"x", to).unwrap_err();
            let refused = [libc::EPERM, libc::ENETUNREACH, libc::EACCES, libc::EADDRNOTAVAIL];
            assert!(refused.contains(&error.raw_os_error().unwrap()), "{to}: {error}");
        }
    });
}

pub fn datagrams_on_loopback_are_free() {
    jailed(|listeners| {
        for own in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:53"] {
            let service = UdpSocket::bind(own).unwrap();
            let to = service.local_addr().unwrap();
            client(to).send_to(b"x", to).unwrap();
            service.set_read_timeout(Some(PATIENCE)).unwrap();
            service.recv(&mut [0; 8]).unwrap();
        }
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
        nobody.connect("127.0.0.1:9").unwrap();
        nobody.send(b"x").unwrap();
        assert_eq!(nobody.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(reports(&listeners.nflog), []);
    });
}

pub fn a_flood_is_refused_whole_and_reported_in_part() {
    jailed(|listeners| {
        let (to, started) = (address("8.8.8.8:443"), Instant::now());
        let client = client(to);
        for _ in 0..50_000 {
            client.send_to(&[0; 1200], to).unwrap_err();
        }
        let seconds = started.elapsed().as_secs() as usize + 1;
        let reported = reports(&listeners.nflog).len();
        assert!((50..=100 + 100 * seconds).contains(&reported), "{reported} in {seconds} s");
    });
}

fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn dns(listeners: &Listeners, asked: SocketAddr) -> &OwnedFd {
    if asked.is_ipv4() { &listeners.dns4 } else { listeners.dns6.as_ref().unwrap() }
}

/// The reports that arrive until there are none for longer than the kernel holds them back.
fn reports(nflog: &OwnedFd) -> Vec<Dropped> {
    let mut buffer = vec![0; nflog::BUFFER];
    let mut all = Vec::new();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(300) {
        match nflog::recv(nflog, &mut buffer) {
            Ok(some) => {
                all.extend(some);
                last = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    all
}

/// A name server that has one address of each family for every name.
fn answer_every_question(listeners: &Listeners) {
    let mut buffer = [0; 512];
    loop {
        let Ok((length, client, asked)) = dns_socket::recv(&listeners.dns4, &mut buffer) else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let question = &buffer[12..length];
        let end = question.iter().position(|&byte| byte == 0).unwrap() + 5;
        let is_v4 = question[end - 3] == 1;
        let mut answer = buffer[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend(&question[..end]);
        answer.extend([0xc0, 12, 0, question[end - 3], 0, 1, 0, 0, 0, 1, 0]);
        let pool = if is_v4 { "198.18.1.7" } else { "fd23:6f70:656e:1::7" };
        match pool.parse().unwrap() {
            IpAddr::V4(v4) => answer.extend([&[4][..], &v4.octets()].concat()),
            IpAddr::V6(v6) => answer.extend([&[16][..], &v6.octets()].concat()),
        }
        dns_socket::send(&listeners.dns4, &answer, asked, client).unwrap();
    }
}
