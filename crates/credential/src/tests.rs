//! What is put where, and what is refused.

mod bodies;
mod by_policy;
mod fills;

use openshell_codec::http1::Header;
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Host, Placement, Port, Redacted,
};

use crate::{Asked, Credentials, Misuse, Place, Placed};

const KEY: &str = "sk-ant-api03-PLACEHOLDERPLACEHOLDER";
const TOKEN: &str = "ghp_PLACEHOLDERPLACEHOLDERPLACEHOLDER";

fn credentials() -> Credentials {
    let bind = |host: &str, path: Option<&str>, placement: &str| Binding {
        host: Host::parse(host).unwrap(),
        port: Port::new(443).unwrap(),
        path: path.map(str::to_owned),
        placement: Placement::parse(placement).unwrap(),
        rule: None,
    };
    let credential = |name: &str, placeholder: &str, secret: &str, bindings| Credential {
        name: name.to_owned(),
        placeholder: placeholder.to_owned(),
        secret: Redacted::new(secret.to_owned()),
        expires_ms: None,
        bindings,
    };
    let all = vec![
        credential(
            "claude/KEY",
            KEY,
            "real-key",
            vec![
                bind("api.example.com", Some("/v1/**"), "header:x-api-key"),
                bind("old.example.com", None, "query:key"),
                bind("bot.example.com", None, "path:/bot{credential}/**"),
            ],
        ),
        credential(
            "github/TOKEN",
            TOKEN,
            "real token/&",
            vec![bind("git.example.com", None, "authorization")],
        ),
    ];
    Credentials::new(CredentialSet { epoch: 1, mark: Redacted::new([7; 32]), all })
}

fn place(to: &str, target: &str, fields: &[(&str, &str)]) -> Result<Placed, Misuse> {
    let headers: Vec<Header> = fields
        .iter()
        .map(|(name, value)| Header { name: (*name).to_owned(), value: value.as_bytes().to_vec() })
        .collect();
    let to = Authority::parse(to).unwrap();
    let asked = Asked {
        to: &to,
        method: "GET",
        is_secure: true,
        target,
        headers: &headers,
        bound: &[],
        body: None,
    };
    credentials().place(&asked, 1000)
}

fn field(placed: &Placed) -> &str {
    let [(_, value)] = placed.fields.as_slice() else { panic!("{placed:?}") };
    std::str::from_utf8(value.expose()).unwrap()
}

fn elsewhere(name: &str, place: Place) -> Misuse {
    Misuse::Elsewhere { name: name.to_owned(), place }
}

fn in_field(name: &str) -> Place {
    Place::Field(name.to_owned())
}

#[test]
fn a_value_is_put_where_it_is_bound() {
    let placed = place(
        "api.example.com:443",
        "/v1/messages?beta=true",
        &[("accept", "*/*"), ("x-api-key", KEY)],
    );
    let placed = placed.unwrap();
    assert_eq!((placed.fields[0].0, field(&placed)), (1, "real-key"));
    assert_eq!(placed.names, ["claude/KEY"]);
    assert!(placed.target.is_none());

    for scheme in ["Bearer", "bearer", "token"] {
        let value = format!("{scheme} {TOKEN}");
        let placed = place("git.example.com:443", "/", &[("authorization", &value)]).unwrap();
        assert_eq!(field(&placed), format!("{scheme} real token/&"));
    }
    // Without a scheme, as cargo sends it.
    let placed = place("git.example.com:443", "/", &[("authorization", TOKEN)]).unwrap();
    assert_eq!(field(&placed), "real token/&");
    // x-access-token:TOKEN, and TOKEN: alone.
    for (pair, sent) in [
        (format!("x-access-token:{TOKEN}"), "x-access-token:real token/&"),
        (format!("{TOKEN}:"), "real token/&:"),
    ] {
        let value = format!("Basic {}", encode(&pair));
        let placed = place("git.example.com:443", "/", &[("authorization", &value)]).unwrap();
        assert_eq!(field(&placed), format!("Basic {}", encode(sent)));
    }

    let target = format!("/v1beta/models?alt=sse&key={KEY}");
    let placed = place("old.example.com:443", &target, &[]).unwrap();
    assert_eq!(placed.target.unwrap().expose(), "/v1beta/models?alt=sse&key=real%2Dkey");
    let placed = place("bot.example.com:443", &format!("/bot{KEY}/say?x=1"), &[]).unwrap();
    assert_eq!(placed.target.unwrap().expose(), "/botreal%2Dkey/say?x=1");
}

