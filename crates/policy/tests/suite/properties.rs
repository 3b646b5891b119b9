//! What holds for every policy.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Caller, DEFAULT_TEXT, Decision, Destination, Grant, Policy, Predicate,
    Program, RunAs, parse,
};
use openshell_types::{FileId, HostName, Port};
use proptest::prelude::*;

const HOSTS: [&str; 7] = [
    "a.example.com",
    "b.example.com",
    "*.example.com",
    "**.example.com",
    "a-*.example.com",
    "x.*.example.com",
    "10.0.0.1",
];
const NAMES: [&str; 6] = [
    "a.example.com",
    "b.example.com",
    "a-1.example.com",
    "x.y.example.com",
    "example.com",
    "x.y.z.example.com",
];
const PORTS: [&str; 4] = ["80", "443", "\"440-450\"", "8080"];
const BINARIES: [&str; 4] = ["/usr/bin/curl", "/usr/bin/node", "/usr/bin/*", "/opt/**"];
const PATHS: [&str; 4] = ["/usr/bin/curl", "/usr/bin/node", "/opt/x/node", "/bin/sh"];

#[derive(Clone, Debug)]
struct RuleShape {
    endpoints: Vec<(usize, usize)>,
    binaries: Vec<(usize, bool)>,
}

fn rule() -> impl Strategy<Value = RuleShape> {
    let endpoints = prop::collection::vec((0..HOSTS.len(), 0..PORTS.len()), 1..4);
    let binaries = prop::collection::vec((0..BINARIES.len(), any::<bool>()), 1..3);
    (endpoints, binaries).prop_map(|(endpoints, binaries)| RuleShape { endpoints, binaries })
}

fn write(rules: &[RuleShape]) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for (number, rule) in rules.iter().enumerate() {
        writeln!(text, "  r{number}:\n    endpoints:").unwrap();
        for (host, port) in &rule.endpoints {
            let (host, port) = (HOSTS[*host], PORTS[*port]);
            writeln!(text, "      - {{ host: \"{host}\", ports: [{port}] }}").unwrap();
        }
        writeln!(text, "    binaries:").unwrap();
        for (path, descendants) in &rule.binaries {
            let path = BINARIES[*path];
            writeln!(text, "      - {{ path: \"{path}\", descendants: {descendants} }}").unwrap();
        }
    }
    text
}

fn program(path: &str) -> Program {
    let inode = PATHS.iter().position(|known| *known == path).map_or(99, |at| at as u64);
    Program { file: FileId { device: 1, inode }, path: Some(path.into()), sha256: None }
}

