//! Cases of the list of hostile inputs, asked as an egress would ask.

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Caller, Content, Decision, Destination, Policy, Program, Request,
    Severity, Verdict, parse,
};
use openshell_types::{FileId, HostName, Port};

fn curl() -> Caller {
    let file = FileId { device: 1, inode: 1 };
    let exe = Program { file, path: Some("/usr/bin/curl".into()), sha256: None };
    Caller { exe, ancestors: Vec::new() }
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn port() -> Port {
    Port::new(443).unwrap()
}

/// A policy of one rule for curl with these endpoints.
fn policy(endpoints: &str) -> Policy {
    let text = format!(
        "version: 1\nnetwork_policies:\n  r:\n    binaries: [{{ path: /usr/bin/curl }}]\n    \
         endpoints: [{endpoints}]\n"
    );
    let (policy, _) = Policy::compile(&text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let mut table = BinaryTable::new();
    table.insert("/usr/bin/curl", Binding::Files(vec![curl().exe.file]));
    policy.bind(&table)
}

fn connects(policy: &Policy, name: &str) -> bool {
    let Ok(name) = HostName::parse(name) else { return false };
    let to = Destination::Name(&name, port());
    matches!(policy.connect(&to, &curl(), now()), Decision::Allow(_))
}

fn passes(policy: &Policy, request: &Request<'_>) -> bool {
    let name = HostName::parse("x.example.com").unwrap();
    let to = Destination::Name(&name, port());
    matches!(policy.request(&to, &curl(), request, now()), Verdict::Allow(_))
}

fn get(path: &str) -> Request<'_> {
    Request { method: "GET", path, query: &[], headers: &[], content: Content::Plain }
}

fn rest(rules: &str) -> Policy {
    policy(&format!("{{ host: x.example.com, port: 443, protocol: rest, {rules} }}"))
}

#[test]
fn a02_a_trailing_dot_names_the_same_host() {
    let written = policy("{ host: \"api.example.com.\", port: 443 }");
    let plain = policy("{ host: api.example.com, port: 443 }");
    for policy in [written, plain] {
        assert!(connects(&policy, "api.example.com"));
        assert!(connects(&policy, "api.example.com."));
        assert!(!connects(&policy, "api.example.com.."));
    }
}

#[test]
fn a03_a_name_has_one_spelling() {
    let policy = policy("{ host: XN--Bcher-KVA.example, port: 443 }");
    for same in ["xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE"] {
        assert!(connects(&policy, same), "{same}");
    }
    // The other forms of the name are no names here, and no policy can be written with them.
    for other in ["bücher.example", "b\u{fc}cher\u{ff0e}example", "bucher.example"] {
        assert!(!connects(&policy, other), "{other}");
    }
    let text = "version: 1\nnetwork_policies:\n  r:\n    binaries: [{ path: /usr/bin/curl }]\n    \
                endpoints: [{ host: \"bücher.example\", port: 443 }]\n";
    assert!(parse(text).document.is_none());
}

#[test]
fn a04_a_suffix_of_a_label_is_no_match() {
    let policy = policy("{ host: \"*.allowed.com\", port: 443 }");
    assert!(connects(&policy, "api.allowed.com"));
    for other in ["evilallowed.com", "allowed.com.evil.com", "api.allowed.com.evil.com"] {
        assert!(!connects(&policy, other), "{other}");
    }
}

#[test]
fn a05_a_wildcard_is_one_label_and_two_are_several() {
    let one = policy("{ host: \"*.x.com\", port: 443 }");
    let many = policy("{ host: \"**.x.com\", port: 443 }");
    for (name, by_one, by_many) in
        [("x.com", false, false), ("a.x.com", true, true), ("a.b.x.com", false, true)]
    {
        assert_eq!(connects(&one, name), by_one, "* {name}");
        assert_eq!(connects(&many, name), by_many, "** {name}");
    }
}

#[test]
fn g06_methods_that_nobody_named_are_denied() {
    let every = rest("rules: [{ allow: { method: \"*\", path: \"**\" } }]");
    let full = rest("access: full");
    for policy in [&every, &full] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert!(passes(policy, &Request { method, ..get("/a") }), "{method}");
        }
        for method in ["get", "Get", "PRI", "TRACE", "CONNECT", "PROPFIND", "FOO", "", "*"] {
            assert!(!passes(policy, &Request { method, ..get("/a") }), "{method}");
        }
    }
    let named = rest("rules: [{ allow: { method: PROPFIND } }]");
    assert!(passes(&named, &Request { method: "PROPFIND", ..get("/a") }));
}

