//! A bound server that tells what it was asked.

use std::time::Duration;

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, finish, world};

use crate::agent::{provider, trust};
use crate::server::Server;

const HOST: &str = "api.openai.com";
const KEY: &str = "sk-proj-canaryCANARYcanaryCANARYcanaryCANARY0003";

const POLICY: &str = "
version: 1
network_policies:
  model:
    endpoints: [{ host: api.openai.com, port: 443, protocol: rest, access: read-write }]
    binaries: [{ path: /usr/bin/curl }]
";

pub fn i03_a_server_that_echoes_tells_no_value(run_as: RunAs) {
    world(|w| {
        let server = Server::start(w, HOST, include_str!("echo.py"), &[]);
        let product = Product::new(run_as);
        trust(&product, w);
        provider(&product, "models", "openai", "OPENAI_API_KEY", KEY);
        let sandbox = Sandbox::start(&product, "agent", POLICY);
        product.run(&["provider", "attach", "agent", "models"]).succeeded();
        let held = sandbox.sh("printf %s \"$OPENAI_API_KEY\"").succeeded().stdout;
        assert_eq!(held.len(), KEY.len());
        let ask = |way: &str| {
            let script = format!(
                "curl -sS -i -H \"authorization: Bearer $OPENAI_API_KEY\" \
                 https://{HOST}/v1/{way} 2>&1; echo \" exit $?\""
            );
            let said = sandbox.sh(&script).succeeded().stdout;
            assert!(!said.contains("canary"), "{way}: {said}");
            said
        };
        for (way, times) in [("headers", 1), ("chunked", 1), ("field", 2)] {
            let said = ask(way);
            assert_eq!(said.matches(&held).count(), times, "{way}: {said}");
            assert!(said.contains("200") && said.ends_with(" exit 0\n"), "{way}: {said}");
        }
        let packed = ask("base64");
        let decode = format!(
            "printf %s '{}' | base64 -d",
            packed.lines().nth_back(0).unwrap_or_default().trim_end_matches(" exit 0")
        );
        let told = sandbox.sh(&decode).succeeded().stdout;
        assert!(told.contains(&held[1..held.len() - 1]) && !told.contains("canary"), "{told}");
        // What comes packed is broken off.
        let said = ask("gzip");
        assert!(!said.ends_with(" exit 0\n"), "{said}");
        assert_eq!(server.out(), format!("Bearer {KEY}\n").repeat(5));
        // What the server kept of a value that was replaced since.
        let update = ["provider", "update", "models", "--credential", "OPENAI_API_KEY"];
        let mut update = product.command(&update);
        let next = KEY.replace("0003", "0004");
        finish(update.env("OPENAI_API_KEY", &next), Duration::from_secs(30)).succeeded();
        assert_eq!(ask("kept").matches(&held).count(), 1);
        assert!(server.out().ends_with(&format!("Bearer {next}\n")), "{}", server.out());
        let log = sandbox.log();
        eventually("an event of each", || {
            let told = log.requests().into_iter().filter(|one| {
                let is_ours = |own: &openshell_audit::Reason| {
                    own.predicate == "credential_echoed" && own.detail.contains("`models/")
                };
                one.outcome == Outcome::Denied && one.reason.as_ref().is_some_and(is_ours)
            });
            (told.count() == 6).then_some(())
        });
    });
}
