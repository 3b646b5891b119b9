//! What holds for every edit, difference and proposal, over a small world of documents.

use std::fmt::Write as _;

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Caller, Content, Decision, Destination, Difference, Document, Observed,
    Operation, Outcome, Policy, Program, Request, Verdict, generalise, parse, propose,
};
use openshell_types::{FileId, Host, HostName, Port};
use proptest::prelude::*;

const HOSTS: [&str; 4] = ["a.example.com", "b.example.com", "*.example.com", "**.example.com"];
const NAMES: [&str; 4] = ["a.example.com", "b.example.com", "c.example.com", "x.y.example.com"];
const PORTS: [&str; 4] = ["80", "443", "\"440-450\"", "8080"];
const LINE_PORTS: [&str; 3] = ["80", "443", "440-450"];
const BINARIES: [&str; 4] = ["/usr/bin/curl", "/usr/bin/node", "/usr/bin/*", "/opt/**"];
const PATHS: [&str; 4] = ["/usr/bin/curl", "/usr/bin/node", "/opt/x/node", "/bin/sh"];

#[derive(Clone, Debug)]
struct RuleShape {
    endpoints: Vec<(usize, usize)>,
    binaries: Vec<(usize, bool)>,
}

fn rule() -> impl Strategy<Value = RuleShape> {
    let endpoints = prop::collection::vec((0..HOSTS.len(), 0..PORTS.len()), 1..3);
    let binaries = prop::collection::vec((0..BINARIES.len(), any::<bool>()), 1..3);
    (endpoints, binaries).prop_map(|(endpoints, binaries)| RuleShape { endpoints, binaries })
}

fn rules() -> impl Strategy<Value = Vec<RuleShape>> {
    prop::collection::vec(rule(), 0..4)
}

fn document(rules: &[RuleShape]) -> Document {
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
    if rules.is_empty() {
        text.push_str("  {}\n");
    }
    parse(&text).document.unwrap()
}

fn program(path: &str) -> Program {
    let inode = PATHS.iter().position(|known| *known == path).map_or(99, |at| at as u64);
    Program { file: FileId { device: 1, inode }, path: Some(path.into()), sha256: None }
}

fn compile(document: &Document) -> Policy {
    let (policy, _) = Policy::compile(&document.canonical()).unwrap();
    let mut table = BinaryTable::new();
    for path in PATHS {
        table.insert(path, Binding::Files(vec![program(path).file]));
    }
    policy.bind(&table)
}

type Intent = (HostName, Port, Caller);

