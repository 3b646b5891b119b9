//! Requests that a program signs with what it holds, and that arrive signed with what it does not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, World, finish, world};
use serde_json::Value;

use crate::agent::trust;
use crate::server::Server;

/// Where `cargo xtask test --install` puts the command line of AWS, and what checks signatures.
const FOLDER: &str = "/opt/openshell-tests/python";

const HOST: &str = "s3.eu-central-1.amazonaws.com";

/// The real values, by the variables of the sandbox.
pub const REAL: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "ASIACANARYCANARY2345"),
    ("AWS_SECRET_ACCESS_KEY", "canary/SECRET+canarySECRETcanarySECRET0001"),
    ("AWS_SESSION_TOKEN", "canaryTOKEN/canaryTOKEN+canaryTOKENcanaryTOKEN0001=="),
];

/// The provider's own rule lets Python read and write; this takes a bucket out of it.
const POLICY: &str = "
version: 1
network_policies:
  store:
    endpoints:
      - host: s3.eu-central-1.amazonaws.com
        port: 443
        protocol: rest
        access: read-only
        deny_rules: [{ method: \"*\", path: /closed** }]
    binaries: [{ path: /usr/bin/python3 }]
";

/// Why this cannot be tried here.
pub fn missing() -> Option<String> {
    let there = fs::read_to_string(Path::new(FOLDER).join("list.txt")).unwrap_or_default();
    let is_wanted = there == include_str!("../../python.txt");
    (!is_wanted).then(|| format!("{FOLDER} has not what e2e/python.txt names"))
}

/// A server of S3 that knows the real keys.
pub struct Store(Server);

impl Store {
    pub fn start(w: &World) -> Self {
        let names = ["KEY_ID", "SECRET", "TOKEN"].into_iter();
        let keys = names.zip(REAL.map(|(_, real)| real));
        let environment: Vec<_> =
            keys.chain([("PYTHONPATH", FOLDER), ("REGION", "eu-central-1")]).collect();
        Self(Server::start(w, HOST, include_str!("bucket.py"), &environment))
    }

    /// Each request that it got.
    pub fn requests(&self) -> Vec<Value> {
        self.0.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A sandbox with a provider of S3.
fn start<'p>(product: &'p Product, w: &World) -> Sandbox<'p> {
    trust(product, w);
    let create = ["provider", "create", "--name", "store", "--type", "aws-s3", "--from-existing"];
    let mut create =
        product.command(&[&create[..], &["--config", "AWS_REGION=eu-central-1"]].concat());
    finish(create.envs(REAL), Duration::from_secs(30)).succeeded();
    let sandbox = Sandbox::existing(product, "agent");
    let file = sandbox.write_policy(POLICY);
    let create = ["sandbox", "create", "--name", "agent", "--policy", &file, "--provider", "store"];
    product.run(&[&create[..], &["--detach", "--", "sleep", "1000000"]].concat()).succeeded();
    sandbox
}

/// A script with the command line of AWS as `s3`.
pub fn with_s3(script: &str) -> String {
    format!("s3() {{ PYTHONPATH={FOLDER} /usr/bin/python3 -m awscli s3 \"$@\"; }}\n{script}")
}

/// The predicates of what was denied, as soon as there are so many.
pub fn denied(sandbox: &Sandbox<'_>, count: usize) -> Vec<String> {
    let log = sandbox.log();
    eventually("the denials are on record", || {
        let all = log.requests().into_iter();
        let denied = all.filter(|one| one.outcome == Outcome::Denied);
        let all: Vec<String> = denied.filter_map(|one| Some(one.reason?.predicate)).collect();
        (all.len() >= count).then_some(all)
    })
}

pub fn the_command_line_of_aws_reads_and_writes_what_it_may(run_as: RunAs) {
    world(|w| {
        let store = Store::start(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w);
        let script = "set -e
            head -c 300000 /dev/urandom > up
            s3 cp --quiet up 's3://open/a folder/b+c=d.bin'
            s3 cp --quiet 's3://open/a folder/b+c=d.bin' down
            cmp up down
            s3 ls 's3://open/a folder/'
            echo text | s3 cp --quiet - s3://open/text
            s3 cp --quiet s3://open/text -";
        let said = sandbox.sh(&with_s3(script)).succeeded();
        assert!(said.stdout.contains("300000 b+c=d.bin"), "{said}");
        assert!(said.stdout.ends_with("\ntext\n"), "{said}");
        let all = store.requests();
        assert!(all.len() >= 7 && all.iter().all(|one| one["fault"].is_null()), "{all:#?}");
        // Bodies with a checksum behind them are among what passes.
        let is_trailed = |one: &Value| one["digest"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        assert!(all.iter().any(is_trailed), "{all:#?}");
        let log = sandbox.log();
        eventually("what was used is on record", || {
            let used = log.requests().into_iter().filter(|one| one.outcome == Outcome::Allowed);
            let used: Vec<Vec<String>> = used.map(|one| one.credentials).collect();
            let names = REAL.map(|(variable, _)| format!("store/{variable}"));
            (used.len() == all.len() && used.iter().all(|own| *own == names)).then_some(())
        });

        // What the sandbox holds is something else.
        let held = sandbox.sh("env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
        let held = held.stdout;
        assert!(held.contains("AWS_ACCESS_KEY_ID=ASIA"), "{held}");
        for (_, real) in REAL {
            assert!(!held.contains(real), "{held}");
        }
    });
}

pub fn i10_nothing_is_signed_for_other_buckets_regions_or_people(run_as: RunAs) {
    world(|w| {
        let store = Store::start(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w);
        let fails = |script: &str, predicate: &str, count: usize| {
            let said = sandbox.sh(&with_s3(script));
            assert!(said.code != Some(0), "{script} {said}");
            let denied = denied(&sandbox, count);
            assert_eq!(denied.last().map(String::as_str), Some(predicate), "{denied:?} {said}");
        };
        fails("echo text | s3 cp - s3://closed/text", "deny_rule", 1);
        fails("s3 --region us-west-2 ls s3://open/", "credential_scope", 2);
        fails("s3 --no-sign-request ls s3://open/", "credential_signature", 3);
        let presigned = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])";
        let script = format!("/usr/bin/python3 -c '{presigned}' \"$(s3 presign s3://open/text)\"");
        fails(&script, "credential_signature", 4);
        let mine = "export AWS_ACCESS_KEY_ID=AKIAATTACKER23456789 AWS_SECRET_ACCESS_KEY=mine
            unset AWS_SESSION_TOKEN; s3 ls s3://open/";
        fails(mine, "credential_foreign", 5);
        assert_eq!(store.requests(), [] as [Value; 0]);
        assert_eq!(denied(&sandbox, 5).len(), 5);
    });
}
