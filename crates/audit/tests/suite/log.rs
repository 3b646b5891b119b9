//! A log of every kind of event: its lines, its chain and its other two forms.

use std::net::IpAddr;

use jiff::Timestamp;
use openshell_audit::{
    Bypass, Caller, Chain, ChainError, Config, Destination, Dns, Event, Inference, Lifecycle, Line,
    Network, Outcome, Process, Reason, Record, RecordError, Tokens, Way, bounded, bounded_argv,
    limits, ocsf, shorthand, verify,
};
use openshell_types::{Digest, Generation, SandboxId, SandboxName};
use serde_json::json;

fn time() -> Timestamp {
    "2030-01-02T03:04:05.678Z".parse().unwrap()
}

fn append(chain: &mut Chain, event: Event) -> Line {
    let name = SandboxName::parse("brave-otter").unwrap();
    let id = SandboxId::parse("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001").unwrap();
    chain.append(time(), &name, &id, event)
}

fn record(event: Event) -> Record {
    Record::parse(&append(&mut Chain::new(), event).text).unwrap()
}

fn denied() -> Network {
    Network {
        way: Way::Connect,
        outcome: Outcome::Denied,
        destination: Destination {
            name: Some("api.example.com".to_owned()),
            address: None,
            port: 443,
        },
        caller: Some(Caller {
            pid: 12,
            binary: "/usr/bin/python3".to_owned(),
            sha256: Some(Digest::of(b"python")),
            argv: vec!["python3".to_owned(), "-c".to_owned(), "import x".to_owned()],
            ancestors: vec!["/bin/bash".to_owned(), "/usr/bin/claude".to_owned()],
        }),
        rule: None,
        reason: Some(Reason {
            predicate: "host".to_owned(),
            detail: "no rule names the host api.example.com".to_owned(),
            line: None,
            nearest: Some("add a rule".to_owned()),
        }),
        generation: Generation::new(3),
    }
}

fn answered() -> Inference {
    let Network { way, destination, caller, .. } = denied();
    Inference {
        way,
        outcome: Outcome::Allowed,
        destination,
        caller,
        operation: "messages".to_owned(),
        route: Some("anthropic".to_owned()),
        provider: Some("claude".to_owned()),
        model: Some("model-1".to_owned()),
        status: Some(200),
        tokens: Some(Tokens { input: Some(17), output: Some(30), cached: None }),
        first_byte_ms: Some(20),
        duration_ms: 120,
        reason: None,
        generation: Generation::new(3),
    }
}

fn one_of_each() -> Vec<Event> {
    vec![
        Event::Lifecycle(Lifecycle {
            activity: "ready".to_owned(),
            detail: "landlock v7, seccomp".to_owned(),
        }),
        Event::Config(Config {
            activity: "enforced".to_owned(),
            generation: Generation::new(1),
            digest: Digest::of(b"abc"),
            detail: None,
        }),
        Event::Process(Process {
            role: "main".to_owned(),
            activity: "started".to_owned(),
            pid: 2,
            argv: vec!["sh".to_owned(), "-c".to_owned(), "a b".to_owned()],
            exit_code: None,
        }),
        Event::Network(denied()),
        Event::Network(Network {
            outcome: Outcome::Allowed,
            way: Way::Transparent,
            rule: Some("web".to_owned()),
            reason: None,
            destination: Destination {
                name: None,
                address: Some("2001:db8::1".parse::<IpAddr>().unwrap()),
                port: 80,
            },
            caller: None,
            ..denied()
        }),
        Event::Inference(answered()),
        Event::Dns(Dns {
            name: "secret.evil.com".to_owned(),
            record_type: "TXT".to_owned(),
            predicate: "not_in_policy".to_owned(),
            count: 4,
        }),
        Event::Bypass(Bypass {
            protocol: "udp".to_owned(),
            address: "1.1.1.1".parse().unwrap(),
            port: 53,
            count: 9,
        }),
        Event::Process(Process {
            role: "main".to_owned(),
            activity: "exited".to_owned(),
            pid: 2,
            argv: Vec::new(),
            exit_code: Some(137),
        }),
        Event::Config(Config {
            activity: "refused".to_owned(),
            generation: Generation::new(2),
            digest: Digest::of(b"abc"),
            detail: Some("P0101".to_owned()),
        }),
    ]
}

