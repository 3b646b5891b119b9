use openshell_audit::Destination;
use openshell_policy::Explanation;

use crate::refusal::Refusal;

fn body(refusal: &Refusal) -> String {
    let to = Destination { name: Some("evil.example.com".to_owned()), address: None, port: 443 };
    let response = refusal.to_response(&to, Some("/usr/bin/curl"));
    let text = String::from_utf8(response).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    format!("{head}\n\n{}", serde_json::to_string_pretty(&value).unwrap()).replace('\r', "")
}

fn explanation() -> Explanation {
    Explanation {
        predicate: "binary",
        rule: Some("api".to_owned()),
        line: Some(4),
        detail: "rule `api` does not name this binary".to_owned(),
        nearest: Some("- path: /usr/bin/curl".to_owned()),
    }
}

#[test]
fn a_denial_tells_an_agent_what_would_change_it() {
    insta::assert_snapshot!(body(&Refusal::policy(explanation())));
}

#[test]
fn a_guard_offers_no_way_around_it() {
    insta::assert_snapshot!(body(&Refusal::own_address("203.0.113.5".parse().unwrap())));
}

#[test]
fn an_unreachable_upstream_is_no_denial() {
    let detail = "203.0.113.5:443 could not be reached: connection refused".to_owned();
    insta::assert_snapshot!(body(&Refusal::unreachable("upstream_unreachable", detail)));
}
