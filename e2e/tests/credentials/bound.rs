//! Credentials that a person's own policy binds.

use std::time::Duration;

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, World, finish, world};
use serde_json::Value;

use crate::agent::{provider, trust};
use crate::server::Server;
use crate::signing::{REAL as KEYS, Store, denied, with_s3};

const HOST: &str = "api.corp.example.com";

/// The real value. Nothing else contains it.
const TOKEN: &str = "corp_canaryCANARYcanaryCANARYcanaryCANARY0001";

/// Curl may ask with the credential, and Python without it.
const POLICY: &str = "
version: 1
network_policies:
  corp:
    endpoints:
      - host: api.corp.example.com
        port: 443
        protocol: rest
        access: read-write
        path: /v1/**
        credential_binding: { provider: corp }
        request_body_credential_rewrite: true
    binaries: [{ path: /usr/bin/curl }]
  scripts:
    endpoints: [{ host: api.corp.example.com, port: 443, protocol: rest, access: read-write }]
    binaries: [{ path: /usr/bin/python3 }]
";

/// A server that writes down what authenticates each request.
struct Corp(Server);

impl Corp {
    fn start(w: &World) -> Self {
        Self(Server::start(w, HOST, include_str!("recorder.py"), &[]))
    }

    /// Method and credential of each request.
    fn requests(&self) -> Vec<String> {
        let out = self.0.out();
        out.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    }
}

/// A sandbox with the provider `corp`, which is of no type that knows a server.
fn start<'p>(product: &'p Product, w: &World) -> Sandbox<'p> {
    trust(product, w);
    provider(product, "corp", "generic", "CORP_TOKEN", TOKEN);
    existing(product, POLICY, "corp")
}

fn existing<'p>(product: &'p Product, policy: &str, provider: &str) -> Sandbox<'p> {
    let sandbox = Sandbox::existing(product, "agent");
    let file = sandbox.write_policy(policy);
    let create =
        ["sandbox", "create", "--name", "agent", "--policy", &file, "--provider", provider];
    product.run(&[&create[..], &["--detach", "--", "sleep", "1000000"]].concat()).succeeded();
    sandbox
}

/// Asks as curl does; prints status and body.
fn curl(arguments: &str) -> String {
    format!("curl -sS -o body -w '%{{http_code}} ' {arguments}; cat body")
}

pub fn a_policy_binds_a_credential_to_the_programs_of_its_rule(run_as: RunAs) {
    world(|w| {
        let server = Corp::start(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w);
        for arguments in [
            format!("-H \"Authorization: Bearer $CORP_TOKEN\" https://{HOST}/v1/a"),
            format!("-H \"X-Api-Key: $CORP_TOKEN\" https://{HOST}/v1/a"),
            format!(
                "-H 'Content-Type: application/json' -d \"{{\\\"model\\\":\\\"$CORP_TOKEN\\\"}}\" https://{HOST}/v1/a"
            ),
        ] {
            let said = sandbox.sh(&curl(&arguments)).succeeded();
            assert!(said.stdout.starts_with("200 "), "{arguments} {said}");
        }
        assert_eq!(
            server.requests(),
            [format!("GET {TOKEN}"), format!("GET {TOKEN}"), "POST -".into()]
        );
        assert!(server.0.out().contains(&format!("POST - {TOKEN} ")), "{}", server.0.out());
        let held = sandbox.sh("printf %s \"$CORP_TOKEN\"").succeeded().stdout;
        assert!(!held.is_empty() && held != TOKEN, "{held}");
        let log = sandbox.log();
        eventually("what was used is on record", || {
            let used = log.requests().into_iter();
            let used = used.filter(|one| one.credentials == ["corp/CORP_TOKEN"]).count();
            (used == 3).then_some(())
        });

        // What the gateway does not know, or what is not attached, is refused with its place.
        let unknown = sandbox.set_policy(&POLICY.replace("provider: corp", "provider: other"));
        assert!(unknown.code != Some(0), "{unknown}");
        for part in ["P0422", "rule `corp`", "there is no provider `other`", "provider create"] {
            assert!(unknown.stderr.contains(part) || unknown.stdout.contains(part), "{unknown}");
        }
    });
}

pub fn i02_another_program_and_a_detached_provider_get_nothing(run_as: RunAs) {
    const PYTHON: &str = "import os, sys, urllib.request as u, urllib.error as e
key = os.environ['CORP_TOKEN']
r = u.Request('https://api.corp.example.com' + sys.argv[1].format(key=key),
              headers={sys.argv[2]: sys.argv[3].format(key=key)})
try:
    print(u.urlopen(r).status)
except e.HTTPError as error:
    print(error.code, error.read().decode())";
    world(|w| {
        let server = Corp::start(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w);
        // Python may ask, and the placeholder is what curl authenticates with.
        let plain = sandbox.python(PYTHON, &["/v1/a", "X-Other", "1"]).succeeded();
        assert_eq!(plain.stdout, "200\n");
        let attempts = [
            ["/v1/a", "Authorization", "Bearer {key}"],
            ["/v1/a", "X-Api-Key", "{key}"],
            ["/v1/a?key={key}", "X-Other", "1"],
            ["/v1/{key}", "X-Other", "1"],
        ];
        for attempt in attempts {
            let said = sandbox.python(PYTHON, &attempt).succeeded().stdout;
            let body = said.strip_prefix("403 ").unwrap_or_else(|| panic!("{attempt:?} {said}"));
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(body["error"], "credential_endpoint_mismatch", "{body:#}");
            let detail = body["detail"].as_str().unwrap_or_default();
            assert!(
                detail.contains("corp/CORP_TOKEN") && detail.contains("rule `corp`"),
                "{detail}"
            );
        }
        assert_eq!(server.requests(), ["GET -"]);
        let predicates = denied(&sandbox, attempts.len());
        assert!(predicates.iter().all(|one| one == "credential_program"), "{predicates:?}");

        // It can be detached at once, and the policy that names it stays in force.
        let held = sandbox.sh("printf %s \"$CORP_TOKEN\"").succeeded().stdout;
        let ask = curl(&format!("-H 'Authorization: Bearer {held}' https://{HOST}/v1/a"));
        assert!(sandbox.sh(&ask).succeeded().stdout.starts_with("200 "));
        product.run(&["sandbox", "provider", "detach", "agent", "corp"]).succeeded();
        let said = sandbox.sh(&ask).succeeded().stdout;
        assert!(said.starts_with("403 ") && said.contains("placeholder"), "{said}");
        let mine = curl(&format!("-H 'Authorization: Bearer mine' https://{HOST}/v1/a"));
        let said = sandbox.sh(&mine).succeeded().stdout;
        assert!(said.contains("credential_endpoint_mismatch"), "{said}");
        assert_eq!(server.requests(), ["GET -".to_owned(), format!("GET {TOKEN}")]);
    });
}

/// Python may sign; curl may ask, and not sign.
const STORE: &str = "
version: 1
network_policies:
  store:
    endpoints:
      - host: s3.eu-central-1.amazonaws.com
        port: 443
        protocol: rest
        access: read-write
        credential_binding: { provider: keys }
        credential_signing: MODE
        signing_service: s3
    binaries: [{ path: /usr/bin/python3 }]
  other:
    endpoints:
      - { host: s3.eu-central-1.amazonaws.com, port: 443, protocol: rest, access: read-write }
    binaries: [{ path: /usr/bin/curl }]
";

pub fn i10_keys_that_a_policy_binds_sign_for_its_programs_alone(run_as: RunAs) {
    const USE: &str = "set -e
        export AWS_DEFAULT_REGION=eu-central-1 AWS_ENDPOINT_URL_S3=https://s3.eu-central-1.amazonaws.com
        export AWS_REQUEST_CHECKSUM_CALCULATION=when_required
        echo text > up
        s3 cp --quiet up 's3://open/a folder/text'
        s3 cp --quiet 's3://open/a folder/text' -";
    world(|w| {
        let store = Store::start(w);
        let product = Product::new(run_as);
        trust(&product, w);
        let mut create: Vec<&str> =
            vec!["provider", "create", "--name", "keys", "--type", "generic"];
        create.extend(KEYS.iter().flat_map(|(variable, _)| ["--credential", variable]));
        finish(product.command(&create).envs(KEYS), Duration::from_secs(30)).succeeded();
        let in_mode = |mode: &str| STORE.replace("MODE", mode);
        let sandbox = existing(&product, &in_mode("sigv4"), "keys");
        for (mode, digest) in
            [("sigv4", ""), ("sigv4:body", ""), ("sigv4:no_body", "UNSIGNED-PAYLOAD")]
        {
            sandbox.set_policy(&in_mode(mode)).succeeded();
            let before = store.requests().len();
            let said = sandbox.sh(&with_s3(USE));
            assert_eq!(said.stdout, "text\n", "{mode} {said} {}", sandbox.logs());
            let all = store.requests().split_off(before);
            assert!(all.len() >= 2, "{mode} {all:#?}");
            for one in all {
                assert!(one["fault"].is_null(), "{mode} {one:#}");
                let said = one["digest"].as_str().unwrap_or_default();
                let is_digest = said.len() == 64;
                assert!(mode == "sigv4" || is_digest == digest.is_empty(), "{mode} {one:#}");
                assert!(digest.is_empty() || said == digest, "{mode} {one:#}");
            }
        }
        let before = store.requests().len();
        let curl = "curl -sS --aws-sigv4 aws:amz:eu-central-1:s3 \
             --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" \
             -H \"x-amz-security-token: $AWS_SESSION_TOKEN\" \
             https://s3.eu-central-1.amazonaws.com/open/text";
        let said = sandbox.sh(curl).succeeded().stdout;
        assert!(
            said.contains("credential_endpoint_mismatch") && said.contains("rule `store`"),
            "{said}"
        );
        assert_eq!(denied(&sandbox, 1), ["credential_program"]);
        assert_eq!(store.requests().len(), before);
        let log = sandbox.log();
        let used = log.requests().into_iter().filter(|one| one.outcome == Outcome::Allowed);
        let names = KEYS.map(|(variable, _)| format!("keys/{variable}"));
        assert!(used.into_iter().all(|one| one.credentials == names));
    });
}
