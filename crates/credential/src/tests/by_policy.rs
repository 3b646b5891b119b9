//! Credentials that endpoints of a person's policy bind: for whom, and where in a request.

use std::sync::Arc;

use openshell_codec::http1::Header;
use openshell_policy::BoundEndpoint;
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Host, Placement, Port, Redacted,
};

use super::encode;
use crate::{Asked, BodySearch, Credentials, Going, Kind, Misuse, Place, Placed};

const TOKEN: &str = "corp_PLACEHOLDERPLACEHOLDERPLACEHOLDER";
const OTHER: &str = "corp_OTHEROTHEROTHEROTHEROTHEROTHER";
const API: &str = "api.example.com:443";

/// `TOKEN` is bound by the rule `web`, at the endpoint without a path and, for bodies, at that of
/// `/in`; `OTHER` by the endpoint of `/other/**`.
fn credentials() -> Credentials {
    let bind = |path: Option<&str>, placement: &str| Binding {
        host: Host::parse("api.example.com").unwrap(),
        port: Port::new(443).unwrap(),
        path: path.map(str::to_owned),
        placement: Placement::parse(placement).unwrap(),
        rule: Some("web".to_owned()),
    };
    let credential = |name: &str, placeholder: &str, bindings| Credential {
        name: name.to_owned(),
        placeholder: placeholder.to_owned(),
        secret: Redacted::new("real/secret".to_owned()),
        expires_ms: None,
        bindings,
    };
    let all = vec![
        credential("corp/TOKEN", TOKEN, vec![bind(None, "any"), bind(Some("/in"), "body")]),
        credential("corp/OTHER", OTHER, vec![bind(Some("/other/**"), "any")]),
    ];
    Credentials::new(CredentialSet { epoch: 1, mark: Redacted::new([7; 32]), all })
}

fn endpoint(rule: &str, path: Option<&str>) -> BoundEndpoint {
    BoundEndpoint { rule: rule.into(), path: path.map(Into::into) }
}

/// A request for which these endpoints speak.
fn place(
    bound: &[BoundEndpoint],
    (to, target): (&str, &str),
    fields: &[(&str, &str)],
) -> Result<Placed, Misuse> {
    let headers: Vec<Header> = fields
        .iter()
        .map(|(name, value)| Header { name: (*name).to_owned(), value: value.as_bytes().to_vec() })
        .collect();
    let to = Authority::parse(to).unwrap();
    let (method, headers) = ("POST", headers.as_slice());
    let asked = Asked { to: &to, method, is_secure: true, target, headers, bound, body: None };
    credentials().place(&asked, 0)
}

fn other_program(place: Place) -> Misuse {
    Misuse::OtherProgram { name: "corp/TOKEN".to_owned(), place, rule: "web".to_owned() }
}

