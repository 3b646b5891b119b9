use std::fmt::Write as _;

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Call, Caller, Content, Decision, Destination, Policy, Program, Request,
    Verdict,
};
use openshell_types::{FileId, HostName, Port};

/// Rules of the large policies of this file.
const MANY: usize = 2_000;

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn tool(number: usize) -> String {
    format!("/usr/bin/tool{number}")
}

fn caller(number: usize) -> Caller {
    let program = |path: String, inode| Program {
        file: FileId { device: 1, inode },
        path: Some(path.into()),
        sha256: None,
    };
    Caller {
        exe: program(tool(number), number as u64),
        ancestors: vec![program("/bin/sh".to_owned(), 70_000), program("/init".to_owned(), 70_001)],
    }
}

/// A policy with the tools 0 to 199 bound.
fn compile(text: &str) -> Policy {
    let (policy, _) = Policy::compile(text).unwrap_or_else(|found| panic!("{found:#?}"));
    let mut table = BinaryTable::new();
    for number in 0..200 {
        table.insert(&tool(number), Binding::Files(vec![caller(number).exe.file]));
    }
    policy.bind(&table)
}

fn rules(count: usize, endpoint: impl Fn(usize) -> String) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for number in 0..count {
        writeln!(
            text,
            "  r{number}: {{ binaries: [{{ path: {} }}], endpoints: [{}] }}",
            tool(number % 200),
            endpoint(number)
        )
        .unwrap();
    }
    text
}

fn distinct_hosts() -> Policy {
    compile(&rules(MANY, |n| format!("{{ host: h{n}.example.com, port: 443 }}")))
}

fn wildcard_hosts() -> Policy {
    compile(&rules(MANY, |n| {
        format!("{{ host: \"*.h{n}.example.com\", port: 443, protocol: rest, access: full }}")
    }))
}

fn one_host() -> Policy {
    compile(&rules(MANY, |n| {
        format!(
            "{{ host: x.example.com, port: 443, protocol: rest, rules: [{{ allow: {{ path: \"/o{n}/**\" }} }}], deny_rules: [{{ path: \"/o{n}/s/**\" }}] }}"
        )
    }))
}

fn narrowed_endpoints() -> Policy {
    compile(&rules(MANY, |n| {
        format!(
            "{{ host: x.example.com, port: 443, path: \"/p{n}/**\", protocol: rest, access: read-only }}"
        )
    }))
}

fn many_tools() -> Policy {
    compile(&rules(MANY, |n| {
        format!(
            "{{ host: x.example.com, port: 443, protocol: mcp, rules: [{{ allow: {{ method: tools/call, tool: \"t{n}.*\" }} }}] }}"
        )
    }))
}

/// 200 rules with one binary each and the same 50 endpoints.
fn binaries_by_endpoints() -> Policy {
    compile(&rules(200, |_| {
        let all: Vec<String> = (0..50)
            .map(|n| {
                format!(
                    "{{ host: h{n}.example.com, port: 443, protocol: rest, access: read-write }}"
                )
            })
            .collect();
        all.join(", ")
    }))
}

/// One rule with 200 binaries and 50 endpoints.
fn one_wide_rule() -> Policy {
    let binaries: Vec<String> = (0..200).map(|n| format!("{{ path: {} }}", tool(n))).collect();
    let endpoints: Vec<String> =
        (0..50).map(|n| format!("{{ host: h{n}.example.com, port: 443 }}")).collect();
    compile(&format!(
        "version: 1\nnetwork_policies: {{ wide: {{ binaries: [{}], endpoints: [{}] }} }}\n",
        binaries.join(", "),
        endpoints.join(", ")
    ))
}

/// Decides without the heap and says whether it was allowed.
#[track_caller]
fn connects(policy: &Policy, host: &str, by: usize) -> bool {
    let name = HostName::parse(host).unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let (by, now) = (caller(by), now());
    let mut decision = None;
    let info = allocation_counter::measure(|| decision = Some(policy.connect(&to, &by, now)));
    assert_eq!(info.count_total, 0, "connect({host})");
    matches!(decision, Some(Decision::Allow(_)))
}

#[track_caller]
fn requests(policy: &Policy, host: &str, by: usize, request: &Request<'_>) -> bool {
    let name = HostName::parse(host).unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let (by, now) = (caller(by), now());
    let mut verdict = None;
    let info =
        allocation_counter::measure(|| verdict = Some(policy.request(&to, &by, request, now)));
    assert_eq!(info.count_total, 0, "request({host}, {})", request.path);
    matches!(verdict, Some(Verdict::Allow(_)))
}

fn get(path: &str) -> Request<'_> {
    Request { method: "GET", path, query: &[("a", "b")], headers: &[], content: Content::Plain }
}

