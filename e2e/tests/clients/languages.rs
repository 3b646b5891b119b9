//! Languages' own clients, and their favourite libraries.

use std::fs;
use std::path::PathBuf;

use openshell_audit::Outcome;
use openshell_e2e::Sandbox;
use openshell_testkit::{Product, RunAs, world};

use crate::fetched;
use crate::judged::{all_on_record, explains, on_record, one_of_each, start};
use crate::packages::{self, INDEX};
use crate::web::{self, HOSTS};

pub fn wget_reads_what_it_may(run_as: RunAs) {
    world(|w| {
        let _site = web::serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, web::POLICY);
        for host in HOSTS {
            let get = format!(
                "wget -q -O - https://{host}/open/hello; \
                 wget -q -O - --content-on-error --server-response https://{host}/closed/hello"
            );
            for said in [sandbox.sh(&get), sandbox.direct(&get)] {
                let lines: Vec<&str> = said.stdout.lines().collect();
                assert_eq!(lines.first(), Some(&"hello"), "{said}");
                explains(lines.get(1).copied().unwrap_or_default(), "GET", "/closed/hello");
                assert!(said.stderr.contains("X-OpenShell-Policy: denied"), "{said}");
            }
        }
        denied_at_both(&sandbox);
    });
}

pub fn node_reads_what_it_may(run_as: RunAs) {
    world(|w| {
        let _site = web::serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, web::POLICY);
        let fetch = include_str!("programs/with_fetch.mjs");
        let https = include_str!("programs/with_https.mjs");
        let http2 = include_str!("programs/with_http2.mjs");
        for (program, hosts) in [(fetch, &HOSTS[..]), (https, &HOSTS), (http2, &HOSTS[1..])] {
            for host in hosts {
                let script = of_host(program, host);
                let script = format!("cat > it.mjs <<'END'\n{script}END\nnode it.mjs");
                one_of_each(&sandbox.sh(&script), "GET", "/closed/hello");
                one_of_each(&sandbox.direct(&script), "GET", "/closed/hello");
                let unaware = format!("unset NODE_USE_ENV_PROXY; {script}");
                one_of_each(&sandbox.direct(&unaware), "GET", "/closed/hello");
            }
        }
        denied_at_both(&sandbox);
    });
}

pub fn java_reads_what_it_may(run_as: RunAs) {
    world(|w| {
        let site = web::serve(w);
        let product = Product::new(run_as);
        let java = java().expect("it was looked for");
        let entry = format!("      - {{ path: {} }}\n", java.display());
        let sandbox = start(&product, w, &format!("{}{entry}", web::POLICY));
        for host in HOSTS {
            let program = of_host(include_str!("programs/WithHttpClient.java"), host);
            let script = format!(
                "cat > WithHttpClient.java <<'END'\n{program}END\n{} WithHttpClient.java",
                java.display()
            );
            one_of_each(&sandbox.sh(&script), "GET", "/closed/hello");
        }
        // It asks for HTTP/2 by itself.
        assert!(site.asked().contains("two.example.com GET /open/hello 200 HTTP/2.0"));
        denied_at_both(&sandbox);
    });
}

/// The program itself: what lies in the PATH is a link.
pub fn java() -> Option<PathBuf> {
    let java = fs::canonicalize("/usr/bin/java").ok()?;
    let compiler = java.with_file_name("javac");
    compiler.exists().then_some(java)
}

pub fn python_reads_what_it_may(run_as: RunAs) {
    world(|w| {
        let _site = web::serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, web::POLICY);
        for host in HOSTS {
            python(&sandbox, include_str!("programs/with_urllib.py"), host);
        }
        denied_at_both(&sandbox);
    });
}

pub fn requests_and_httpx_read_what_they_may(run_as: RunAs) {
    world(|w| {
        let site = web::serve(w);
        let _index = packages::index(w, &fetched::wheels());
        let product = Product::new(run_as);
        let policy = format!("{}{}", web::POLICY, INDEX.trim_start_matches(packages::HEAD));
        let sandbox = start(&product, w, &policy);
        sandbox.sh(&packages::pip("install --target site requests httpx h2")).succeeded();
        for host in HOSTS {
            python(&sandbox, include_str!("programs/with_requests.py"), host);
            python(&sandbox, include_str!("programs/with_httpx.py"), host);
        }
        assert!(site.asked().contains("two.example.com GET /open/hello 200 HTTP/2.0"));
        on_record(&sandbox, Outcome::Allowed, "GET", "pypi.example.com/simple/requests/");
        denied_at_both(&sandbox);
    });
}

/// A program of Python reads what it may, by way of the proxy and without.
#[track_caller]
fn python(sandbox: &Sandbox<'_>, program: &str, host: &str) {
    let script = format!("python3 - <<'END'\n{}END", of_host(program, host));
    one_of_each(&sandbox.sh(&script), "GET", "/closed/hello");
    one_of_each(&sandbox.direct(&script), "GET", "/closed/hello");
}

fn of_host(program: &str, host: &str) -> String {
    program.replace("www.example.com", host)
}

#[track_caller]
fn denied_at_both(sandbox: &Sandbox<'_>) {
    let requests = HOSTS.map(|host| ("GET", format!("{host}/closed/hello")));
    let requests = requests.each_ref().map(|(method, what)| (*method, what.as_str()));
    all_on_record(sandbox, Outcome::Denied, &requests);
}