fn compile(text: &str) -> Policy {
    let (policy, _) = Policy::compile(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let mut table = BinaryTable::new();
    for path in PATHS {
        table.insert(path, Binding::Files(vec![program(path).file]));
    }
    policy.bind(&table)
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// Every request over the small world of this file.
fn requests() -> Vec<(HostName, Port, Caller)> {
    let mut all = Vec::new();
    for name in NAMES {
        for port in [80, 443, 445, 8080, 22] {
            for exe in PATHS {
                for parent in PATHS {
                    let by = Caller { exe: program(exe), ancestors: vec![program(parent)] };
                    all.push((HostName::parse(name).unwrap(), Port::new(port).unwrap(), by));
                }
            }
        }
    }
    all
}

fn decide(policy: &Policy, (name, port, by): &(HostName, Port, Caller)) -> Option<Grant> {
    match policy.connect(&Destination::Name(name, *port), by, now()) {
        Decision::Allow(grant) => Some(grant),
        Decision::Deny(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn widening_a_rule_never_removes_an_allow(
        rules in prop::collection::vec(rule(), 1..4),
        more in rule(),
        at in 0_usize..4,
    ) {
        let narrow = compile(&write(&rules));
        let mut wider = rules.clone();
        match wider.get_mut(at) {
            Some(rule) => {
                rule.endpoints.extend(&more.endpoints);
                rule.binaries.extend(&more.binaries);
            }
            None => wider.insert(0, more),
        }
        let wide = compile(&write(&wider));
        let addresses: [IpAddr; 2] = ["8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        for request in requests() {
            let Some(before) = decide(&narrow, &request) else { continue };
            let after = decide(&wide, &request);
            prop_assert!(after.is_some(), "{request:?}");
            for address in addresses {
                if narrow.admits(&before, address).is_ok() {
                    let admitted = after.is_some_and(|after| wide.admits(&after, address).is_ok());
                    prop_assert!(admitted, "{request:?} {address}");
                }
            }
        }
    }

    #[test]
    fn an_allowed_name_resolves(rules in prop::collection::vec(rule(), 1..4)) {
        let policy = compile(&write(&rules));
        for request in requests() {
            prop_assert!(decide(&policy, &request).is_none() || policy.resolves(&request.0));
        }
    }

    #[test]
    fn the_canonical_text_is_a_fixed_point_of_the_same_meaning(
        rules in prop::collection::vec(rule(), 0..5),
    ) {
        let text = write(&rules);
        let document = parse(&text).document.unwrap();
        let canonical = document.canonical();
        let again = parse(&canonical).document.unwrap();
        prop_assert_eq!(&again.canonical(), &canonical);
        prop_assert_eq!(again.digest(), document.digest());
        let (first, second) = (compile(&text), compile(&canonical));
        for request in requests() {
            let name = |policy: &Policy| decide(policy, &request).map(|grant| policy.rule_name(&grant).to_owned());
            prop_assert_eq!(name(&first), name(&second));
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[ -~\n\t\u{0}\u{85}é*&!\\[\\]{}:,#'\"|>%@`-]{0,200}") {
        let parsed = parse(&text);
        prop_assert_eq!(parsed.document.is_none(), parsed.diagnostics.iter().any(|d| d.is_error()));
        for finding in &parsed.diagnostics {
            finding.render("policy.yaml", &text);
        }
    }
}

#[test]
fn the_digest_names_the_meaning_and_not_the_spelling() {
    let one = "version: 1\nnetwork_policies:\n  b: { endpoints: [{ host: B.example., port: 443 }], binaries: [{ path: /x }, { path: /a }] }\n  a: { endpoints: [{ host: a.example, ports: [80, 81] }], binaries: [{ path: /x }] }\n";
    let two = "# the same\nnetwork_policies:\n  a:\n    binaries: [{ path: '/x', descendants: false }]\n    endpoints: [{ ports: [\"80-81\"], host: a.example }]\n    name: a\n  b:\n    endpoints: [{ host: b.example, port: 443, enforcement: enforce, protocol: tcp }]\n    binaries: [{ path: /a }, { path: /x }]\nversion: 1\n";
    let digest = |text: &str| parse(text).document.unwrap().digest();
    assert_eq!(digest(one), digest(two));
    assert_ne!(digest(one), digest(&one.replace("443", "444")));
    assert_eq!(Policy::compile(one).unwrap().0.digest(), digest(two));
}

#[test]
fn the_default_denies_everything_and_compiles_without_a_finding() {
    let (policy, findings) = Policy::compile(DEFAULT_TEXT).unwrap();
    assert_eq!(findings, []);
    assert_eq!(policy.digest(), Policy::deny_all().digest());
    assert_eq!(policy.text(), DEFAULT_TEXT);
    assert!(policy.filesystem().include_workdir);
    assert_eq!(policy.process().run_as_user, RunAs::Sandbox);
    for request in requests() {
        assert_eq!(decide(&policy, &request), None);
        assert!(!policy.resolves(&request.0));
    }
}

#[test]
fn j01_unbound_missing_and_writable_paths_match_nothing() {
    let text = "version: 1\nnetwork_policies:\n  a: { endpoints: [{ host: a.example.com, port: 443 }], binaries: [{ path: /usr/bin/curl }] }\n";
    let (unbound, _) = Policy::compile(text).unwrap();
    assert_eq!(unbound.binary_paths().collect::<Vec<_>>(), ["/usr/bin/curl"]);
    let name = HostName::parse("a.example.com").unwrap();
    let request = (
        name,
        Port::new(443).unwrap(),
        Caller { exe: program("/usr/bin/curl"), ancestors: Vec::new() },
    );
    assert_eq!(decide(&unbound, &request), None);
    for binding in [Binding::Missing, Binding::Writable, Binding::Files(Vec::new())] {
        let mut table = BinaryTable::new();
        table.insert("/usr/bin/curl", binding);
        assert_eq!(decide(&unbound.bind(&table), &request), None);
    }
    let bound = compile(text);
    assert!(decide(&bound, &request).is_some());
    // The file was replaced since: bound anew, the old inode matches no longer.
    let mut table = BinaryTable::new();
    table.insert("/usr/bin/curl", Binding::Files(vec![FileId { device: 1, inode: 500 }]));
    assert_eq!(decide(&bound.bind(&table), &request), None);
}

#[test]
fn m01_oversized_texts_are_refused_at_once() {
    let code = |text: &str| parse(text).diagnostics.first().map(|finding| finding.code);
    assert_eq!(code(&" ".repeat(100 << 20)), Some("P0002"));
    assert_eq!(code(&format!("a: {}1{}", "[".repeat(40), "]".repeat(40))), Some("P0002"));
    // Beyond 255 levels the scanner itself stops.
    assert_eq!(code(&format!("a: {}", "[".repeat(100_000))), Some("P0001"));
    assert_eq!(code(&format!("a:\n  {}1", "- ".repeat(100_000))), Some("P0002"));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n";
    assert!(parse(bomb).diagnostics.iter().any(|finding| finding.code == "P0003"));
    let noise = format!("version: 1\nread_only: [{}]\n", "1,".repeat(300_000));
    assert!(parse(&noise).diagnostics.len() < 300);
    let many =
        format!("version: 1\n{}", (0..5000).map(|n| format!("k{n}: 1\n")).collect::<String>());
    let findings = parse(&many).diagnostics;
    assert!(findings.len() <= 202, "{}", findings.len());
    assert_eq!(findings.last().unwrap().code, "P0007");
}

#[test]
fn a_grant_of_another_policy_opens_nothing() {
    let text = "version: 1\nnetwork_policies:\n  a: { endpoints: [{ host: a.example.com, port: 443 }], binaries: [{ path: \"/**\" }] }\n";
    let name = HostName::parse("a.example.com").unwrap();
    let by = Caller { exe: program("/bin/sh"), ancestors: Vec::new() };
    let grant = decide(&compile(text), &(name, Port::new(443).unwrap(), by)).unwrap();
    let other = Policy::deny_all();
    assert!(other.admits(&grant, "8.8.8.8".parse().unwrap()).is_err());
    assert!(!other.host_loopback(&grant));
    assert_eq!(other.rule_name(&grant), "");
}

#[test]
fn denials_say_which_predicate_failed() {
    let by = Caller { exe: program("/bin/sh"), ancestors: Vec::new() };
    let name = HostName::parse("a.example.com").unwrap();
    let to = Destination::Name(&name, Port::new(443).unwrap());
    let policy = Policy::deny_all();
    let decision = policy.connect(&to, &by, now());
    let Decision::Deny(denial) = decision else { panic!("the default allows {to:?}") };
    assert_eq!(denial.predicate, Predicate::Host);
    let words = policy.explain(&to, None, &decision);
    assert_eq!(words.predicate, "host");
    assert!(words.nearest.unwrap().contains("/path/to/program"));
}
