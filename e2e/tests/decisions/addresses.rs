//! What a name stands for is checked, and guarded addresses are never reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use openshell_audit::{Network, Outcome};
use openshell_e2e::{Log, Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, World, world};

const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

const POLICY: &str = "\
version: 1
network_policies:
  exact:
    endpoints:
      - { host: exact.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/curl }
  wild:
    endpoints:
      - { host: '*.wild.example.com', port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

/// Two ways in for each URL; prints the status of each.
fn get(sandbox: &Sandbox, url: &str) -> [String; 2] {
    let curl = format!("curl -s -m 10 -o /dev/null -w '%{{http_code}}' '{url}'");
    [sandbox.sh(&curl).stdout, sandbox.direct(&curl).stdout]
}

/// The last `count` connections, once there are `all` of them and not one more.
#[track_caller]
fn last(log: &Log, count: usize, all: usize) -> Vec<Network> {
    let mut found = eventually("the attempts are audited", || {
        Some(log.connections()).filter(|found| found.len() >= all)
    });
    assert_eq!(found.len(), all, "{found:#?}");
    found.split_off(all - count)
}

#[track_caller]
fn is_denied(event: &Network, predicate: &str) {
    assert_eq!(event.outcome, Outcome::Denied, "{event:?}");
    let found = event.reason.as_ref().map(|reason| reason.predicate.as_str());
    assert_eq!(found, Some(predicate), "{event:?}");
}

fn serve(w: &World, address: IpAddr) -> openshell_testkit::Server {
    w.serve_http_at(SocketAddr::new(address, 80), |_| Response::text("hello"))
}

pub fn b01_a_rebinding_name_is_resolved_once_and_checked_each_time(run_as: RunAs) {
    world(|w| {
        let public = w.fresh_v4();
        let (good, bad) = (serve(w, public), serve(w, METADATA));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "b01", POLICY);
        let log = sandbox.log();

        w.dns().set_sequence("exact.example.com", &[&[public], &[METADATA]]);
        let curl = "curl -p -s -o /dev/null -w '%{http_connect}' http://exact.example.com/";
        assert_eq!(sandbox.sh(curl).stdout, "200");
        assert!(w.dns().questions_for("exact.example.com") <= 2, "one for each family, once");
        assert_eq!(last(&log, 1, 1)[0].destination.address, Some(public), "what was dialled");
        assert_eq!(sandbox.sh(curl).stdout, "403");
        is_denied(&last(&log, 1, 2)[0], "never_reachable");

        w.dns().set_sequence("a.wild.example.com", &[&[public], &[PRIVATE]]);
        w.add_address(PRIVATE);
        let curl = "curl -p -s -o /dev/null -w '%{http_connect}' http://a.wild.example.com/";
        assert_eq!(sandbox.sh(curl).stdout, "200");
        assert_eq!(sandbox.sh(curl).stdout, "403");
        is_denied(&last(&log, 1, 4)[0], "not_public");

        assert_eq!((good.counts().connections, bad.counts().connections), (2, 0));
        assert_eq!((w.packets_to(METADATA), w.packets_to(PRIVATE)), (0, 0));
    });
}

pub fn b02_one_bad_answer_refuses_the_whole_set(run_as: RunAs) {
    world(|w| {
        let public = w.fresh_v4();
        let (good, bad) = (serve(w, public), serve(w, METADATA));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "b02", POLICY);
        w.dns().set("exact.example.com", &[public, METADATA]);
        w.dns().set("a.wild.example.com", &[public, PRIVATE]);
        assert_eq!(get(&sandbox, "http://exact.example.com/"), ["403", "403"]);
        assert_eq!(get(&sandbox, "http://a.wild.example.com/"), ["403", "403"]);
        let events = last(&sandbox.log(), 4, 4);
        for event in &events[..2] {
            is_denied(event, "never_reachable");
        }
        for event in &events[2..] {
            is_denied(event, "not_public");
        }
        assert_eq!((good.counts().connections, bad.counts().connections), (0, 0));
        let packets: u64 = [public, METADATA, PRIVATE].map(|to| w.packets_to(to)).iter().sum();
        assert_eq!(packets, 0);
    });
}