#[test]
fn decisions_among_distinct_hosts_allocate_nothing() {
    let policy = distinct_hosts();
    assert!(connects(&policy, "h1000.example.com", 0));
    assert!(!connects(&policy, "h1000.example.com", 1));
    assert!(!connects(&policy, "h2000.example.com", 0));
    assert!(requests(&policy, "h1000.example.com", 0, &get("/any")));
    assert!(!requests(&policy, "h1000.example.com", 1, &get("/any")));
}

#[test]
fn decisions_among_wildcards_allocate_nothing() {
    let policy = wildcard_hosts();
    assert!(connects(&policy, "a.h1400.example.com", 0));
    assert!(!connects(&policy, "a.h1401.example.com", 0));
    assert!(!connects(&policy, "h1400.example.com", 0));
    assert!(requests(&policy, "a.h1400.example.com", 0, &get("/any")));
}

#[test]
fn decisions_among_paths_of_one_host_allocate_nothing() {
    let policy = one_host();
    assert!(connects(&policy, "x.example.com", 7));
    assert!(requests(&policy, "x.example.com", 0, &get("/o1600/a/b")));
    assert!(!requests(&policy, "x.example.com", 0, &get("/o1600/S/b")));
    assert!(!requests(&policy, "x.example.com", 0, &get("/o1601/a/b")));
    assert!(requests(&policy, "x.example.com", 0, &get(&"/o1600".repeat(500))));
    let policy = narrowed_endpoints();
    assert!(requests(&policy, "x.example.com", 0, &get("/p1600/a/b")));
    assert!(!requests(&policy, "x.example.com", 1, &get("/p1600/a/b")));
}

#[test]
fn decisions_among_tools_allocate_nothing() {
    let policy = many_tools();
    let calls = [Call { method: "tools/call", tool: Some("t1800.read"), params: &[] }];
    let request = Request { content: Content::Rpc(&calls), ..get("/mcp") };
    assert!(requests(&policy, "x.example.com", 0, &request));
    assert!(!requests(&policy, "x.example.com", 1, &request));
}

#[test]
fn decisions_among_binaries_and_endpoints_allocate_nothing() {
    for policy in [binaries_by_endpoints(), one_wide_rule()] {
        assert!(connects(&policy, "h49.example.com", 199));
        assert!(!connects(&policy, "h50.example.com", 199));
        assert!(!connects(&policy, "h49.example.com", 200));
        assert!(requests(&policy, "h7.example.com", 3, &get("/any")));
    }
}

#[test]
fn looking_up_budgets_allocates_nothing_and_does_not_go_with_the_rules() {
    let by_path = compile(&rules(MANY, |n| {
        format!(
            "{{ host: x.example.com, port: 443, protocol: rest, path: /p{n}/**, access: full, budget: {{ requests: 9 }} }}"
        )
    }));
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    for (policy, path, found) in
        [(by_path, "/p7/a", 1), (narrowed_endpoints(), "/p7/a", 0), (distinct_hosts(), "/", 0)]
    {
        let by = caller(7);
        let info = allocation_counter::measure(|| {
            assert_eq!(policy.budgets(&to, &by, Some(path), now()).len(), found);
        });
        assert_eq!(info.count_total, 0, "{info:?}");
    }
}

#[test]
fn a_hostile_path_allocates_nothing_and_ends_soon() {
    let globs =
        ["/**/a/**/b/**", "/**/b/**/a/**", "/**/a/*/b/**/c", "/**/*a*/**/d", "/*/*/*/**/e/**/f"];
    let policy = compile(&rules(globs.len(), |n| {
        format!(
            "{{ host: x.example.com, port: 443, protocol: rest, rules: [{{ allow: {{ path: \"{0}\" }} }}], deny_rules: [{{ path: \"{0}/never\" }}] }}",
            globs[n]
        )
    }));
    assert!(requests(&policy, "x.example.com", 0, &get(&"/a/b".repeat(2048))));
    assert!(!requests(&policy, "x.example.com", 3, &get(&"/a/b".repeat(2048))));
}

#[test]
fn large_policies_take_little_memory() {
    for (policy, most) in [
        (distinct_hosts(), 2),
        (wildcard_hosts(), 2),
        (one_host(), 3),
        (narrowed_endpoints(), 2),
        (many_tools(), 2),
        (binaries_by_endpoints(), 4),
        (one_wide_rule(), 1),
    ] {
        let bytes = policy.compiled_bytes();
        assert!(bytes < most << 20, "{bytes} are more than {most} MiB");
        assert!(bytes > 10_000, "{bytes}");
    }
}

#[test]
fn binding_costs_what_is_bound() {
    let text = rules(MANY, |n| format!("{{ host: h{n}.example.com, port: 443 }}"));
    let (policy, _) = Policy::compile(&text).unwrap();
    let mut table = BinaryTable::new();
    table.insert(&tool(0), Binding::Files(vec![caller(0).exe.file]));
    let info = allocation_counter::measure(|| {
        let _bound = policy.bind(&table);
    });
    assert!(info.count_total < 20, "{info:?}");
}
