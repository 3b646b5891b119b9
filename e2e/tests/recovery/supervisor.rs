//! `kill -9` and `kill -STOP` of the supervisor.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};
use rustix::process::{Signal, kill_process};

use crate::kill;

const POLICY: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";

pub fn m14_a_jail_ends_with_its_supervisor_and_the_phase_says_why(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        // One that ignores what can be ignored, and one that left its session.
        let script = "trap '' TERM HUP INT; setsid sleep 7771 & sleep 7772";
        let create = ["sandbox", "create", "--name", "killed", "--", "sh", "-c", script];
        let attached = product
            .command(&create)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openshell runs");
        let agents = || ["7771", "7772"].map(|word| kill::with_word(word).len());
        eventually("the command runs", || (agents() == [1, 1]).then_some(()));
        let sandbox = Sandbox::existing(&product, "killed");
        let folder = sandbox.folder();

        kill::kill(kill::supervisor(&product));
        let killed = Instant::now();
        while agents() != [0, 0] || !kill::supervisors(&product).is_empty() {
            let passed = killed.elapsed();
            assert!(passed < Duration::from_secs(1), "after {passed:?}: {:?}", agents());
            thread::sleep(Duration::from_millis(2));
        }
        println!("the jail was gone after {:?}", killed.elapsed());

        eventually("the phase says so", || (sandbox.phase() == "Error").then_some(()));
        let message = sandbox.detail()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("supervisor ended"), "{message}");
        let said = attached.wait_with_output().expect("it ends");
        assert_eq!(said.status.code(), Some(125));
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(error.contains("error: "), "{error}");
        sandbox.sh("true").exited(125);
        // What was audited is still there, and all of it can be removed.
        assert!(!sandbox.log().records().is_empty());
        product.run(&["sandbox", "delete", "killed"]).succeeded();
        assert!(!folder.exists());
    });
}

pub fn m14_a_jail_whose_supervisor_is_stopped_has_no_network(run_as: RunAs) {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as);
        let script = "unset http_proxy ALL_PROXY all_proxy; \
             while :; do curl -s -m 1 http://api.example.com/ >> /sandbox/said; sleep 0.05; done";
        let _sandbox = Sandbox::start_with(&product, "stopped", POLICY, &["sh", "-c", script]);
        let count = || server.counts().connections;
        eventually("it connects", || (count() > 3).then_some(()));
        let supervisor = kill::supervisor(&product);
        kill_process(supervisor, Signal::STOP).expect("it runs");
        thread::sleep(Duration::from_millis(100));
        let before = count();
        thread::sleep(Duration::from_secs(2));
        assert_eq!(count(), before, "nothing leaves without a supervisor");
        kill_process(supervisor, Signal::CONT).expect("it is there");
        eventually("it connects again", || (count() > before).then_some(()));
    });
}