pub fn private_answers_are_for_exact_names_only(run_as: RunAs) {
    world(|w| {
        let server = serve(w, PRIVATE);
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "private", POLICY);
        w.dns().set("a.wild.example.com", &[PRIVATE]);
        assert_eq!(get(&sandbox, "http://a.wild.example.com/"), ["403", "403"]);
        assert_eq!(w.packets_to(PRIVATE), 0);
        for event in last(&sandbox.log(), 2, 2) {
            is_denied(&event, "not_public");
            let nearest = event.reason.and_then(|reason| reason.nearest).unwrap_or_default();
            assert!(nearest.contains("exact name"), "{nearest}");
        }
        w.dns().set("exact.example.com", &[PRIVATE]);
        assert_eq!(get(&sandbox, "http://exact.example.com/"), ["200", "200"]);
        assert_eq!(server.counts().connections, 2);
    });
}

pub fn b03_b04_b05_b06_guarded_addresses_are_never_reached(run_as: RunAs) {
    // Each guard is tried as an answer for an allowed name, and as a literal that a rule allows.
    const POLICY: &str = "\
version: 1
network_policies:
  named:
    endpoints:
      - { host: exact.example.com, port: 80 }
      - { port: 80, allowed_ips: [0.0.0.0/0, '::/0'] }
    binaries:
      - { path: /usr/bin/curl }
";
    const GUARDED: [&str; 17] = [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.9.9.9",
        "::",
        "::1",
        "fe80::1",
        "224.0.0.1",
        "255.255.255.255",
        "fd00:ec2::254",
        "168.63.129.16",
    ];
    world(|w| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "guards", POLICY);
        let log = sandbox.log();
        let mut seen = 0;
        for guarded in GUARDED {
            let address: IpAddr = guarded.parse().expect("an address");
            let literal = match address {
                IpAddr::V4(_) => guarded.to_owned(),
                IpAddr::V6(_) => format!("[{guarded}]"),
            };
            let curl = "curl -s -m 10 -o /dev/null -w '%{http_code}'";
            let by_proxy = format!("NO_PROXY= no_proxy= {curl} 'http://{literal}/'");
            assert_eq!(sandbox.sh(&by_proxy).stdout, "403", "{literal}");
            w.dns().set("exact.example.com", &[address]);
            let by_name = format!("{curl} http://exact.example.com/");
            assert_eq!(sandbox.sh(&by_name).stdout, "403", "a name for {guarded}");
            seen += 2;
            for event in last(&log, 2, seen) {
                is_denied(&event, "never_reachable");
            }
        }
        // Spellings that only a lax reader takes for an address are names, and no rule has them.
        for spelling in ["127.1", "2130706433", "0x7f.1", "017700000001"] {
            let connect = format!(
                "exec 3<>/dev/tcp/198.18.0.1/3128; \
                 printf 'CONNECT {spelling}:80 HTTP/1.1\\r\\nHost: {spelling}:80\\r\\n\\r\\n' >&3; \
                 head -1 <&3"
            );
            let said = sandbox.exec(&["bash", "-c", &connect]).stdout;
            assert!(said.contains(" 403 ") || said.contains(" 400 "), "{spelling}: {said}");
        }
        let to_resolver = w.packets_to(w.resolver().ip());
        let all: u64 = w.packets().iter().map(|(_, count)| count).sum();
        assert_eq!(all, to_resolver, "{:?}", w.packets());
    });
}

pub fn b08_a_redirect_is_not_followed(run_as: RunAs) {
    world(|w| {
        let inside = serve(w, PRIVATE);
        let public = w.fresh_v4();
        w.dns().set("exact.example.com", &[public]);
        w.serve_http_at(SocketAddr::new(public, 80), |_| {
            Response::new(302, "text/plain", "").with("Location", "http://10.0.0.7/")
        });
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "b08", POLICY);
        assert_eq!(get(&sandbox, "http://exact.example.com/"), ["302", "302"]);
        let followed = "curl -sL -o /dev/null -w '%{http_code}' http://exact.example.com/";
        assert_eq!(sandbox.sh(followed).stdout, "403", "the next request is judged alone");
        assert_eq!((inside.counts().connections, w.packets_to(PRIVATE)), (0, 0));
        is_denied(&last(&sandbox.log(), 1, 4)[0], "host");
    });
}

