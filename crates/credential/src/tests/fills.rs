//! Values are put into bodies where they belong, and nowhere else.

use openshell_codec::http1::Header;
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Host, Placement, Port, Redacted,
};

use crate::{Asked, Credentials, Kind, Misuse, Place};

const KEY: &str = "sk-ant-api03-PLACEHOLDERPLACEHOLDER";
const TOKEN: &str = "ghp_PLACEHOLDERPLACEHOLDERPLACEHOLDER";
const STRAY: &str = "npm_PLACEHOLDERPLACEHOLDERPLACEHOLDER";

/// Of api.example.com, `KEY` and `TOKEN` for bodies beneath `/in`; `STRAY` is for another server.
fn credentials() -> Credentials {
    let bind = |host: &str, path: Option<&str>, placement| Binding {
        host: Host::parse(host).unwrap(),
        port: Port::new(443).unwrap(),
        path: path.map(str::to_owned),
        placement,
        rule: None,
    };
    let one = |name: &str, placeholder: &str, secret: &str, bindings| Credential {
        name: name.to_owned(),
        placeholder: placeholder.to_owned(),
        secret: Redacted::new(secret.to_owned()),
        expires_ms: Some(1000),
        bindings,
    };
    let in_bodies = || bind("api.example.com", Some("/in/**"), Placement::Body);
    let in_messages = || bind("api.example.com", Some("/in/**"), Placement::Message);
    let all = vec![
        one(
            "a/KEY",
            KEY,
            "real \"key\\ &ä",
            vec![
                bind("api.example.com", None, Placement::Authorization),
                in_bodies(),
                in_bodies(),
                in_messages(),
            ],
        ),
        one("a/TOKEN", TOKEN, "real-token", vec![in_bodies(), in_messages()]),
        one("b/STRAY", STRAY, "real-stray", vec![bind("b.example.com", None, Placement::Body)]),
    ];
    Credentials::new(CredentialSet { epoch: 1, mark: Redacted::new([7; 32]), all })
}

fn kind(content_type: &str) -> Option<Kind> {
    Kind::of(&[Header { name: "content-type".to_owned(), value: content_type.into() }])
}

/// The body that goes out, if it is another, and the names that are in it.
fn fill(
    path: &str,
    content_type: &str,
    body: &str,
) -> Result<Option<(String, Vec<String>)>, Misuse> {
    let to = Authority::parse("api.example.com:443").unwrap();
    let asked = Asked {
        method: "POST",
        to: &to,
        is_secure: true,
        target: path,
        headers: &[],
        bound: &[],
        body: None,
    };
    let filled = credentials().fill(&asked, kind(content_type), body.as_bytes(), 0)?;
    Ok(filled.map(|own| (String::from_utf8(own.body.expose().clone()).unwrap(), own.names)))
}

fn sent(content_type: &str, body: &str) -> String {
    fill("/in/x?a=b", content_type, body).unwrap().unwrap().0
}

#[test]
fn a_value_is_written_as_the_body_is() {
    let json = format!(
        r#" {{ "a\"b": ["x", "{KEY}"], "c":{{"d":"Bearer {TOKEN}!\\", "e": "\\\"{KEY}{KEY}"}}}} "#
    );
    let value = r#"real \"key\\ &ä"#;
    let wanted = format!(
        r#" {{ "a\"b": ["x", "{value}"], "c":{{"d":"Bearer real-token!\\", "e": "\\\"{value}{value}"}}}} "#
    );
    for content_type in [
        "application/json",
        "application/json; charset=UTF-8",
        "application/vnd.api+json",
        "text/json",
    ] {
        assert_eq!(sent(content_type, &json), wanted, "{content_type}");
    }
    assert_eq!(
        sent("application/x-www-form-urlencoded", &format!("grant=a&token={TOKEN}&key={KEY}")),
        "grant=a&token=real%2Dtoken&key=real%20%22key%5C%20%26%C3%A4"
    );
    assert_eq!(sent("text/plain", &format!("key: {KEY}.")), "key: real \"key\\ &ä.");
    let (_, names) = fill("/in/x", "text/plain", &format!("{KEY}{TOKEN}")).unwrap().unwrap();
    assert_eq!(names, ["a/KEY", "a/TOKEN"]);
}

#[test]
fn what_has_no_placeholder_is_left_as_it_is() {
    for body in ["", "{}", "no JSON at all", r#"{"a":"sk-ant-api03-"}"#] {
        assert_eq!(fill("/in/x", "application/json", body).unwrap(), None);
        assert_eq!(fill("/in/x", "image/png", body).unwrap(), None);
    }
    // One that is for this server, though not for bodies of this path.
    assert_eq!(fill("/out", "application/json", KEY).unwrap(), None);
}

#[test]
fn i02_a_value_is_put_nowhere_else() {
    let unfit = |body: &str, content_type: &str| {
        let refused = fill("/in/x", content_type, body).unwrap_err();
        assert!(matches!(&refused, Misuse::Unfit { name, .. } if name == "a/KEY"), "{refused:?}");
    };
    for content_type in [
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "",
    ] {
        unfit(&format!(r#"{{"a":"{KEY}"}}"#), content_type);
    }
    for body in [
        format!(r#"{{"{KEY}":1}}"#),
        format!(r#"{{"a{KEY}"  : 1}}"#),
        format!("{{\"a\":\"{KEY}\"}}x"),
        format!("{{\"a\":\"{KEY}\", \"a\":1}}"),
        format!("{{\"a\":{KEY}}}"),
    ] {
        unfit(&body, "application/json");
    }
    let stray = format!(r#"{{"a":"{KEY}","b":"{STRAY}"}}"#);
    let elsewhere = Misuse::Elsewhere { name: "b/STRAY".to_owned(), place: Place::Body };
    assert_eq!(fill("/in/x", "application/json", &stray).unwrap_err(), elsewhere);
    assert_eq!(fill("/out", "application/json", &stray).unwrap_err(), elsewhere);
}

#[test]
fn an_expired_value_and_an_open_line_are_refused() {
    let to = Authority::parse("api.example.com:443").unwrap();
    let asked = Asked {
        method: "POST",
        to: &to,
        is_secure: true,
        target: "/in/x",
        headers: &[],
        bound: &[],
        body: None,
    };
    let all = credentials();
    let fill = |asked: &Asked<'_>, now| all.fill(asked, Some(Kind::Text), KEY.as_bytes(), now);
    let name = || "a/KEY".to_owned();
    assert_eq!(fill(&asked, 1000).unwrap_err(), Misuse::Expired { name: name() });
    let open = Asked { is_secure: false, ..asked };
    assert_eq!(fill(&open, 999).unwrap_err(), Misuse::Plain { name: name() });
    let filled = fill(&asked, 999).unwrap().unwrap();
    assert!(!format!("{filled:?}").contains("real"), "{filled:?}");
}

#[test]
fn a_message_is_what_it_looks_like() {
    let to = Authority::parse("api.example.com:443").unwrap();
    let asked = Asked {
        method: "POST",
        to: &to,
        is_secure: true,
        target: "/in/ws",
        headers: &[],
        bound: &[],
        body: None,
    };
    for (text, sent) in [
        (format!(r#"["{KEY}"]"#), r#"["real \"key\\ &ä"]"#),
        (format!("AUTH {TOKEN}"), "AUTH real-token"),
    ] {
        let filled = credentials().fill_message(&asked, &text, 0).unwrap().unwrap();
        assert_eq!(std::str::from_utf8(filled.body.expose()).unwrap(), sent);
    }
    assert!(credentials().fill_message(&asked, STRAY, 0).is_err());
}
