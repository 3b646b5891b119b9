//! Policies with errors.

use openshell_e2e::Sandbox;
use openshell_testkit::http::Response;
use openshell_testkit::{Finished, Product, RunAs, world};

use crate::left;

const GOOD: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

/// An unknown key, a wrong type and a bad glob.
const BAD: &str = "\
version: 1
network_policies:
  api:
    endpoint:
      - { host: api.example.com, port: 80 }
  other:
    endpoints:
      - { host: other.example.com, port: eighty }
      - { host: 'ab*cd*.example.*', port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

#[track_caller]
fn shows_all_errors(said: &Finished, file: &str) {
    for place in [":4:5", ":8:42", ":9:17"] {
        assert!(said.stderr.contains(&format!("--> {file}{place}")), "{place}: {said}");
    }
    assert!(said.stderr.contains("`endpoint`"), "the unknown key: {said}");
    assert!(said.stderr.contains("did you mean `endpoints`?"), "the next step: {said}");
    assert!(said.stderr.contains("`eighty`"), "the wrong type: {said}");
    assert!(said.stderr.contains("`ab*cd*.example.*`"), "the bad glob: {said}");
    assert!(said.stderr.contains("  ^") && !said.stderr.contains("panicked"), "{said}");
}

pub fn m01_every_error_of_a_policy_is_shown_at_once_with_its_place(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let file = Sandbox::existing(&product, "bad").write_policy(BAD);
        let said = product.run(&["sandbox", "create", "--policy", &file, "--", "true"]).exited(2);
        shows_all_errors(&said, &file);
        left::nothing(&product);

        let sandbox = Sandbox::start(&product, "good", GOOD);
        shows_all_errors(&sandbox.set_policy(BAD).exited(2), sandbox.write_policy(BAD).as_str());
    });
}

pub fn m03_the_policy_before_stays_in_force(run_as: RunAs) {
    world(|w| {
        w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "stays", GOOD);
        let get = "curl -s http://api.example.com/";
        assert_eq!(sandbox.sh(get).stdout, "hello");
        for bad in [BAD, "", "version: 2\n", "not: [a policy", "[]\n", "version: 1\nversion: 1\n"] {
            let said = sandbox.set_policy(bad).exited(2);
            assert!(said.stderr.contains("error"), "{said}");
            assert_eq!(sandbox.sh(get).stdout, "hello", "after {bad:?}");
        }
        let said = product.run(&["sandbox", "get", "stays", "--policy-only"]).succeeded();
        assert_eq!(said.stdout, GOOD);
        let said = product.run(&["policy", "get", "stays", "-o", "json"]).succeeded();
        let policy: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        assert_eq!((&policy["revision"], &policy["status"]), (&1.into(), &"Enforced".into()));
        // What cannot change while a sandbox lives is refused as well.
        let moved = format!(
            "{GOOD}filesystem_policy:\n  read_only: [/usr]\nlandlock:\n  \
                             compatibility: hard_requirement\n"
        );
        let said = sandbox.set_policy(&moved);
        assert_ne!(said.code, Some(0), "{said}");
        assert_eq!(sandbox.sh(get).stdout, "hello");
    });
}

pub fn a_policy_that_cannot_be_read_creates_nothing(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let said = product.run(&["sandbox", "create", "--policy", "absent.yaml", "--", "true"]);
        let said = said.exited(2);
        assert!(said.stderr.contains("`absent.yaml` cannot be read: no such file"), "{said}");
        assert!(product.processes().is_empty(), "not even a gateway was started");
    });
}