#[test]
fn i02_elsewhere_it_is_refused() {
    let key = |place| elsewhere("claude/KEY", place);
    let cases: [(&str, String, &str, String, Misuse); 8] = [
        (
            "evil.example.com:443",
            "/v1/m".into(),
            "x-api-key",
            KEY.into(),
            key(in_field("x-api-key")),
        ),
        (
            "api.example.com:444",
            "/v1/m".into(),
            "x-api-key",
            KEY.into(),
            key(in_field("x-api-key")),
        ),
        (
            "api.example.com:443",
            "/v2/m".into(),
            "x-api-key",
            KEY.into(),
            key(in_field("x-api-key")),
        ),
        (
            "api.example.com:443",
            "/v1/m".into(),
            "user-agent",
            format!("a {KEY}"),
            key(in_field("user-agent")),
        ),
        (
            "api.example.com:443",
            "/v1/m".into(),
            "authorization",
            format!("Bearer {KEY}"),
            key(in_field("authorization")),
        ),
        ("api.example.com:443", format!("/v1/{KEY}"), "accept", "*/*".into(), key(Place::Path)),
        (
            "api.example.com:443",
            format!("/v1/m?q=%73{}", &KEY[1..]),
            "accept",
            "*/*".into(),
            key(Place::Query),
        ),
        (
            "evil.example.com:443",
            "/".into(),
            "x-data",
            encode(&format!("ab{KEY}cd")),
            key(in_field("x-data")),
        ),
    ];
    for (to, target, name, value, misuse) in cases {
        assert_eq!(
            place(to, &target, &[(name, &value)]).unwrap_err(),
            misuse,
            "{to} {target} {name}"
        );
    }
    // Another server's credential, and one within Basic.
    let basic = format!("Basic {}", encode(&format!("a:{KEY}")));
    let refused = place("git.example.com:443", "/", &[("authorization", &basic)]).unwrap_err();
    assert_eq!(refused, key(in_field("authorization")));
}

#[test]
fn i05_i15_a_bound_server_takes_no_other_credential() {
    let foreign = |place| Misuse::Foreign { place };
    for (to, target, fields, place_of) in [
        (
            "api.example.com:443",
            "/v1/m",
            vec![("x-api-key", "sk-ant-api03-mine")],
            in_field("x-api-key"),
        ),
        ("api.example.com:443", "/v1/m", vec![("x_api_key", "mine")], in_field("x_api_key")),
        // Wherever on that server.
        ("api.example.com:443", "/files", vec![("x-api-key", "mine")], in_field("x-api-key")),
        (
            "api.example.com:443",
            "/v1/m",
            vec![("authorization", "Bearer mine")],
            in_field("authorization"),
        ),
        (
            "api.example.com:443",
            "/v1/m",
            vec![("x-api-key", KEY), ("x-api-key", "mine")],
            in_field("x-api-key"),
        ),
        (
            "api.example.com:443",
            "/v1/m",
            vec![("x-api-key", KEY), ("api-key", "mine")],
            in_field("api-key"),
        ),
        ("api.example.com:443", "/v1/m?Access_Token=mine", vec![("x-api-key", KEY)], Place::Query),
        ("old.example.com:443", "/v1?key=mine", vec![], Place::Query),
    ] {
        assert_eq!(place(to, target, &fields).unwrap_err(), foreign(place_of), "{to} {target}");
    }
    let mixed = format!("Basic {}", encode(&format!("{}:{TOKEN}", "a".repeat(40))));
    assert!(place("git.example.com:443", "/", &[("authorization", &mixed)]).is_err());
    // Nothing at all is no other, and where nothing is bound everything is the program's own.
    assert!(place("api.example.com:443", "/v1/m", &[]).unwrap().fields.is_empty());
    assert!(place("x.example.com:443", "/", &[("authorization", "Bearer mine")]).is_ok());
}

#[test]
fn an_expired_value_and_an_open_line_are_refused() {
    let mut credentials = credentials();
    let headers = [Header { name: "x-api-key".into(), value: KEY.into() }];
    let to = Authority::parse("api.example.com:443").unwrap();
    let asked = Asked {
        to: &to,
        method: "GET",
        is_secure: true,
        target: "/v1/m",
        headers: &headers,
        bound: &[],
        body: None,
    };
    let open = Asked { is_secure: false, ..asked };
    let name = "claude/KEY".to_owned();
    assert_eq!(credentials.place(&open, 0).unwrap_err(), Misuse::Plain { name: name.clone() });
    credentials.all[0].expires_ms = Some(1000);
    assert!(credentials.place(&asked, 999).is_ok());
    assert_eq!(credentials.place(&asked, 1000).unwrap_err(), Misuse::Expired { name });
}

#[test]
fn i08_values_are_never_printed() {
    let placed = place("api.example.com:443", "/v1/m", &[("x-api-key", KEY)]).unwrap();
    assert!(!format!("{placed:?} {:?}", credentials()).contains("real-key"));
}

fn encode(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)
}
