//! Servers whose certificates nobody should believe.

use openshell_audit::Outcome;
use openshell_e2e::eventually;
use openshell_testkit::{Flaw, Product, RunAs, world};

use crate::judged::start;
use crate::site::Plan;

pub fn a_wrong_certificate_is_an_alert_and_an_event(run_as: RunAs) {
    world(|w| {
        let mut plan = Plan::new(w);
        plan.file("hello", "hello\n");
        let wrong = [
            ("expired.example.com", w.identity("expired.example.com", Flaw::Expired)),
            ("itself.example.com", w.identity("itself.example.com", Flaw::SelfSigned)),
            ("named.example.com", w.identity("other.example.com", Flaw::None)),
        ];
        let names = wrong.each_ref().map(|(name, _)| *name);
        for (name, identity) in wrong {
            plan.host_with(name, "", identity);
        }
        plan.host("right.example.com", "");
        let site = plan.start();
        let mut policy = "version: 1\nnetwork_policies:\n  any:\n    endpoints:\n".to_owned();
        for name in names.iter().chain(&["right.example.com"]) {
            let rest = "port: 443, protocol: rest, access: read-only";
            policy.push_str(&format!("      - {{ host: {name}, {rest} }}\n"));
        }
        policy.push_str("    binaries: [{ path: /usr/bin/curl }]\n");
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &policy);
        let get = |name: &str| format!("curl -sS https://{name}/hello");
        let log = sandbox.log();
        for name in names {
            for said in [sandbox.sh(&get(name)), sandbox.direct(&get(name))] {
                // curl knows one of the alerts by heart.
                let (code, words) = match name {
                    "expired.example.com" => (60, "certificate verification failed"),
                    _ => (35, "alert"),
                };
                assert_eq!(said.code, Some(code), "{said}");
                assert!(said.stderr.contains(words), "{said}");
            }
            let failed = eventually("both events", || {
                let all = log.connections().into_iter();
                let of: Vec<_> =
                    all.filter(|one| one.destination.name.as_deref() == Some(name)).collect();
                (of.len() == 2).then_some(of)
            });
            for event in failed {
                assert_eq!(event.outcome, Outcome::Failed, "{event:?}");
                let reason = event.reason.expect("a failure has one");
                assert_eq!(reason.predicate, "upstream_certificate", "{reason:?}");
            }
        }
        assert_eq!(sandbox.sh(&get("right.example.com")).succeeded().stdout, "hello\n");
        // Nothing was sent to any of them.
        assert_eq!(site.asked().lines().count(), 1, "{}", site.asked());
        crate::judged::all_on_record(
            &sandbox,
            Outcome::Allowed,
            &[("GET", "right.example.com/hello")],
        );
    });
}
