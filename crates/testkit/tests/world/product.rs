//! The product's driver, with programs of the system in the product's place.

use std::time::Duration;

use openshell_testkit::http::Response;
use openshell_testkit::switch_off::Feature;
use openshell_testkit::{Product, RunAs, finish, world};

const PATIENCE: Duration = Duration::from_secs(10);

pub fn an_ordinary_user_reaches_the_world_in_a_clean_environment() {
    world(|w| {
        let server = w.serve_https("api.example.com", |_| Response::text("hello"));
        let product = Product::new(RunAs::Ordinary);
        let script = "id -u; env | sort; cat /proc/self/status | grep CapEff; \
             curl -sS --cacert \"$0\" https://api.example.com/";
        let ca = w.ca_file();
        let arguments = ["-c", script, ca.to_str().unwrap()];
        let said = finish(&mut product.program("sh", &arguments), PATIENCE).succeeded().stdout;
        assert!(!said.starts_with("0\n"), "{said}");
        assert!(said.contains(&format!("HOME={}\n", product.home().display())));
        assert!(said.contains("CapEff:\t0000000000000000\n"), "{said}");
        assert!(!said.contains("OPENSHELL") && !said.contains("CARGO"), "{said}");
        assert!(said.ends_with("hello"), "{said}");
        assert_eq!(server.requests().len(), 1);
    });
}

pub fn files_of_the_home_belong_to_its_user() {
    world(|_| {
        let product = Product::new(RunAs::Ordinary);
        product.write_gateway_config("[upstream]\n");
        let script = "echo >> .config/openshell/gateway.toml && mkdir -p .local/state/openshell";
        finish(&mut product.program("sh", &["-c", script]), PATIENCE).succeeded();
        assert!(product.state().is_dir());
    });
}

pub fn what_still_runs_is_killed_at_the_end() {
    world(|_| {
        let product = Product::new(RunAs::Ordinary);
        let script = "exec > log; setsid sleep 1000 & echo started >&2";
        finish(&mut product.program("sh", &["-c", script]), PATIENCE).succeeded();
        assert_eq!(product.processes().len(), 1);
        let pid = product.processes()[0];
        drop(product);
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        assert!(state.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
    });
}

pub fn a_feature_is_missing_beneath_every_command() {
    world(|_| {
        let product = Product::new(RunAs::Tester).without(Feature::UserNamespaces);
        let script = "unshare --user true";
        let refused = finish(&mut product.program("sh", &["-c", script]), PATIENCE).exited(1);
        assert!(refused.stderr.contains("Operation not permitted"), "{refused}");
    });
}

pub fn a_command_is_killed_at_its_deadline() {
    world(|_| {
        let product = Product::new(RunAs::Tester);
        let mut sleep = product.program("sleep", &["1000"]);
        assert_eq!(finish(&mut sleep, Duration::from_millis(50)).code, None);
    });
}
