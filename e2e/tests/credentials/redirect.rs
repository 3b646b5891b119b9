//! Redirections from a bound server to another that is allowed.

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::{Request, Response};
use openshell_testkit::{Product, RunAs, Server, World, world};

use crate::agent::{provider, serve, trust};

const BOUND: &str = "api.openai.com";
const OTHER: &str = "other.example.com";

/// Bound in `authorization`, which curl takes out at another host by itself.
const BEARER: &str = "sk-proj-canaryCANARYcanaryCANARYcanaryCANARY0001";

/// Bound in `x-api-key`, which curl takes along.
const KEY: &str = "sk-ant-api03-canaryCANARYcanaryCANARYcanaryCANARY0002";

const POLICY: &str = "
version: 1
network_policies:
  both:
    endpoints:
      - { host: api.openai.com, port: 443, protocol: rest, access: read-write }
      - { host: api.anthropic.com, port: 443, protocol: rest, access: read-write }
      - { host: other.example.com, port: 443, protocol: rest, access: read-write }
    binaries: [{ path: /usr/bin/curl }]
";

/// A bound server that sends everybody elsewhere.
fn elsewhere(w: &World, name: &str) -> Server {
    w.serve_https(name, |request| {
        let to = format!("https://{OTHER}{}", request.target);
        Response::new(302, "text/plain", "elsewhere").with("Location", &to)
    })
}

fn fields<'r>(requests: &'r [Request], name: &str) -> Vec<&'r str> {
    requests.iter().filter_map(|request| request.header(name)).collect()
}

pub fn i04_a_redirection_takes_no_credential_along(run_as: RunAs) {
    world(|w| {
        let (bound, with_key) = (elsewhere(w, BOUND), elsewhere(w, "api.anthropic.com"));
        let (other, _) = serve(w, OTHER);
        let product = Product::new(run_as);
        trust(&product, w);
        provider(&product, "models", "openai", "OPENAI_API_KEY", BEARER);
        provider(&product, "claude", "anthropic", "ANTHROPIC_API_KEY", KEY);
        let sandbox = Sandbox::start(&product, "agent", POLICY);
        for name in ["models", "claude"] {
            product.run(&["provider", "attach", "agent", name]).succeeded();
        }
        let curl = |arguments: &str| {
            let script = format!("curl -sS -L -o body -w '%{{http_code}} ' {arguments}; cat body");
            sandbox.sh(&script).succeeded().stdout
        };

        // Followed as clients do: the second request is one of its own, without the field.
        let bearer = "-H \"authorization: Bearer $OPENAI_API_KEY\"";
        assert_eq!(curl(&format!("{bearer} https://{BOUND}/v1/models")), "200 hello");
        assert_eq!(fields(&bound.requests(), "authorization"), [format!("Bearer {BEARER}")]);
        let landed = other.requests();
        assert_eq!(landed.len(), 1);
        let text = format!("{landed:?}");
        assert!(landed[0].header("authorization").is_none() && !text.contains("canary"), "{text}");

        // Taken along, its placeholder is denied there, and nothing of the request is sent.
        let trusted = format!("--location-trusted {bearer} https://{BOUND}/v1/models");
        let key = "-H \"x-api-key: $ANTHROPIC_API_KEY\" https://api.anthropic.com/v1/models";
        for arguments in [&trusted, key] {
            let said = curl(arguments);
            assert!(said.starts_with("403 "), "{said}");
            assert!(said.contains("credential_endpoint_mismatch"), "{said}");
        }
        assert_eq!(bound.requests().len(), 2);
        assert_eq!(fields(&with_key.requests(), "x-api-key"), [KEY]);
        assert_eq!(other.requests().len(), 1);
        let log = sandbox.log();
        eventually("both denials are on record", || {
            let denied = log.requests().into_iter().filter(|one| {
                one.outcome == Outcome::Denied
                    && one
                        .reason
                        .as_ref()
                        .is_some_and(|why| why.predicate == "credential_elsewhere")
            });
            (denied.count() == 2).then_some(())
        });
    });
}
