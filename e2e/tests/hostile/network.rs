//! Addresses, and what happens without a supervisor.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use openshell_testkit::http::Response;
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{ALLOWED, Lab, as_each_user};

const CURL: &str = "/usr/bin/curl";

pub fn b08_a_redirect_to_a_private_address_is_another_request() {
    as_each_user(|lab| {
        let inner: SocketAddr = "10.99.0.1:80".parse().unwrap();
        let metadata: SocketAddr = "169.254.169.254:80".parse().unwrap();
        let name = format!("redirect-{:?}.example.com", lab.run_as).to_lowercase();
        if lab.world.packets_to(inner.ip()) == 0 {
            for at in [inner, metadata] {
                lab.world.serve_http_at(at, |_| Response::text("secret"));
            }
        }
        let public = lab.world.serve_http(&name, |request| {
            let to = if request.target == "/metadata" { "169.254.169.254" } else { "10.99.0.1" };
            Response::new(302, "text/plain", "").with("Location", &format!("http://{to}/secret"))
        });
        let policy = format!(
            "version: 1\nnetwork_policies:\n  web:\n    endpoints:\n      - host: {name}\n        \
             port: 80\n    binaries:\n      - path: {CURL}\n"
        );
        lab.sandbox_under("box", &policy, &[]);
        for (path, to) in [("/inner", "10.99.0.1"), ("/metadata", "169.254.169.254")] {
            let url = format!("http://{name}{path}");
            for flags in [&["-sSL"][..], &["-sSL", "--noproxy", "*"]] {
                let words = [&[CURL, "-m", "10"], flags, &[url.as_str()]].concat();
                let mut outside = lab.product.program(CURL, &words[1..]);
                let outside = openshell_testkit::finish(&mut outside, Duration::from_secs(20));
                assert_eq!(outside.succeeded().stdout, "secret");
                let before = lab.packets(to);
                let followed = lab.exec("box", &words);
                assert!(!followed.stdout.contains("secret"), "{followed}");
                assert_eq!(lab.packets(to), before);
            }
            lab.denied("box", to, 80);
        }
        assert_eq!(public.requests().len(), 8, "the redirect itself was let through");
    });
}

pub fn b09_the_hosts_own_services_are_not_reached_through_the_proxy() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let [host, _] = lab.world.host_addresses();
        let port = if lab.run_as == openshell_testkit::RunAs::Tester { 8091 } else { 8092 };
        let service = lab.world.serve_http_on_host(SocketAddr::from(([0, 0, 0, 0], port)), |_| {
            Response::text("hosts-secret")
        });
        for to in ["127.0.0.1".to_owned(), host.to_string()] {
            let url = format!("http://{to}:{port}/");
            let mut outside = lab.product.program(CURL, &["-sS", &url]);
            let outside = openshell_testkit::finish(&mut outside, Duration::from_secs(20));
            assert_eq!(outside.succeeded().stdout, "hosts-secret");
            for way in [&["--noproxy", ""][..], &["--noproxy", "", "--proxytunnel"]] {
                let proxy = ["-x", "http://198.18.0.1:3128", "-sS", "-m", "10"];
                let words = [&[CURL], &proxy[..], way, &[url.as_str()]].concat();
                let said = lab.exec("box", &words);
                assert!(!said.stdout.contains("hosts-secret"), "{said}");
            }
            lab.denied("box", &to, port);
        }
        assert_eq!(service.counts().connections, 2, "from outside only");
    });
}

pub fn m14_a_stopped_supervisor_lets_nothing_out() {
    as_each_user(|lab| {
        let file = lab.product.home().join("box.yaml");
        lab.product.write(&file, crate::lab::POLICY);
        let script = format!("while :; do {CURL} -s -m 1 http://{ALLOWED}/ >/dev/null; done");
        let words = ["sandbox", "create", "--name", "box", "-d", "--policy"];
        let words = [&words[..], &[file.to_str().unwrap(), "--", "sh", "-c", &script]].concat();
        lab.product.run(&words).succeeded();
        let moves = |from: u64| requests_beyond(lab, from);
        assert!(moves(lab.allowed.counts().connections));
        let supervisors = supervisors(lab);
        assert!(!supervisors.is_empty());
        supervisors.iter().for_each(|pid| kill_process(*pid, Signal::STOP).unwrap());
        // What was on its way arrives.
        thread::sleep(Duration::from_millis(300));
        let stopped = lab.allowed.counts().connections;
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(lab.allowed.counts().connections, stopped, "it goes on without us");
        supervisors.iter().for_each(|pid| kill_process(*pid, Signal::CONT).unwrap());
        assert!(moves(stopped), "and with us it goes on");
    });
}

/// Whether there are further connections soon.
fn requests_beyond(lab: &Lab<'_>, count: u64) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if lab.allowed.counts().connections > count {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The processes whose program is this product's supervisor, without those in a jail.
fn supervisors(lab: &Lab<'_>) -> Vec<Pid> {
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    let runs_it = |pid: &Pid| {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let exe = fs::read_link(format!("{folder}/exe")).unwrap_or_default();
        exe.starts_with(lab.product.home())
            && exe.ends_with("openshell-supervisor")
            && fs::read_link(format!("{folder}/ns/pid")).is_ok_and(|found| found == own)
    };
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(runs_it)
        .collect()
}