#[test]
fn shorthand_lines_read_as_recorded() {
    let lines: Vec<String> =
        one_of_each().into_iter().map(|event| shorthand(&record(event))).collect();
    assert_eq!(
        lines,
        [
            r#"LIFECYCLE:START [INFO] READY "landlock v7, seccomp""#,
            r#"CONFIG:LOADED [INFO] ENFORCED policy [gen:1 digest:ba7816bf8f01]"#,
            r#"PROC:LAUNCH [INFO] STARTED main(2) sh -c "a b""#,
            r#"NET:OPEN [MED] DENIED /usr/bin/python3(12) -> api.example.com:443 [rule:- reason:host via:connect gen:3] "no rule names the host api.example.com""#,
            r#"NET:OPEN [INFO] ALLOWED unknown -> [2001:db8::1]:80 [rule:web via:transparent gen:3]"#,
            r#"API:INFERENCE [INFO] ALLOWED /usr/bin/python3(12) -> api.example.com:443 messages [route:anthropic provider:claude model:model-1 status:200 in:17 out:30 first:20ms total:120ms via:connect gen:3]"#,
            r#"DNS:QUERY [LOW] DENIED TXT secret.evil.com [reason:not_in_policy count:4]"#,
            r#"FINDING:CREATE [HIGH] BLOCKED udp -> 1.1.1.1:53 [reason:bypass count:9]"#,
            r#"PROC:TERMINATE [INFO] EXITED main(2) [exit:137]"#,
            r#"CONFIG:REFUSED [MED] REFUSED policy [gen:2 digest:ba7816bf8f01] "P0101""#,
        ]
    );
}

#[test]
fn every_event_has_its_ocsf_class() {
    let classes: Vec<(u64, u64)> = one_of_each()
        .into_iter()
        .map(|event| {
            let value = ocsf(&record(event));
            let (class, activity) = (&value["class_uid"], &value["activity_id"]);
            let (class, activity) = (class.as_u64().unwrap(), activity.as_u64().unwrap());
            assert_eq!(value["type_uid"], class * 100 + activity);
            assert_eq!(value["metadata"]["version"], "1.8.0");
            assert_eq!(value["time"], 1_893_553_445_678_i64);
            (class, activity)
        })
        .collect();
    assert_eq!(
        classes,
        [
            (6002, 3),
            (5019, 1),
            (1007, 1),
            (4001, 5),
            (4001, 1),
            (6003, 1),
            (4003, 2),
            (2004, 1),
            (1007, 2),
            (5019, 1)
        ]
    );
}

#[test]
fn an_ocsf_denial_names_who_where_and_why() {
    let value = ocsf(&record(Event::Network(denied())));
    assert_eq!(value["dst_endpoint"]["hostname"], "api.example.com");
    assert_eq!(value["disposition"], "Blocked");
    assert_eq!(value["status_code"], "host");
    assert_eq!(value["actor"]["process"]["file"]["path"], "/usr/bin/python3");
    assert_eq!(value["actor"]["process"]["lineage"], json!(["/usr/bin/claude", "/bin/bash"]));
    assert_eq!(value["severity"], "Medium");
}