/// Fields of a request.
type Texts = Vec<(&'static str, String)>;

/// All places in which a program may put what it holds: a target, fields, and which place it is.
fn written() -> Vec<(String, Texts, Place)> {
    let field = |name: &str| Place::Field(name.to_owned());
    let basic = |pair: &str| format!("Basic {}", encode(pair));
    vec![
        ("/a".to_owned(), vec![("x-corp", TOKEN.to_owned())], field("x-corp")),
        ("/a".to_owned(), vec![("authorization", TOKEN.to_owned())], field("authorization")),
        (
            "/a".to_owned(),
            vec![("authorization", format!("Bearer {TOKEN}"))],
            field("authorization"),
        ),
        (
            "/a".to_owned(),
            vec![("authorization", format!("token {TOKEN}"))],
            field("authorization"),
        ),
        (
            "/a".to_owned(),
            vec![("authorization", basic(&format!("me:{TOKEN}")))],
            field("authorization"),
        ),
        (format!("/a?x=1&key={TOKEN}"), Vec::new(), Place::Query),
        (format!("/a/{TOKEN}/b"), Vec::new(), Place::Path),
    ]
}

#[test]
fn a_value_stands_where_a_program_of_the_rule_puts_it() {
    let web = [endpoint("web", None)];
    let mut sent = Vec::new();
    for (target, fields, _) in written() {
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let placed = place(&web, (API, &target), &fields).unwrap();
        assert_eq!(placed.names, ["corp/TOKEN"], "{target} {fields:?}");
        let field = placed.fields.first().map(|(_, value)| value.expose().clone());
        sent.push(field.map(|value| String::from_utf8(value).unwrap()).unwrap_or_default());
        sent.extend(placed.target.map(|target| target.expose().clone()));
    }
    let basic = format!("Basic {}", encode("me:real/secret"));
    let wanted = [
        "real/secret",
        "real/secret",
        "Bearer real/secret",
        "token real/secret",
        &basic,
        "",
        "/a?x=1&key=real%2Fsecret",
        "",
        "/a/real%2Fsecret/b",
    ];
    assert_eq!(sent, wanted);
}

#[test]
fn i02_a_program_that_the_rule_does_not_name_gets_nothing() {
    for bound in [vec![], vec![endpoint("other", None)], vec![endpoint("web", Some("/b/**"))]] {
        for (target, fields, at) in written() {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let misuse = place(&bound, (API, &target), &fields).unwrap_err();
            assert_eq!(misuse, other_program(at), "{target} {fields:?}");
            assert_eq!(misuse.predicate(), "credential_program");
            assert!(misuse.to_string().contains("rule `web`"), "{misuse}");
        }
    }
    let twice = place(&[], (API, &format!("/a/{TOKEN}/{TOKEN}")), &[]).unwrap_err();
    assert_eq!(twice, other_program(Place::Path));
}

#[test]
fn i02_another_path_port_host_or_part_of_a_field_gets_nothing() {
    let web = [endpoint("web", None)];
    let elsewhere = |at| Misuse::Elsewhere { name: "corp/TOKEN".to_owned(), place: at };
    let field = Place::Field("x-corp".to_owned());
    for to in ["api.example.com:8443", "web.example.com:443"] {
        let misuse = place(&web, (to, "/a"), &[("x-corp", TOKEN)]).unwrap_err();
        assert_eq!(misuse, elsewhere(field.clone()), "{to}");
    }
    let within = format!("key={TOKEN}");
    let misuse = place(&web, (API, "/a"), &[("x-corp", &within)]).unwrap_err();
    assert_eq!(misuse, elsewhere(field.clone()));
    let misuse = place(&web, (API, &format!("/a/x{TOKEN}")), &[]).unwrap_err();
    assert_eq!(misuse, elsewhere(Place::Path));
    let misuse = place(&web, (API, &format!("/{TOKEN}/x{TOKEN}")), &[]).unwrap_err();
    assert_eq!(misuse, elsewhere(Place::Path));
    // Where another endpoint of the same rule speaks, what that one binds is put in.
    let other = [endpoint("web", Some("/other/**"))];
    let misuse = place(&other, (API, "/other/a"), &[("x-corp", TOKEN)]).unwrap_err();
    assert_eq!(misuse, other_program(field));
    assert!(place(&other, (API, "/other/a"), &[("x-corp", OTHER)]).is_ok());
}

#[test]
fn i15_where_the_policy_binds_no_other_credential_passes_be_it_detached() {
    let none = CredentialSet { epoch: 2, mark: Redacted::new([7; 32]), all: Vec::new() };
    let none = Credentials::new(none);
    let to = Authority::parse(API).unwrap();
    let headers = [Header { name: "authorization".into(), value: b"Bearer mine".to_vec() }];
    let (method, target) = ("GET", "/a");
    let web = [endpoint("web", None)];
    let asked = |bound| Asked {
        to: &to,
        method,
        is_secure: true,
        target,
        headers: &headers,
        bound,
        body: None,
    };
    let foreign = Misuse::Foreign { place: Place::Field("authorization".to_owned()) };
    assert_eq!(none.place(&asked(&web), 0).unwrap_err(), foreign);
    assert!(none.place(&asked(&[]), 0).is_ok());
    // Nobody else's either, as long as it is bound to the server.
    assert_eq!(credentials().place(&asked(&[]), 0).unwrap_err(), foreign);
}

#[test]
fn i02_bodies_and_messages_get_what_their_endpoint_puts_there() {
    let to = Authority::parse(API).unwrap();
    let (all, inside) = (credentials(), [endpoint("web", Some("/in"))]);
    let (method, target) = ("POST", "/in");
    let asked =
        |bound| Asked { to: &to, method, is_secure: true, target, headers: &[], bound, body: None };
    let filled = all.fill(&asked(&inside), Some(Kind::Text), TOKEN.as_bytes(), 0).unwrap();
    assert_eq!(filled.unwrap().body.expose(), b"real/secret");
    let refused = all.fill(&asked(&[]), Some(Kind::Text), TOKEN.as_bytes(), 0).unwrap_err();
    assert_eq!(refused, other_program(Place::Body));
    // The endpoint says nothing of messages.
    assert!(all.fill_message(&asked(&inside), TOKEN, 0).unwrap().is_none());
    assert!(all.fills_bodies(asked(&inside).going()));
    assert!(!all.fills_bodies(asked(&[]).going()));
}

#[test]
fn i02_a_body_of_another_program_is_searched_as_it_passes() {
    let to = Authority::parse(API).unwrap();
    let all = Arc::new(credentials());
    let web = [endpoint("web", None)];
    for (bound, passes) in [(&web[..], true), (&[], false)] {
        let going = Going { to: &to, path: "/a", bound };
        for text in [format!("token is {TOKEN}."), encode(&format!("token is {TOKEN}."))] {
            let mut search = BodySearch::new(&all, going).unwrap();
            let (first, last) = text.as_bytes().split_at(text.len() / 2);
            let found = search.pass(first, false).and_then(|_| search.pass(last, true).map(drop));
            assert_eq!(found.is_ok(), passes, "{text}");
            let found = all.in_body(going, text.as_bytes());
            assert_eq!(found, (!passes).then(|| other_program(Place::Body)), "{text}");
        }
    }
}
