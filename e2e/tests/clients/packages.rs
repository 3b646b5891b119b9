//! Package managers against registries that are nothing but files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use openshell_audit::Outcome;
use openshell_testkit::{Finished, Product, RunAs, World, finish, world};

use crate::fetched;
use crate::judged::{all_on_record, start};
use crate::site::{Plan, Site};

/// How the policies of this file begin.
pub const HEAD: &str = "\nversion: 1\nnetwork_policies:\n";

/// What may be read of the index. Whoever installs may be any program: uv itself is installed.
pub const INDEX: &str = r#"
version: 1
network_policies:
  index:
    endpoints:
      - host: pypi.example.com
        port: 443
        protocol: rest
        rules:
          - allow: { method: GET, path: "/simple/*/" }
          - allow: { method: GET, path: "/files/*.whl" }
        deny_rules:
          - { method: GET, path: "/simple/part-150/" }
      - host: pypi-two.example.com
        port: 443
        protocol: rest
        access: read-only
    binaries:
      - { path: /usr/bin/python3 }
      - { path: "/sandbox/uv/bin/*" }
"#;

/// Its names: one speaks HTTP/1.1, the other HTTP/2 too.
const INDICES: [&str; 2] = ["pypi.example.com", "pypi-two.example.com"];

/// The same of the registry.
const REGISTRY: &str = r#"
version: 1
network_policies:
  registry:
    endpoints:
      - host: npm.example.com
        port: 443
        protocol: rest
        SLASH
        rules:
          - allow: { method: GET, path: "/part-*" }
          - allow: { method: GET, path: "/part-*/-/*.tgz" }
          - allow: { method: GET, path: "/@team%2fpart" }
          - allow: { method: GET, path: "/@team/part/-/*.tgz" }
    binaries:
      - { path: /usr/bin/node }
"#;

/// What the index has beside what was fetched; the last part is the one that is denied.
const PARTS: usize = 150;

pub fn pip_installs_what_it_may(run_as: RunAs) {
    world(|w| {
        let _site = index(w, Path::new("/nonexistent"));
        let product = Product::new(run_as);
        let sandbox = start(&product, w, INDEX);
        // Part 1 needs six others.
        sandbox.sh(&pip("download --dest got part-1")).succeeded();
        let got = sandbox.sh("ls got | wc -l").succeeded();
        assert_eq!(got.stdout.trim(), "43", "{got}");
        let denied = sandbox.sh(&pip("download --dest got part-150"));
        // pip says no more of an index page that it does not get.
        assert!(denied.stderr.contains("No matching distribution"), "{denied}");
        all_on_record(&sandbox, Outcome::Allowed, &[("GET", "pypi.example.com/simple/part-1/")]);
        all_on_record(&sandbox, Outcome::Denied, &[("GET", "pypi.example.com/simple/part-150/")]);
    });
}

pub fn n03_uv_installs_a_large_tree(run_as: RunAs) {
    world(|w| {
        let site = index(w, &fetched::wheels());
        let product = Product::new(run_as);
        let sandbox = start(&product, w, INDEX);
        sandbox.sh(&pip("install --target uv uv")).succeeded();
        let uv = |host: &str, what: &str| {
            sandbox.sh(&format!(
                "UV_CONCURRENT_DOWNLOADS=200 uv/bin/uv pip install --no-cache --python \
                 /usr/bin/python3 --index-url https://{host}/simple --target {host} {what}"
            ))
        };
        for host in INDICES {
            uv(host, "part-0").succeeded();
            let got = sandbox.sh(&format!("ls -d {host}/part_*.py | wc -l")).succeeded();
            assert_eq!(got.stdout.trim(), PARTS.to_string(), "{got}");
        }
        assert!(site.asked().contains(" HTTP/2.0 "), "{}", site.asked());
        let denied = uv(INDICES[0], "part-150");
        assert_ne!(denied.code, Some(0), "{denied}");
        assert!(denied.stderr.contains("403"), "{denied}");
        all_on_record(&sandbox, Outcome::Denied, &[("GET", "pypi.example.com/simple/part-150/")]);
    });
}

pub fn n03_hundreds_of_connections_at_once(run_as: RunAs) {
    world(|w| {
        let _site = index(w, Path::new("/nonexistent"));
        let product = Product::new(run_as);
        let policy = INDEX.replace("/usr/bin/python3", "/usr/bin/curl");
        let sandbox = start(&product, w, &policy);
        for host in INDICES {
            let script = format!(
                "for n in $(seq 0 149) $(seq 0 149); do \
                 echo url=https://{host}/simple/part-$n/; echo output=/dev/null; done > list; \
                 curl -sS -w '%{{http_code}}\\n' --parallel --parallel-immediate \
                 --parallel-max 300 -K list | sort | uniq -c | tr -s ' '"
            );
            // curl itself needs many seconds for 300 handshakes, so each way is tried once.
            let said =
                if host == INDICES[0] { sandbox.sh(&script) } else { sandbox.direct(&script) };
            assert_eq!(said.stdout, " 300 200\n", "{said}");
        }
    });
}

pub fn npm_installs_what_it_may(run_as: RunAs) {
    world(|w| {
        let _site = registry(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &REGISTRY.replace("SLASH", "allow_encoded_slash: true"));
        let npm = |what: &str| {
            sandbox.sh(&format!(
                "npm install --registry=https://npm.example.com --no-audit --no-fund \
                 --fetch-retries=0 --update-notifier=false {what}"
            ))
        };
        npm("@team/part").succeeded();
        let got =
            sandbox.sh("ls -d node_modules/part-* | wc -l; node -p \"require('@team/part')\"");
        assert_eq!(got.clone().succeeded().stdout, "60\n@team/part\n", "{got}");
        let denied = npm("secret");
        assert_ne!(denied.code, Some(0), "{denied}");
        assert!(denied.stderr.contains("403"), "{denied}");
        all_on_record(&sandbox, Outcome::Denied, &[("GET", "npm.example.com/secret")]);
    });
}

/// A command of pip for the index.
pub fn pip(what: &str) -> String {
    let (verb, rest) = what.split_once(' ').expect("a verb and more");
    format!(
        "python3 -m pip {verb} --quiet --no-cache-dir --disable-pip-version-check --retries=0 \
         --index-url=https://pypi.example.com/simple {rest}"
    )
}

/// An index with the wheels of a folder and many small ones.
pub fn index(w: &World, wheels: &Path) -> Site {
    let mut plan = Plan::new(w);
    make(include_str!("programs/index.py"), &[wheels, &plan.files()]);
    plan.host(INDICES[0], "");
    plan.host_of_http2(INDICES[1], "");
    plan.start()
}

fn registry(w: &World) -> Site {
    let mut plan = Plan::new(w);
    make(include_str!("programs/registry.py"), &[&plan.files()]);
    plan.host("npm.example.com", "location / { try_files $uri/about.json $uri =404; }");
    plan.start()
}

fn make(program: &str, folders: &[&Path]) -> Finished {
    let mut command = Command::new("/usr/bin/python3");
    finish(command.args(["-c", program]).args(folders), Duration::from_secs(60)).succeeded()
}
