//! Servers whose certificates nobody should believe, and one that wants its client's.

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

pub fn d07_a_clients_certificate_goes_where_nothing_is_judged(run_as: RunAs) {
    world(|w| {
        let mut plan = Plan::new(w);
        plan.file("hello", "hello\n");
        let wants =
            format!("ssl_client_certificate {}; ssl_verify_client on;", w.ca_file().display());
        for name in ["judged.example.com", "spliced.example.com"] {
            plan.host(name, &wants);
        }
        let site = plan.start();
        let policy = "version: 1\nnetwork_policies:\n  any:\n    endpoints:
      - { host: judged.example.com, port: 443, protocol: rest, access: read-only }
      - { host: spliced.example.com, port: 443 }
    binaries: [{ path: /usr/bin/curl }]\n";
        let product = Product::new(run_as);
        let sandbox = start(&product, w, policy);
        let (certificate, key) = w.identity("client.example.com", Flaw::None);
        for (name, pem) in [("certificate", certificate), ("key", key)] {
            sandbox.sh(&format!("cat > {name} <<'END'\n{pem}END")).succeeded();
        }
        let get = |host: &str, flags: &str| {
            let get = format!("curl -sS {flags} -w '%{{http_code}}' https://{host}/hello");
            [sandbox.sh(&get), sandbox.direct(&get)].map(|said| said.succeeded().stdout)
        };
        let own = "--cert certificate --key key";
        for answer in get("spliced.example.com", own) {
            assert_eq!(answer, "hello\n200");
        }
        // The server's own words to who shows none: we show neither the client's nor one of ours.
        for (host, flags) in [("spliced.example.com", ""), ("judged.example.com", own)] {
            for answer in get(host, flags) {
                assert!(answer.contains("No required SSL certificate was sent"), "{answer}");
                assert!(answer.ends_with("400"), "{answer}");
            }
        }
        assert_eq!(site.asked().matches("GET /hello 200").count(), 2, "{}", site.asked());
    });
}