fn intents() -> Vec<Intent> {
    let mut all = Vec::new();
    for name in NAMES {
        for port in [80, 443, 445, 22] {
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

fn allows(policy: &Policy, (name, port, by): &Intent) -> bool {
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    matches!(policy.connect(&Destination::Name(name, *port), by, now), Decision::Allow(_))
}

/// Additions as lines: host, port, some of the binaries, and the number of the rule.
fn additions() -> impl Strategy<Value = Vec<(usize, usize, Vec<usize>, usize)>> {
    let binaries = prop::collection::vec(0..BINARIES.len(), 1..3);
    prop::collection::vec((0..HOSTS.len(), 0..LINE_PORTS.len(), binaries, 0_usize..5), 1..4)
}

fn operations(additions: &[(usize, usize, Vec<usize>, usize)]) -> Vec<Operation> {
    additions
        .iter()
        .map(|(host, port, binaries, rule)| {
            let line = format!("{}:{}", HOSTS[*host], LINE_PORTS[*port]);
            let binaries: Vec<&str> = binaries.iter().map(|at| BINARIES[*at]).collect();
            Operation::parse_endpoint(&line, &binaries, Some(&format!("r{rule}"))).unwrap()
        })
        .collect()
}

/// Numbers, words and depths of paths that were seen.
fn observations() -> impl Strategy<Value = Vec<Observed>> {
    let one = (0..4_usize, 0..6_usize, 0..4_usize, prop::collection::vec(0..14_usize, 0..4));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        all.into_iter()
            .map(|(binary, host, method, path)| {
                let names = [
                    "a.example.com",
                    "b.example.com",
                    "c.example.com",
                    "d.x.org",
                    "e.org",
                    "10.0.0.1",
                ];
                let segment = |at: usize| match at {
                    0..4 => at.to_string(),
                    4 => "deadbeef01".to_owned(),
                    5 => "{x}".to_owned(),
                    6 => String::new(),
                    at => format!("word{}", (b'a' + at as u8) as char),
                };
                let path: Vec<String> = path.into_iter().map(segment).collect();
                let method = ["GET", "HEAD", "POST", "WEBSOCKET_TEXT"][method];
                Observed {
                    binary: PATHS[binary].to_owned(),
                    host: Host::parse(names[host]).unwrap(),
                    port: Port::new(443).unwrap(),
                    request: (host != 4)
                        // Of several slashes a request keeps one.
                        .then(|| format!("/{}", path.join("/")).replace("///", "/"))
                        .map(|path| (method.to_owned(), path.replace("//", "/"))),
                }
            })
            .collect()
    })
}

fn allows_observed(policy: &Policy, one: &Observed) -> bool {
    let to = match &one.host {
        Host::Name(name) => Destination::Name(name, one.port),
        Host::Address(address) => Destination::Address(*address, one.port),
    };
    let by = Caller { exe: program(&one.binary), ancestors: Vec::new() };
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let Some((method, path)) = &one.request else {
        return matches!(policy.connect(&to, &by, now), Decision::Allow(_));
    };
    let content = match method.as_str() {
        "WEBSOCKET_TEXT" => Content::Message { operations: &[], control: false },
        _ => Content::Plain,
    };
    let request = Request { method, path, query: &[], headers: &[], content };
    matches!(policy.request(&to, &by, &request, now), Verdict::Allow(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_allows_what_it_names_and_nothing_else(rules in rules(), more in additions()) {
        let before = document(&rules);
        let operations = operations(&more);
        let applied = before.apply(&operations).unwrap();
        let alone: Vec<Policy> = operations
            .iter()
            .map(|operation| {
                let empty = document(&[]);
                compile(&empty.apply(std::slice::from_ref(operation)).unwrap().document)
            })
            .collect();
        let (old, new) = (compile(&before), compile(&applied.document));
        for intent in intents() {
            let wanted = allows(&old, &intent) || alone.iter().any(|policy| allows(policy, &intent));
            prop_assert_eq!(allows(&new, &intent), wanted, "{:?}\n{}", intent, applied.text);
        }
        let again = applied.document.apply(&operations).unwrap();
        prop_assert_eq!(again.text, applied.text);
    }

    #[test]
    fn all_that_was_observed_is_allowed(observed in observations()) {
        let result = generalise(&observed);
        let policy = compile(&result.document);
        for one in &observed {
            prop_assert!(allows_observed(&policy, one), "{:?}\n{}", one, result.document.canonical());
        }
        let mut turned = observed.clone();
        turned.reverse();
        let again = generalise(&turned);
        prop_assert_eq!(again.document.canonical(), result.document.canonical());
        prop_assert_eq!(again.warnings, result.warnings);
    }

    #[test]
    fn removals_only_narrow(rules in rules(), host in 0..HOSTS.len(), binary in 0..BINARIES.len()) {
        let before = document(&rules);
        let operations = [
            Operation::parse_removal(&format!("{}:443", HOSTS[host])).unwrap(),
            Operation::RemoveBinary { rule: "r0".to_owned(), path: BINARIES[binary].to_owned() },
        ];
        let applied = before.apply(&operations).unwrap();
        let (old, new) = (compile(&before), compile(&applied.document));
        for intent in intents() {
            prop_assert!(!allows(&new, &intent) || allows(&old, &intent));
        }
        prop_assert!(!applied.document.apply(&operations).unwrap().changed);
    }

    #[test]
    fn documents_without_a_difference_decide_alike(one in rules(), two in rules()) {
        let (one, two) = (document(&one), document(&two));
        prop_assert!(Difference::between(&one, &one).is_empty());
        let reread = parse(&one.canonical()).document.unwrap();
        prop_assert!(Difference::between(&one, &reread).is_empty());
        let same = Difference::between(&one, &two).is_empty();
        prop_assert_eq!(same, Difference::between(&two, &one).is_empty());
        if same {
            let (one, two) = (compile(&one), compile(&two));
            for intent in intents() {
                prop_assert_eq!(allows(&one, &intent), allows(&two, &intent));
            }
        }
    }

    #[test]
    fn what_is_proposed_allows_the_intent_and_what_it_says(rules in rules(), at in 0_usize..256) {
        let before = document(&rules);
        let all = intents();
        let intent = &all[at % all.len()];
        let (name, port, by) = intent;
        let proposal = propose(&before, &Destination::Name(name, *port), by, None);
        let old = compile(&before);
        match proposal.outcome {
            Outcome::Allowed => prop_assert!(allows(&old, intent)),
            Outcome::Refused => prop_assert!(false, "{}", proposal.words),
            Outcome::Edit => {
                prop_assert!(!allows(&old, intent));
                let new = compile(&before.apply(&proposal.operations).unwrap().document);
                prop_assert!(allows(&new, intent), "{}", proposal.words);
                if proposal.widening.is_empty() {
                    // The intent for whoever started the program, and nothing else.
                    for other in &all {
                        let same = (&other.0, other.1, &other.2.exe) == (name, *port, &by.exe);
                        prop_assert!(same || allows(&new, other) == allows(&old, other));
                    }
                }
                if let Some(other) = proposal.alternative {
                    let new = compile(&before.apply(&other.operations).unwrap().document);
                    prop_assert!(allows(&new, intent), "{}", other.words);
                    prop_assert!(!other.widening.is_empty());
                }
            }
        }
    }
}
