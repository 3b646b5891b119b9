//! What a machine lacks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use openshell_e2e::Sandbox;
use openshell_testkit::http::Response;
use openshell_testkit::switch_off::Feature;
use openshell_testkit::{Product, RunAs, finish, world};

use crate::left;

/// A sandbox cannot start for want of a feature; `word` and the next step stand in the error.
#[track_caller]
fn refused_without(product: &Product, word: &str, next_step: &str) {
    for detach in [&[][..], &["--detach"]] {
        let head = ["sandbox", "create", "--name", "lacking"];
        let create = [&head[..], detach, &["--", "sh", "-c", "echo it ran"]].concat();
        let said = product.run(&create).exited(125);
        assert_eq!(said.stdout, "", "nothing ran");
        let told = said.stderr.to_lowercase();
        assert!(told.contains("error: ") && told.contains(word), "{said}");
        assert!(told.contains(next_step), "the next step: {said}");
        left::nothing(product);
    }
}

pub fn without_landlock_no_sandbox_starts(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as).without(Feature::Landlock);
        refused_without(&product, "landlock", "`openshell doctor`");
        let doctor = product.run(&["doctor"]).exited(1);
        assert!(doctor.stdout.contains("missing  landlock"), "{doctor}");
    });
}

pub fn without_user_namespaces_no_sandbox_starts(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as).without(Feature::UserNamespaces);
        refused_without(&product, "namespaces", "`openshell doctor`");
        let doctor = product.run(&["doctor"]).exited(1);
        assert!(doctor.stdout.contains("missing  user namespaces"), "{doctor}");
    });
}

pub fn without_a_seccomp_listener_no_sandbox_starts(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as).without(Feature::SeccompListener);
        refused_without(&product, "seccomp listener", "start the gateway outside of it");
        let doctor = product.run(&["doctor"]);
        assert!(doctor.stdout.contains("listener"), "{doctor}");
    });
}

pub fn without_pidfd_getfd_no_connection_is_made(run_as: RunAs) {
    const POLICY: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 80 }
    binaries:
      - { path: /usr/bin/curl }
";
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let product = Product::new(run_as).without(Feature::PidfdGetfd);
        let sandbox = Sandbox::start(&product, "unidentified", POLICY);
        let get = "curl -s -m 10 http://api.example.com/";
        for said in [sandbox.sh(get), sandbox.direct(get)] {
            assert!(!said.stdout.contains("hello"), "nobody could tell who asked: {said}");
        }
        assert_eq!((server.counts().connections, w.dns().questions()), (0, vec![]));
    });
}

pub fn without_the_supervisor_no_sandbox_starts(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        fs::remove_file(product.home().join("bin/openshell-supervisor")).expect("it is ours");
        let said = product.program(product.home().join("bin/openshell"), &["doctor"]);
        let said = finish(&mut { said }, Duration::from_secs(20)).exited(1);
        assert!(said.stdout.contains("openshell-supervisor"), "{said}");
        let create = ["sandbox", "create", "--", "true"];
        let mut create = product.program(product.home().join("bin/openshell"), &create);
        let said = finish(&mut create, Duration::from_secs(20)).exited(125);
        assert!(said.stderr.contains("openshell-supervisor"), "{said}");
        assert!(said.stderr.contains("install both"), "{said}");
        left::no_folders(&product);
    });
}

pub fn a_gateway_of_another_version_is_refused(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let other = older(&product);
        // The older one starts a gateway; the sandbox outlives the upgrade.
        let create = ["sandbox", "create", "--name", "outlives", "--detach", "--", "sleep", "1000"];
        let mut create = product.program(&other, &create);
        finish(&mut create, Duration::from_secs(20)).succeeded();
        let said = product.run(&["sandbox", "list"]).exited(1);
        let ours = env!("CARGO_PKG_VERSION");
        assert!(said.stderr.contains("9.9.9") && said.stderr.contains(ours), "{said}");
        assert!(said.stderr.contains("openshell gateway stop"), "the next step: {said}");
        product.run(&["sandbox", "create", "--", "true"]).exited(125);
        // And the next step works.
        product.run(&["gateway", "stop"]).succeeded();
        let said = product.run(&["sandbox", "list", "--names"]).succeeded();
        assert_eq!(said.stdout, "outlives\n");
        let exec = ["sandbox", "exec", "--name", "outlives", "--", "echo", "still here"];
        assert_eq!(product.run(&exec).succeeded().stdout, "still here\n");
    });
}

/// The built programs with another version written over their own.
fn older(product: &Product) -> std::path::PathBuf {
    let folder = product.home().join("older");
    fs::create_dir(&folder).expect("our own folder is writable");
    let ours = env!("CARGO_PKG_VERSION").as_bytes();
    let theirs = b"9.9.9";
    assert_eq!(ours.len(), theirs.len(), "the other version takes the place of ours");
    for name in ["openshell", "openshell-supervisor"] {
        let mut binary = fs::read(product.home().join("bin").join(name)).expect("it is built");
        let mut at = 0;
        while let Some(found) = binary[at..].windows(ours.len()).position(|part| part == ours) {
            binary[at + found..][..ours.len()].copy_from_slice(theirs);
            at += found + ours.len();
        }
        let path = folder.join(name);
        fs::write(&path, binary).expect("our own folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    folder.join("openshell")
}
