//! What is in force changes while a program asks without a pause: what comes after the command has
//! returned has nothing of what was before, and no request fails that should not.

use std::time::Duration;

use openshell_testkit::{Finished, Product, RunAs, finish, world};

use crate::agent::{ASK, HOST, KEY, POLICY, provider, start, trust, with_provider};
use crate::load::{Answer, Arrival, Change, Load, Recorder};

/// So many connections.
const LANES: usize = 8;

/// So many requests at least between two changes: sized by number, and not by time.
const STEP: usize = 1_700;

/// So many calls at least between two changes of a route.
const CALLS: usize = 340;

/// Stores another value, which comes from the command's environment.
fn update(product: &Product, name: &str, variable: &str, value: &str) -> Finished {
    let mut command = product.command(&["provider", "update", name, "--credential", variable]);
    finish(command.env(variable, value), Duration::from_secs(60))
}

/// Nothing that `is` came after the change, and something did before.
#[track_caller]
fn gone(arrivals: &[Arrival], change: Change, is: impl Fn(&Arrival) -> bool) {
    let of = || arrivals.iter().filter(|one| is(one));
    assert!(of().next().is_some(), "none came at all");
    let late = of().filter(|one| one.at > change.returned);
    let late: Vec<u128> = late.map(|one| one.at - change.returned).collect();
    assert_eq!(late, [] as [u128; 0], "nanoseconds after the change");
}

/// Each has `is` as its status, but between the changes, where it has `meanwhile`. While a change is
/// made, each may have either. Returns how many were meanwhile.
#[track_caller]
fn answered(
    answers: &[Answer],
    (is, meanwhile): (u16, u16),
    (from, to): (Change, Change),
) -> usize {
    let mut count = 0;
    for one in answers {
        let is_meanwhile = one.asked > from.returned && one.there < to.called;
        let is_outside = one.there < from.called || one.asked > to.returned;
        let may = match (is_outside, is_meanwhile) {
            (true, _) => one.status == is,
            (_, true) => one.status == meanwhile,
            _ => one.status == is || one.status == meanwhile,
        };
        assert!(may, "{one:?} {from:?} {to:?}");
        count += usize::from(is_meanwhile);
    }
    count
}

pub fn i13_values_change_and_go_while_requests_are_sent(run_as: RunAs) {
    world(|w| {
        let recorder = Recorder::start(w, HOST);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, POLICY);
        let request =
            format!("GET /v1/models HTTP/1.1\nhost: {HOST}\nx-api-key: $ANTHROPIC_API_KEY\n\n");
        let load = Load::start(&sandbox, HOST, LANES, &request);
        load.goes_on_for(STEP);

        let values: Vec<String> =
            (1..=6).map(|number| KEY.replace("0001", &format!("{number:04}"))).collect();
        let next = |number: usize| {
            let change =
                Change::by(|| update(&product, "claude", "ANTHROPIC_API_KEY", &values[number]));
            load.goes_on_for(STEP);
            change
        };
        let mut changes = vec![next(1), next(2), next(3)];
        let detached = Change::by(|| product.run(&["provider", "detach", "agent", "claude"]));
        load.goes_on_for(STEP);
        // What nobody uses changes, too.
        changes.push(next(4));
        let attached = Change::by(|| product.run(&["provider", "attach", "agent", "claude"]));
        load.goes_on_for(STEP);
        changes.push(next(5));
        let answers = load.end();

        let denied = answered(&answers, (200, 403), (detached, attached));
        let arrivals = recorder.arrivals();
        println!("{} requests, {} came, {denied} denied meanwhile", answers.len(), arrivals.len());
        assert!(arrivals.len() >= 10_000 && denied >= STEP, "{} {denied}", arrivals.len());
        assert_eq!(arrivals.len(), answers.iter().filter(|one| one.status == 200).count());
        let known = |one: &Arrival| values.contains(&one.key);
        assert!(arrivals.iter().all(known), "{:?}", arrivals.iter().find(|one| !known(one)));
        for (value, change) in values.iter().zip([changes[0], changes[1], changes[2], detached]) {
            gone(&arrivals, change, |one| one.key == *value);
        }
        gone(&arrivals, changes[4], |one| one.key == values[4]);
        let meanwhile = |one: &&Arrival| one.at > detached.returned && one.at < attached.called;
        assert_eq!(arrivals.iter().filter(meanwhile).count(), 0);

        // Attached again, the same placeholder is good again.
        assert!(sandbox.sh(ASK).succeeded().stdout.starts_with("200 "));
        assert_eq!(recorder.arrivals().last().expect("one").key, values[5]);
    });
}

