//! What a sandbox's requests came to: what its clients were told, and what is on record.

use openshell_audit::{Http, Outcome};
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Finished, Product, World};
use serde_json::Value;

/// A sandbox that sleeps, whose egress trusts the world's authority by the operator's own file.
pub fn start<'p>(product: &'p Product, w: &World, policy: &str) -> Sandbox<'p> {
    let file = w.ca_file();
    product.write_gateway_config(&format!("[upstream]\nca_file = \"{}\"\n", file.display()));
    Sandbox::start(product, "clients", policy)
}

/// What a client says that it got: a line each of the status, the header `X-OpenShell-Policy` (or
/// `-`) and the body.
pub fn answers(said: &Finished) -> Vec<(u16, &str, &str)> {
    let answer = |line| {
        let mut words = str::splitn(line, 3, ' ');
        let status = words.next()?.parse().ok()?;
        Some((status, words.next()?, words.next()?))
    };
    said.stdout.lines().filter_map(answer).collect()
}

/// The client got `hello` from the server and then our own denial of `method` and `path`.
#[track_caller]
pub fn one_of_each(said: &Finished, method: &str, path: &str) {
    let answers = answers(said);
    let [good, bad] = answers.as_slice() else { panic!("two answers: {said}") };
    assert_eq!(good, &(200, "-", "hello"), "{said}");
    assert_eq!((bad.0, bad.1), (403, "denied"), "{said}");
    explains(bad.2, method, path);
}

/// The body of a denial says what was asked for and what to do.
#[track_caller]
pub fn explains(body: &str, method: &str, path: &str) {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(body["error"], "policy_denied", "{body:#}");
    assert_eq!((&body["method"], &body["path"]), (&method.into(), &path.into()), "{body:#}");
    assert!(body["rule_missing"]["edit"].is_string(), "{body:#}");
}

/// Waits for the record of a request for `what`, a host and a path; shows what there is if it does
/// not come.
#[track_caller]
pub fn on_record(sandbox: &Sandbox<'_>, outcome: Outcome, method: &str, what: &str) -> Http {
    let log = sandbox.log();
    let (host, path) = what.split_at(what.find('/').expect("it has a path"));
    let wanted = format!("{outcome:?} {method} {what}\n{}", sandbox.logs());
    eventually(&wanted, || {
        let mut all = log.requests().into_iter();
        all.find(|one| {
            let is_host = one.destination.name.as_deref() == Some(host);
            one.outcome == outcome && one.method == method && is_host && one.path == path
        })
    })
}

/// Each of the requests, a method and what it is for, has a record with this outcome.
#[track_caller]
pub fn all_on_record(sandbox: &Sandbox<'_>, outcome: Outcome, requests: &[(&str, &str)]) {
    for (method, what) in requests {
        on_record(sandbox, outcome, method, what);
    }
    // A failure, and `--nocapture`, show what a person would read.
    println!("{}", sandbox.logs());
}
