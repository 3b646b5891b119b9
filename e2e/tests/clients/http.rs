//! The parts of HTTP that clients rely on, through the egress as without it.

use openshell_audit::Outcome;
use openshell_e2e::Sandbox;
use openshell_testkit::{Product, RunAs, World, world};

use crate::judged::{all_on_record, start};
use crate::site::Site;
use crate::web::{self, HOSTS};

/// Runs `test` with a sandbox that may read and the site that it may read from.
fn with_site(run_as: RunAs, test: impl Fn(&World, &Site, &Sandbox<'_>)) {
    world(|w| {
        let site = web::serve(w);
        let product = Product::new(run_as);
        let policy = web::POLICY.replace("    binaries", &format!("{HASTY}    binaries"));
        let sandbox = start(&product, w, &policy);
        test(w, &site, &sandbox);
    });
}

const HASTY: &str = "
      - { host: hasty.example.com, port: 443, protocol: rest, access: read-only }
      - { host: hasty-two.example.com, port: 443, protocol: rest, access: read-only }
";

/// The same for the pages at each of its hosts.
fn at_both(run_as: RunAs, test: impl Fn(&Site, &Sandbox<'_>, &str)) {
    with_site(run_as, |_, site, sandbox| {
        for host in HOSTS {
            test(site, sandbox, &format!("https://{host}/open"));
        }
    });
}

/// What a script prints, by way of the proxy and without.
#[track_caller]
fn prints(sandbox: &Sandbox<'_>, script: &str, wanted: &str) {
    for said in [sandbox.sh(script), sandbox.direct(script)] {
        assert_eq!(said.clone().succeeded().stdout.trim_end(), wanted, "{said}");
    }
}

pub fn answers_without_a_body_end(run_as: RunAs) {
    at_both(run_as, |_, sandbox, at| {
        let status = "-sS -o /dev/null -w '%{http_code} %{num_connects}\\n'";
        // The second one is sent over the connection of the first.
        let head = format!("curl {status} -I {at}/hello -I {at}/hello --next {status} {at}/hello");
        prints(sandbox, &head.replace("-I https", "-I -o /dev/null https"), "200 1\n200 0\n200 0");
        let unchanged = format!(
            "tag=$(curl -sSI {at}/hello | tr -d '\\r' | sed -n 's/^[Ee][Tt]ag: //p'); \
             curl {status} -H \"If-None-Match: $tag\" {at}/hello --next {status} {at}/hello"
        );
        prints(sandbox, &unchanged, "304 1\n200 0");
        let length =
            format!("curl -sSI {at}/hello | tr -d '\\r' | sed -n 's/^[Cc]ontent-[Ll]ength: //p'");
        prints(sandbox, &length, "6");
    });
}

pub fn parts_and_packed_answers_are_passed_on(run_as: RunAs) {
    at_both(run_as, |_, sandbox, at| {
        prints(sandbox, &format!("curl -sS -r 1-3 {at}/hello"), "ell");
        let beyond = format!("curl -sS -o /dev/null -w '%{{http_code}}' -r 100- {at}/hello");
        prints(sandbox, &beyond, "416");
        let packed = format!("curl -sS -H 'Accept-Encoding: gzip' {at}/gzip | gzip -d");
        prints(sandbox, &packed, "hello");
        let unpacked = format!("curl -sS --compressed {at}/gzip");
        prints(sandbox, &unpacked, "hello");
    });
}

pub fn connections_end_when_a_side_says_so(run_as: RunAs) {
    with_site(run_as, |_, _, sandbox| {
        let at = "https://www.example.com/open";
        let last = "-sS -o /dev/null -w '%{http_code} %{num_connects}\\n'";
        // After an answer that is its connection's last, the client's own goes on all the same.
        let closed = format!("curl {last} {at}/last --next {last} {at}/hello");
        prints(sandbox, &closed, "200 1\n200 0");
        let asked =
            format!("curl {last} -H 'Connection: close' {at}/hello --next {last} {at}/hello");
        prints(sandbox, &asked, "200 1\n200 1");
        let oldest = format!("curl -sS --http1.0 {at}/hello {at}/gzip");
        prints(sandbox, &oldest, "hello\nhello");
    });
}

pub fn large_bodies_pass_both_ways(run_as: RunAs) {
    at_both(run_as, |site, sandbox, at| {
        let want = std::fs::read(site.path("open/large")).expect("it is there");
        for (number, option) in ["", "-H 'Transfer-Encoding: chunked'"].iter().enumerate() {
            let script = format!(
                "curl -sS -o large {at}/large && curl -sS {option} -T large {at}/put/{number} && \
                 curl -sS {at}/put/{number} | cmp - large && stat -c %s large"
            );
            let said = sandbox.sh(&script).succeeded();
            assert_eq!(said.stdout.trim(), want.len().to_string(), "{said}");
            assert!(std::fs::read(site.path(&format!("open/put/{number}"))).unwrap() == want);
        }
        let direct = format!("curl -sS {at}/large | cmp - large && echo same");
        assert_eq!(sandbox.direct(&direct).succeeded().stdout, "same\n");
        let what = |path: &str| format!("{}/{path}", at.trim_start_matches("https://"));
        let requests = [("PUT", &*what("put/0")), ("GET", &*what("large"))];
        all_on_record(sandbox, Outcome::Allowed, &requests);
    });
}

pub fn events_come_when_they_are_sent(run_as: RunAs) {
    with_site(run_as, |_, _, sandbox| {
        let silence = web::SILENCE.as_secs();
        let wanted = format!("data: one 0\ndata: two {silence}\ndata: three {silence}\n");
        let said = sandbox.python(include_str!("programs/events.py"), &[]).succeeded();
        assert_eq!(said.stdout, wanted, "{said}");
        let timed = include_str!("programs/events.sh").replace("www.example.com", HOSTS[1]);
        let said = sandbox.sh(&timed).succeeded();
        assert_eq!(said.stdout, wanted, "{said}");
    });
}

pub fn a_server_that_ends_idle_connections_is_no_error(run_as: RunAs) {
    with_site(run_as, |_, site, sandbox| {
        let said = sandbox.python(include_str!("programs/kept.py"), &[]).succeeded();
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        // The client's own connection stays, whatever becomes of the server's.
        assert!(lines.iter().all(|line| line.starts_with("200 hello (")), "{said}");
        assert_eq!(lines[0], lines[2], "{said}");
        let asked = site.asked();
        let connections: Vec<_> = asked
            .lines()
            .filter_map(|line| line.strip_prefix("hasty.example")?.rsplit(' ').next())
            .collect();
        assert_eq!(connections.len(), 3, "{asked}");
        assert_eq!(connections[0], connections[1], "{asked}");
        assert_ne!(connections[1], connections[2], "{asked}");

        let program = include_str!("programs/kept_http2.mjs");
        let script = format!("cat > it.mjs <<'END'\n{program}END\nnode it.mjs");
        let said = sandbox.sh(&script).succeeded();
        assert_eq!(said.stdout, "200 hello\n".repeat(3), "{said}");
    });
}