pub fn i13_routes_change_and_go_while_models_are_called(run_as: RunAs) {
    const MODELS: &str = "api.openai.com";
    const KEYS: [&str; 3] = [
        "sk-proj-canaryCANARYcanaryCANARYcanaryCANARY0001",
        "sk-proj-canaryCANARYcanaryCANARYcanaryCANARY0002",
        "sk-proj-canaryCANARYcanaryCANARYcanaryCANARY0003",
    ];
    world(|w| {
        let recorder = Recorder::start(w, MODELS);
        let product = Product::new(run_as);
        trust(&product, w);
        provider(&product, "one", "openai", "OPENAI_API_KEY", KEYS[0]);
        provider(&product, "two", "openai", "OPENAI_API_KEY", KEYS[1]);
        provider(&product, "claude", "anthropic", "ANTHROPIC_API_KEY", KEY);
        let set = |provider: &str, model: &str| {
            product.run(&["inference", "set", "--provider", provider, "--model", model])
        };
        set("one", "first").succeeded();
        let sandbox = with_provider(&product, POLICY);
        let body = r#"{"model":"whatever","messages":[{"role":"user","content":"hi"}]}"#;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: inference.local\n\
             authorization: Bearer none\ncontent-type: application/json\n\
             content-length: {}\n\n{body}",
            body.len()
        );
        let load = Load::start(&sandbox, "inference.local", LANES, &request);
        load.goes_on_for(CALLS);
        let change = |command: &dyn Fn() -> Finished| {
            let change = Change::by(command);
            load.goes_on_for(CALLS);
            change
        };
        let update_route = |arguments: &[&str]| {
            product.run(&[&["inference", "update", "--protocol", "openai"], arguments].concat())
        };
        let second = change(&|| update_route(&["--model", "second"]));
        let other = change(&|| update_route(&["--provider", "two", "--model", "third"]));
        let rotated = change(&|| update(&product, "two", "OPENAI_API_KEY", KEYS[2]));
        let deleted = change(&|| product.run(&["inference", "delete", "--protocol", "openai"]));
        let again = change(&|| set("two", "fourth"));
        let back = change(&|| update_route(&["--provider", "one"]));
        let answers = load.end();

        let refused = answered(&answers, (200, 503), (deleted, again));
        let arrivals = recorder.arrivals();
        let calls: Vec<Arrival> = arrivals.into_iter().filter(|one| one.method == "POST").collect();
        println!("{} calls, {} came, {refused} refused meanwhile", answers.len(), calls.len());
        assert!(answers.len() >= 2_000 && refused >= CALLS / 2, "{} {refused}", answers.len());
        assert_eq!(calls.len(), answers.iter().filter(|one| one.status == 200).count());
        gone(&calls, second, |one| one.model == "first");
        gone(&calls, other, |one| one.model == "second");
        gone(&calls, deleted, |one| one.model == "third");
        gone(&calls, rotated, |one| one.key == KEYS[1]);
        let of_two = |one: &&Arrival| one.key == KEYS[2] && one.at > back.returned;
        assert_eq!(calls.iter().filter(of_two).count(), 0);
        let of_one =
            |one: &&Arrival| one.key == KEYS[0] && one.at > other.returned && one.at < back.called;
        assert_eq!(calls.iter().filter(of_one).count(), 0);
        // No call had the key of one state and the model of another.
        let pairs =
            [(0, "first"), (0, "second"), (1, "third"), (2, "third"), (2, "fourth"), (0, "fourth")];
        let is_pair = |one: &Arrival| {
            pairs.iter().any(|(key, model)| one.key == KEYS[*key] && one.model == *model)
        };
        assert!(calls.iter().all(is_pair), "{:?}", calls.iter().find(|one| !is_pair(one)));
    });
}
