//! From observations to policies.

use super::*;

fn observed(binary: &str, host: &str, request: Option<(&str, &str)>) -> Observed {
    Observed {
        binary: binary.to_owned(),
        host: Host::parse(host).unwrap(),
        port: Port::new(443).unwrap(),
        request: request.map(|(method, path)| (method.to_owned(), path.to_owned())),
    }
}

fn summary(result: &Generalised) -> Vec<String> {
    let mut out = Vec::new();
    for rule in &result.document.rules {
        for endpoint in &rule.endpoints {
            let binaries: Vec<String> = rule.binaries.iter().map(words::binary).collect();
            out.push(format!("{}: {}", binaries.join(" "), words::endpoint(endpoint)));
        }
    }
    out
}

#[test]
fn three_siblings_are_evidence_of_a_wildcard_and_two_are_not() {
    let names = |names: &[&str]| {
        let list: Vec<Observed> =
            names.iter().map(|name| observed("/usr/bin/x", name, None)).collect();
        generalise(&list)
    };
    let three = names(&["a.example.com", "b.example.com", "c.example.com", "example.com"]);
    assert_eq!(
        summary(&three),
        ["/usr/bin/x: *.example.com on port 443", "/usr/bin/x: example.com on port 443"]
    );
    assert_eq!(three.warnings.len(), 1);
    for few in [
        &["a.example.com", "b.example.com"][..],
        &["a.github.io", "b.github.io", "c.github.io"],
        &["a.com", "b.com", "c.com"],
        &["a.x.example.com", "b.y.example.com", "c.z.example.com"],
    ] {
        let result = names(few);
        assert_eq!(summary(&result).len(), few.len());
        assert!(result.warnings.is_empty());
    }
}

#[test]
fn methods_and_paths_become_rules_and_equal_programs_share_them() {
    let list = [
        observed("/usr/bin/x", "a.example", Some(("GET", "/v1/items/1"))),
        observed("/usr/bin/x", "a.example", Some(("HEAD", "/v1/items/22"))),
        observed("/usr/bin/x", "a.example", Some(("GET", "/v1/items/22"))),
        observed("/usr/bin/x", "a.example", Some(("HEAD", "/v1/items/1"))),
        observed("/usr/bin/x", "a.example", Some(("WEBSOCKET_TEXT", "/ws"))),
        observed("/usr/bin/y", "b.example", None),
        observed("/usr/bin/z", "b.example", Some(("GET", "/"))),
        observed("/usr/bin/z", "b.example", None),
    ];
    let result = generalise(&list);
    assert_eq!(
        summary(&result),
        [
            "/usr/bin/x: a.example, protocol: rest; allow method: GET, path: /v1/items/* on port 443",
            "/usr/bin/x: a.example, protocol: websocket; allow method: GET, path: /ws; allow method: WEBSOCKET_TEXT, path: /ws on port 443",
            "/usr/bin/y /usr/bin/z: b.example on port 443",
        ]
    );
    let mut turned = list.to_vec();
    turned.reverse();
    turned.extend(list);
    let again = generalise(&turned);
    assert_eq!((summary(&again), again.warnings), (summary(&result), result.warnings));
}

#[test]
fn what_no_policy_can_allow_is_left_out_with_a_warning() {
    let list = [
        observed("/usr/bin/x", "169.254.169.254", None),
        observed("/tmp/x", "a.example", None),
        observed("/usr/bin/x", "a.example", Some(("TRACE", "/"))),
        observed("/usr/bin/x", "a.example", Some(("GET", "*"))),
        observed("/usr/bin/x", "a.example", Some(("GET", "/a/../b"))),
    ];
    let result = generalise(&list);
    assert!(result.document.rules.is_empty());
    assert_eq!(result.warnings.len(), 4, "{:#?}", result.warnings);
}