pub fn b09_the_host_itself_is_not_reached(run_as: RunAs) {
    const POLICY: &str = "\
version: 1
network_policies:
  any:
    endpoints:
      - { host: exact.example.com, ports: [80, 8082] }
      - { port: '1-65535', allowed_ips: [0.0.0.0/0, '::/0'] }
      - { host: host.openshell.internal, port: 9999 }
    binaries:
      - { path: /usr/bin/curl }
";
    world(|w| {
        let any = SocketAddr::from(([0, 0, 0, 0], 8082));
        let server = w.serve_http_on_host(any, |_| Response::text("the host"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "b09", POLICY);
        let [v4, v6] = w.host_addresses();
        let mut urls = vec![
            format!("http://{v4}:8082/"),
            format!("http://[{v6}]:8082/"),
            format!("http://[::ffff:{v4}]:8082/"),
        ];
        for address in [v4, v6] {
            w.dns().set("exact.example.com", &[address]);
            let statuses = get(&sandbox, "http://exact.example.com:8082/");
            assert_eq!(statuses, ["403", "403"], "a name for {address}");
        }
        if let Some(port) = gateway_port(&product) {
            urls.push(format!("http://{v4}:{port}/"));
            let by_alias = format!("http://host.openshell.internal:{port}/");
            assert_eq!(get(&sandbox, &by_alias)[0], "403", "an undeclared port");
            let local = format!(
                "NO_PROXY= no_proxy= curl -s -o /dev/null -w '%{{http_code}}' \
                                 http://127.0.0.1:{port}/"
            );
            assert_eq!(sandbox.sh(&local).stdout, "403", "the gateway's port by the proxy");
        }
        for url in &urls {
            assert_eq!(get(&sandbox, url), ["403", "403"], "{url}");
        }
        // Loopback of the jail is the jail's own: nobody listens there.
        let own = "curl -s -o /dev/null http://127.0.0.1:8082/";
        assert_eq!(sandbox.direct(own).code, Some(7), "connection refused");
        assert_eq!(server.counts().connections, 0);
        assert_eq!(sandbox.log().count(Outcome::Allowed), 0);
    });
}

/// Where the local gateway listens on loopback, if it does.
fn gateway_port(product: &Product) -> Option<u64> {
    let file = product.config().join("gateways/local/metadata.json");
    let text = std::fs::read_to_string(file).ok()?;
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("metadata is JSON");
    metadata["gateway_port"].as_u64().filter(|port| *port > 0)
}

pub fn b11_malformed_authorities_are_refused(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("exact.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "b11", POLICY);
        const AUTHORITIES: [&str; 8] = [
            "exact.example.com:80@evil.example",
            "evil@exact.example.com:80",
            "exact.example.com:0",
            "exact.example.com:65616",
            "exact.example.com:+80",
            "exact.example.com",
            "exact.example.com:",
            "exact.example.com:80/x",
        ];
        for authority in AUTHORITIES {
            let connect = format!(
                "exec 3<>/dev/tcp/198.18.0.1/3128; \
                 printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' '{authority}' \
                 '{authority}' >&3; head -1 <&3"
            );
            let said = sandbox.exec(&["bash", "-c", &connect]).stdout;
            assert!(said.contains(" 400 "), "{authority}: {said}");
        }
        for event in last(&sandbox.log(), AUTHORITIES.len(), AUTHORITIES.len()) {
            is_denied(&event, "bad_request");
        }
        assert_eq!((server.counts().connections, w.packets()), (0, vec![]));
    });
}

pub fn a_declared_port_of_the_host_is_reached_by_its_alias(run_as: RunAs) {
    const POLICY: &str = "\
version: 1
network_policies:
  host:
    endpoints:
      - { host: host.openshell.internal, port: 8081 }
    binaries:
      - { path: /usr/bin/curl }
";
    world(|w| {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let declared = w.serve_http_on_host(local(8081), |_| Response::text("the host"));
        let other = w.serve_http_on_host(local(8082), |_| Response::text("not this"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "host", POLICY);
        assert_eq!(get(&sandbox, "http://host.openshell.internal:8081/"), ["200", "200"]);
        assert_eq!(get(&sandbox, "http://host.openshell.internal:8082/"), ["403", "403"]);
        assert_eq!((declared.counts().connections, other.counts().connections), (2, 0));
        let events = last(&sandbox.log(), 4, 4);
        assert_eq!(events[0].outcome, Outcome::Allowed);
        is_denied(&events[2], "port");
        assert_eq!(w.packets(), []);
    });
}
