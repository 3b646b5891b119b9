//! curl, as people use it.

use openshell_audit::{Outcome, Way};
use openshell_e2e::Sandbox;
use openshell_testkit::{Finished, Product, RunAs, world};

use crate::judged::{all_on_record, explains, on_record, one_of_each, start};
use crate::site::Site;
use crate::web::{self, HOSTS};

/// A script that asks a host for both pages with `options`, and prints what the tests read of an answer.
fn both_pages(host: &str, options: &str) -> String {
    format!(
        "for path in open closed; do
            set -- $(curl -sS {options} -o body -w '%{{http_code}} %header{{x-openshell-policy}}' \
                https://{host}/$path/hello)
            echo \"$1 ${{2:--}} $(cat body)\"
        done"
    )
}

pub fn curl_reads_what_it_may(run_as: RunAs) {
    world(|w| {
        let site = web::serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, web::POLICY);
        for host in HOSTS {
            // Without a word about a version, it offers HTTP/2 too.
            for options in ["", "--http1.1", "--http1.0"] {
                let script = both_pages(host, options);
                one_of_each(&sandbox.sh(&script), "GET", "/closed/hello");
                one_of_each(&sandbox.direct(&script), "GET", "/closed/hello");
            }
        }
        let script = both_pages(HOSTS[1], "--http2-prior-knowledge");
        one_of_each(&sandbox.direct(&script), "GET", "/closed/hello");
        let asked = site.asked();
        let of = |version: &str| asked.lines().filter(|line| line.contains(version)).count();
        // Neither version was made of the other.
        assert_eq!((of(" HTTP/2.0 "), of(" HTTP/1.")), (3, 10), "{asked}");

        for host in HOSTS {
            let what = format!("{host}/open/hello");
            let allowed = on_record(&sandbox, Outcome::Allowed, "GET", &what);
            assert_eq!((allowed.rule.as_deref(), allowed.way), (Some("web"), Way::Connect));
            let caller = allowed.caller.as_ref().map(|caller| caller.binary.as_str());
            assert_eq!(caller, Some("/usr/bin/curl"));
            let what = format!("{host}/closed/hello");
            let denied = on_record(&sandbox, Outcome::Denied, "GET", &what);
            let reason = denied.reason.expect("a denial has one");
            assert!(reason.nearest.is_some_and(|edit| edit.contains("/closed/hello")));
        }
        all_on_record(&sandbox, Outcome::Denied, &[]);
    });
}

pub fn curl_sends_what_it_may(run_as: RunAs) {
    world(|w| {
        let site = web::serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, web::POLICY);
        for host in HOSTS {
            sends(&sandbox, &site, host);
        }
    });
}

fn sends(sandbox: &Sandbox<'_>, site: &Site, host: &str) {
    let at = format!("https://{host}");
    let told = |said: &Finished| said.stdout.trim_end().to_owned();

    // A form, and a text in the body's other framing.
    let form = format!("curl -sS -A me -H 'X-Test: one' -d a=b {at}/open/echo");
    assert_eq!(told(&sandbox.sh(&form).succeeded()), "one\nme\n3");
    let chunked = "-H 'Content-Type: text/plain' -H 'Transfer-Encoding: chunked'";
    let chunked = if host == HOSTS[0] { chunked } else { "-H 'Content-Type: text/plain'" };
    assert_eq!(told(&sandbox.sh(&format!("{form} {chunked}")).succeeded()), "one\nme\n3");

    // More than a MiB: over HTTP/1.1 curl asks first whether it may.
    // Nobody says that they may over HTTP/2.
    let patience = if host == HOSTS[0] { 20 } else { 1 };
    let expect = format!("-H 'Expect: 100-continue' --expect100-timeout {patience}");
    let expect = expect.as_str();
    let sent = sandbox.sh(&format!(
        "head -c 1500000 /dev/zero > big
         curl -sS -v --http1.1 --expect100-timeout 20 -T big {at}/open/put/big 2>&1 | grep -c '100 Continue'
         curl -sS -T big {at}/open/put/big
         curl -sS -H 'Content-Type: text/plain' {expect} --data-binary @big {at}/open/echo"
    ));
    let lines: Vec<&str> = sent.stdout.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("1", "1500000"), "{sent}");
    assert_eq!(std::fs::read(site.path("open/put/big")).expect("it was put").len(), 1_500_000);

    // A server that does not want it, with and without being asked.
    for expect in ["", expect] {
        let status = "curl -sS -o answer -w '%{http_code}\\n'";
        let refused = sandbox.sh(&format!("{status} {expect} -T big {at}/open/put/small/big"));
        assert_eq!(told(&refused.succeeded()), "413");
    }

    // What is denied is denied before the body: the client learns why, whatever it sends.
    for expect in ["", expect, chunked] {
        let denied = sandbox.sh(&format!("curl -sS {expect} -T big {at}/open/other"));
        explains(&denied.succeeded().stdout, "PUT", "/open/other");
    }
    assert!(!site.asked().contains("/open/other"), "{}", site.asked());
    all_on_record(sandbox, Outcome::Denied, &[("PUT", &format!("{host}/open/other"))]);
    all_on_record(sandbox, Outcome::Allowed, &[("POST", &format!("{host}/open/echo"))]);
}
