//! Which budgets cover what, what is counted together over changes of a policy, and windows of time.

use jiff::Timestamp;
use openshell_policy::{BinaryTable, Binding, BudgetId, Caller, Destination, Policy, Program};
use openshell_types::{FileId, HostName, Period, Port};

fn caller(inode: u64) -> Caller {
    let file = FileId { device: 1, inode };
    Caller { exe: Program { file, path: None, sha256: None }, ancestors: Vec::new() }
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// A policy of these rules, in which curl has the inode 1 and git 2.
fn policy(rules: &str) -> Policy {
    let text = format!("version: 1\nnetwork_policies:\n{rules}");
    let (policy, _) = Policy::compile(&text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let mut table = BinaryTable::new();
    for (path, inode) in [("/usr/bin/curl", 1), ("/usr/bin/git", 2)] {
        table.insert(path, Binding::Files(vec![FileId { device: 1, inode }]));
    }
    policy.bind(&table)
}

/// A rule for curl.
fn rule(key: &str, endpoints: &str) -> String {
    format!("  {key}:\n    binaries: [{{ path: /usr/bin/curl }}]\n    endpoints: [{endpoints}]\n")
}

/// The budgets of `x.example.com:443`, or of a path of it, in words.
fn covering(policy: &Policy, inode: u64, path: Option<&str>) -> Vec<String> {
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let budgets = policy.budgets(&to, &caller(inode), path, now());
    let mut words: Vec<String> = budgets
        .iter()
        .map(|one| {
            let number = |value: Option<u64>| value.map_or("-".to_owned(), |n| n.to_string());
            let (requests, bytes) = (number(one.budget.requests), number(one.budget.bytes));
            format!("{} {requests} {bytes} {}", one.rule, one.budget.per.as_str())
        })
        .collect();
    words.sort();
    words
}

fn id(policy: &Policy) -> BudgetId {
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let budgets = policy.budgets(&to, &caller(1), Some("/a/b"), now());
    assert_eq!(budgets.len(), 1, "{budgets:?}");
    budgets[0].id
}

#[test]
fn a_budget_covers_what_its_endpoint_does_whoever_allows_it() {
    let rules = [
        rule("all", "{ host: x.example.com, port: 443, protocol: rest, access: full }"),
        rule(
            "part",
            "{ host: '*.example.com', ports: [443], protocol: rest, path: /a/**, access: read-only, \
             budget: { requests: 7, per: hour } }",
        ),
        rule("bytes", "{ host: x.example.com, port: 443, budget: { bytes: 9 } }"),
        rule("other", "{ host: y.example.com, port: 443, budget: { bytes: 1 } }"),
        rule("port", "{ host: x.example.com, port: 444, budget: { bytes: 1 } }"),
        rule("udp", "{ host: x.example.com, port: 443, protocol: udp, budget: { bytes: 5 } }"),
    ];
    let policy = policy(&rules.concat());
    let (part, bytes) = ("part 7 - hour", "bytes - 9 sandbox");
    assert_eq!(covering(&policy, 1, Some("/a/b")), [bytes, part]);
    assert_eq!(covering(&policy, 1, Some("/b")), [bytes]);
    assert_eq!(covering(&policy, 2, Some("/a/b")), [""; 0]);
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let datagrams = policy.datagram_budgets(&to, &caller(1), now());
    assert_eq!(datagrams.len(), 1);
    assert_eq!((datagrams[0].rule, datagrams[0].budget.bytes), ("udp", Some(5)));
}

#[test]
fn a_rule_that_ended_counts_nothing() {
    let ended = rule("a", "{ host: x.example.com, port: 443, budget: { bytes: 9 } }")
        .replace("    binaries", "    until: 2029-12-31T00:00:00Z\n    binaries");
    assert_eq!(covering(&policy(&ended), 1, None), [""; 0]);
}

#[test]
fn a_budget_keeps_its_identity_for_as_long_as_its_endpoint_covers_the_same() {
    const ENDPOINT: &str = "{ host: x.example.com, ports: [443, 8000-8010], protocol: rest, path: \
                            /a/**, access: read-only, budget: { requests: 7, per: hour } }";
    let before = id(&policy(&rule("a", ENDPOINT)));
    for (what, same) in [
        ("numbers", ENDPOINT.replace("requests: 7", "requests: 8, bytes: 1")),
        ("access", ENDPOINT.replace("read-only", "full")),
        ("order", ENDPOINT.replace("[443, 8000-8010]", "[8005-8010, 8000-8004, 443]")),
        ("case", ENDPOINT.replace("access", "path_case: sensitive, access")),
        ("note", ENDPOINT.replace("access", "enforcement: audit, access")),
    ] {
        assert_eq!(id(&policy(&rule("a", &same))), before, "{what}");
        assert_eq!(id(&policy(&rule("b", &same))), before, "another name");
    }
    let until = rule("a", ENDPOINT)
        .replace("    binaries", "    until: 2031-12-31T00:00:00Z\n    binaries");
    assert_eq!(id(&policy(&until)), before);
    for other in [
        ENDPOINT.replace("x.example.com", "'*.example.com'"),
        ENDPOINT.replace("8010", "8011"),
        ENDPOINT.replace("/a/**", "/a/*"),
        ENDPOINT.replace("access", "path_case: insensitive, access"),
        // What was used in an hour says nothing about a day.
        ENDPOINT.replace("hour", "day"),
    ] {
        assert_ne!(id(&policy(&rule("a", &other))), before, "{other}");
    }
    let git = "binaries: [{ path: /usr/bin/curl }, { path: /usr/bin/git }]";
    let binaries = "binaries: [{ path: /usr/bin/curl }]";
    let other = rule("a", ENDPOINT).replace(binaries, git);
    let swapped = "binaries: [{ path: /usr/bin/git }, { path: /usr/bin/curl }]";
    let again = rule("a", ENDPOINT).replace(binaries, swapped);
    assert_ne!(id(&policy(&other)), before);
    assert_eq!(id(&policy(&other)), id(&policy(&again)));
}

#[test]
fn of_two_budgets_that_count_the_same_the_smaller_numbers_hold() {
    const HERE: &str = "host: x.example.com, port: 443, protocol: rest, access: full";
    let rules = [
        rule("a", &format!("{{ {HERE}, budget: {{ requests: 9, bytes: 20, per: day }} }}")),
        rule("b", &format!("{{ {HERE}, budget: {{ requests: 7, per: day }} }}")),
        rule("c", &format!("{{ {HERE}, budget: {{ requests: 1, per: hour }} }}")),
    ];
    assert_eq!(covering(&policy(&rules.concat()), 1, Some("/")), ["a 7 20 day", "c 1 - hour"]);
}

#[test]
fn windows_are_those_of_utc() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (per, now, end) in [
        (Period::Minute, "2026-03-01T12:34:56.5Z", "2026-03-01T12:35:00Z"),
        (Period::Hour, "2026-03-01T12:34:56Z", "2026-03-01T13:00:00Z"),
        (Period::Day, "2026-02-28T23:59:59.9Z", "2026-03-01T00:00:00Z"),
        (Period::Day, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        (Period::Minute, "1969-12-31T23:59:01Z", "1970-01-01T00:00:00Z"),
    ] {
        let window = per.window(at(now));
        assert_eq!(per.end(window), Some(at(end)), "{now}");
        assert_eq!(per.window(at(end)), window + 1, "{now}");
    }
    let sandbox = Period::Sandbox.window(at("2026-03-01T12:00:00Z"));
    assert_eq!(Period::Sandbox.window(at("2036-03-01T12:00:00Z")), sandbox);
    assert_eq!(Period::Sandbox.end(sandbox), None);
}

#[test]
fn every_endpoint_of_mcp_that_covers_a_request_says_its_versions() {
    const MCP: &str = "host: x.example.com, port: 443, protocol: mcp";
    const ALL: &str = "allow_all_known_mcp_methods: true";
    let rules = [
        rule(
            "a",
            &format!("{{ {MCP}, mcp: {{ {ALL}, versions: ['2025-06-18', '2025-11-25'] }} }}"),
        ),
        rule("b", &format!("{{ {MCP}, path: /b, mcp: {{ {ALL}, versions: ['2025-06-18'] }} }}")),
        rule("c", &format!("{{ {MCP}, path: /c, mcp: {{ {ALL} }} }}")),
    ];
    let policy = policy(&rules.concat());
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let said = |inode, path: &str| {
        let all = policy.mcp_versions(&to, &caller(inode), path, now());
        all.iter().map(|one| format!("{} {}", one.rule, one.admitted.len())).collect::<Vec<_>>()
    };
    assert_eq!(said(1, "/b"), ["a 2", "b 1"]);
    assert_eq!(said(1, "/c"), ["a 2"]);
    assert_eq!(said(2, "/b"), [""; 0]);
}