#[test]
fn g07_every_value_of_a_query_key_must_fit() {
    let policy = rest("rules: [{ allow: { path: /q, query: { kind: \"public*\" } } }]");
    let ask = |query: &[(&str, &str)]| passes(&policy, &Request { query, ..get("/q") });
    assert!(ask(&[("kind", "public-1")]));
    assert!(!ask(&[("kind", "public-1"), ("kind", "secret")]));
    assert!(!ask(&[("kind", "secret"), ("kind", "public-1")]));
    assert!(!ask(&[]));
    let denied = rest("access: full, deny_rules: [{ query: { kind: secret } }]");
    let ask = |query: &[(&str, &str)]| passes(&denied, &Request { query, ..get("/q") });
    assert!(ask(&[("kind", "public")]));
    assert!(!ask(&[("kind", "public"), ("kind", "secret")]));
}

#[test]
fn g08_a_denial_holds_in_any_case_of_letters() {
    let careful = rest(
        "rules: [{ allow: { path: \"/repos/**\" } }], deny_rules: [{ path: \"/repos/secret/**\" }]",
    );
    assert!(passes(&careful, &get("/repos/open/x")));
    for path in ["/repos/secret/x", "/repos/SECRET/x", "/REPOS/open/x"] {
        assert!(!passes(&careful, &get(path)), "{path}");
    }
    let exact = rest("path_case: sensitive, access: full, deny_rules: [{ path: \"/secret/**\" }]");
    assert!(passes(&exact, &get("/SECRET/x")));
    assert!(!passes(&exact, &get("/secret/x")));
    let either = rest("path_case: insensitive, rules: [{ allow: { path: \"/Repos/**\" } }]");
    assert!(passes(&either, &get("/rEPOS/x")));
}

#[test]
fn g09_one_star_is_one_segment_in_rules_and_in_denials() {
    let allowed = rest("rules: [{ allow: { path: \"/repos/*\" } }]");
    assert!(passes(&allowed, &get("/repos/a")));
    assert!(!passes(&allowed, &get("/repos/a/b")));
    let denied = rest("access: full, deny_rules: [{ path: \"/admin/**\" }]");
    assert!(!passes(&denied, &get("/admin/a")));
    assert!(!passes(&denied, &get("/admin/a/b")));
}

#[test]
fn j11_a_glob_over_a_writable_place_is_said_to_be_any_code() {
    let text = "version: 1\nnetwork_policies:\n  r:\n    binaries: [{ path: \"/sandbox/**\" }]\n    \
                endpoints: [{ host: x.example.com, port: 443 }]\n";
    let found = parse(text).diagnostics;
    let about = found.iter().find(|found| found.message.contains("any code"));
    assert_eq!(about.map(|found| found.severity), Some(Severity::Warning), "{found:#?}");
}

#[test]
fn n05_no_pattern_makes_a_decision_slow() {
    // Each would take longer than the age of the world with a matcher that goes back.
    let stars = "a*".repeat(40);
    let crossing = "/**/a".repeat(40);
    let policy = rest(&format!(
        "rules: [{{ allow: {{ path: \"/{stars}b\" }} }}, {{ allow: {{ path: \"{crossing}/b\" }} }}, \
         {{ allow: {{ path: /q, query: {{ k: \"{stars}b\" }} }} }}]"
    ));
    let long = "a".repeat(4_000);
    assert!(!passes(&policy, &get(&format!("/{long}"))));
    assert!(!passes(&policy, &get(&"/a".repeat(2_000))));
    let query = [("k", long.as_str())];
    assert!(!passes(&policy, &Request { query: &query, ..get("/q") }));
}