#[test]
fn m12_one_event_is_one_line_whatever_its_text() {
    let mut event = denied();
    let hostile = "x\n{\"v\":1,\"seq\":2}\r\u{1b}[2K\u{202e}\0\u{2028}\"]} ALLOWED";
    if let Some(caller) = &mut event.caller {
        caller.argv = vec![hostile.to_owned()];
        caller.binary = hostile.to_owned();
    }
    event.destination.name = Some(hostile.to_owned());
    if let Some(reason) = &mut event.reason {
        reason.detail = hostile.to_owned();
    }
    let line = append(&mut Chain::new(), Event::Network(event));
    assert!(!line.text.contains(['\n', '\r', '\u{1b}', '\0']), "{}", line.text);
    assert_eq!(line.text.lines().count(), 1);
    let record = Record::parse(&line.text).unwrap();
    let Event::Network(network) = &record.event else { panic!("another kind of event came back") };
    assert_eq!(network.destination.name.as_deref(), Some(hostile));
    let short = shorthand(&record);
    assert!(!short.contains(['\n', '\r', '\u{1b}', '\0', '\u{202e}', '\u{2028}']), "{short}");
    assert!(short.contains(r"\u{1b}[2K\u{202e}"), "{short}");
    // A forged end of the quoted detail stays inside of it.
    assert!(short.ends_with(r#"\"]} ALLOWED""#), "{short}");
}

#[test]
fn m12_texts_are_cut_to_their_bounds() {
    let long = "é\n".repeat(100_000);
    let mut event = denied();
    if let Some(caller) = &mut event.caller {
        caller.argv = vec![long.clone(); 1000];
        caller.binary = long.clone();
        caller.ancestors = vec![long.clone(); 1000];
    }
    event.destination.name = Some(long.clone());
    event.rule = Some(long.clone());
    event.reason = Some(Reason {
        predicate: long.clone(),
        detail: long.clone(),
        line: None,
        nearest: Some(long),
    });
    let line = append(&mut Chain::new(), Event::Network(event));
    assert!(line.text.len() < limits::LINE_BYTES / 8, "{}", line.text.len());
    let record = Record::parse(&line.text).unwrap();
    let Event::Network(Network { caller: Some(caller), .. }) = record.event else {
        panic!("another kind of event came back")
    };
    assert_eq!(caller.argv.len(), limits::ARGV_ITEMS);
    assert_eq!(caller.argv.last().map(String::as_str), Some("…"));
    assert_eq!(caller.ancestors.len(), limits::ANCESTORS);
    assert!(caller.argv.iter().all(|item| item.len() <= limits::ARGV_BYTES));
}

#[test]
fn helpers_cut_at_characters_and_read_bytes() {
    assert_eq!(bounded("abc", 3), "abc");
    assert_eq!(bounded("abcdéf", 6), "abc…");
    assert_eq!(bounded("ééé", 5), "é…");
    assert_eq!(bounded_argv([&b"ls"[..], b"\xff\xfe"]), ["ls", "\u{fffd}\u{fffd}"]);
    let many = bounded_argv((0..100).map(|n| n.to_string()));
    assert_eq!(many.len(), limits::ARGV_ITEMS);
    assert_eq!(many.last().map(String::as_str), Some("…"));
    assert_eq!(bounded_argv(vec!["x"; limits::ARGV_ITEMS]), vec!["x"; limits::ARGV_ITEMS]);
}

fn log() -> Vec<String> {
    let mut chain = Chain::new();
    one_of_each().into_iter().map(|event| append(&mut chain, event).text).collect()
}

fn check(lines: &[String]) -> Result<openshell_audit::Summary, ChainError> {
    verify(lines.iter().map(String::as_str))
}

#[test]
fn a_whole_log_verifies_and_is_continued() {
    let mut lines = log();
    let summary = check(&lines).unwrap();
    assert_eq!((summary.lines, summary.last_seq), (10, 10));
    assert_eq!(summary.last_digest, Digest::of(lines.last().unwrap().as_bytes()));
    let mut chain = Chain::resume(summary.last_seq, summary.last_digest);
    let next = append(&mut chain, Event::Network(denied()));
    assert_eq!(next.seq, 11);
    assert_eq!((chain.last_seq(), chain.last_digest()), (11, Digest::of(next.text.as_bytes())));
    lines.push(next.text);
    assert_eq!(check(&lines).unwrap().last_seq, 11);
    assert_eq!(check(&[]).unwrap().last_seq, 0);
}

#[test]
fn m13_changed_lost_and_moved_lines_are_found() {
    let mut changed = log();
    changed[3] = changed[3].replace("api.example.com", "api.example.org");
    assert!(matches!(check(&changed), Err(ChainError::Broken { seq: 5 })));

    let mut lost = log();
    lost.remove(3);
    assert!(matches!(check(&lost), Err(ChainError::Gap { seq: 4, found: 5 })));

    let mut headless = log();
    headless.remove(0);
    assert!(matches!(check(&headless), Err(ChainError::Gap { seq: 1, found: 2 })));

    let mut swapped = log();
    swapped.swap(3, 4);
    assert!(matches!(check(&swapped), Err(ChainError::Gap { seq: 4, found: 5 })));

    let mut torn = log();
    torn[5].truncate(40);
    assert!(matches!(check(&torn), Err(ChainError::Unreadable { seq: 6, .. })));

    let mut foreign = log();
    foreign[1] = foreign[1].replace("d1f0a001", "d1f0a002");
    assert!(matches!(check(&foreign), Err(ChainError::Foreign { seq: 2 })));
}

#[test]
fn records_are_read_strictly() {
    let good = log().remove(0);
    assert!(Record::parse(&good).is_ok());
    let extra = good.replacen("\"v\":1", "\"v\":1,\"extra\":true", 1);
    assert!(matches!(Record::parse(&extra), Err(RecordError::Json(_))));
    let inner = good.replacen("\"activity\"", "\"extra\":1,\"activity\"", 1);
    assert!(matches!(Record::parse(&inner), Err(RecordError::Json(_))));
    let newer = good.replacen("\"v\":1", "\"v\":2", 1);
    assert!(matches!(Record::parse(&newer), Err(RecordError::Version(2))));
    let double = good.replacen("\"v\":1", "\"v\":1,\"v\":1", 1);
    assert!(matches!(Record::parse(&double), Err(RecordError::Json(_))));
    let long = format!("{good}{}", " ".repeat(limits::LINE_BYTES));
    assert!(matches!(Record::parse(&long), Err(RecordError::TooLong)));
    assert!(Record::parse(&format!("{good}\n{good}")).is_err());
}
