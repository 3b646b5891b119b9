//! A model that never ends its answer, and the budget of its route.

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, world};

use crate::agent::{KEY, provider, trust};
use crate::server::Server;

const MODELS: &str = "api.openai.com";

/// Calls a model; prints curl's code, the status, how many octets came, and the last of them.
const CALL: &str = "curl -sSN -o body -w '%{http_code} %{size_download}' --max-time 60 \
     -H 'content-type: application/json' -d '{\"stream\":true,\"messages\":[]}' \
     https://inference.local/v1/chat/completions; echo \" $?\"; tail -c 600 body";

/// So much comes of an answer before it is cut off.
#[track_caller]
fn cut_off(sandbox: &Sandbox<'_>) -> u64 {
    let said = sandbox.sh(CALL).stdout;
    let words: Vec<u64> =
        said.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect();
    let [200, octets, code] = words[..] else { panic!("{said}") };
    // It neither ended nor went on until curl had enough of it.
    assert!(code != 0 && code != 28, "{said}");
    octets
}

pub fn h12_an_answer_that_never_ends_is_cut_off_and_the_next_call_refused(run_as: RunAs) {
    world(|w| {
        let server = Server::start(w, MODELS, include_str!("endless.py"), &[]);
        let product = Product::new(run_as);
        trust(&product, w);
        provider(&product, "models", "openai", "OPENAI_API_KEY", KEY);
        let set = ["inference", "set", "--provider", "models", "--model", "ours", "--no-verify"];
        let said = product.run(&[&set[..], &["--budget", "bytes=2M"]].concat()).succeeded();
        assert!(said.stdout.contains("bytes=2M per sandbox"), "{said}");
        let sandbox = Sandbox::existing(&product, "agent");
        let file = sandbox.write_policy("version: 1\n");
        let create = ["sandbox", "create", "--name", "agent", "--policy", &file, "--detach"];
        product.run(&[&create[..], &["--", "sleep", "1000000"]].concat()).succeeded();

        let octets = cut_off(&sandbox);
        assert!((1_000_000..=2_000_000).contains(&octets), "{octets}");
        let gone = |times: usize| {
            eventually("the backend has no client any more", || {
                (server.out().matches("gone").count() == times).then_some(())
            });
        };
        gone(1);
        let refused = sandbox.sh(CALL).stdout;
        assert!(refused.starts_with("429 "), "{refused}");
        for part in [
            "insufficient_quota",
            "the budget of 2000000 bytes per sandbox is used up",
            "openshell inference update --protocol openai --budget bytes=",
        ] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert_eq!(server.out().matches("begun").count(), 1);

        let told = |outcome: Outcome| {
            let calls = sandbox.log().calls();
            let mut calls = calls.into_iter().filter(|call| call.outcome == outcome);
            let (Some(call), None) = (calls.next(), calls.next()) else { panic!("{outcome:?}") };
            call.reason.map(|reason| (reason.predicate, reason.detail)).expect("a reason")
        };
        let (predicate, detail) = told(Outcome::Revoked);
        assert_eq!(predicate, "budget");
        assert!(detail.contains("this call had taken about"), "{detail}");
        assert_eq!(told(Outcome::Denied).0, "budget");

        // A larger one has room for the difference, and says so.
        product.run(&["inference", "update", "--budget", "bytes=3M"]).succeeded();
        let shown = product.run(&["inference", "get", "-o", "json"]).succeeded().stdout;
        assert!(shown.contains("\"bytes\": 3000000"), "{shown}");
        assert!(cut_off(&sandbox) <= 1_000_000);
        gone(2);
    });
}
