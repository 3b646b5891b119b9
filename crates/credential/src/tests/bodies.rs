//! Placeholders are found in bodies, however these come.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Host, Placement, Port, Redacted,
};
use proptest::prelude::*;

use crate::{BodySearch, Credentials, Going, Minter, Misuse, Place, Shape};

const MARK: [u8; 32] = [7; 32];
const SEED: [u8; 16] = [3; 16];

fn minted(name: &str, secret: &str) -> String {
    Minter::new(MARK).mint(&SEED, name, &Shape::of(secret)).into_string()
}

fn key() -> String {
    static KEY: LazyLock<String> =
        LazyLock::new(|| minted("KEY", "sk-ant-api03-0123456789012345678901234567"));
    KEY.clone()
}

fn token() -> String {
    static TOKEN: LazyLock<String> =
        LazyLock::new(|| minted("TOKEN", "ghp_012345678901234567890123456789012345"));
    TOKEN.clone()
}

/// Of nobody here.
fn other() -> String {
    static OTHER: LazyLock<String> =
        LazyLock::new(|| minted("OTHER", "npm_012345678901234567890123456789012345"));
    OTHER.clone()
}

fn to(text: &str) -> Authority {
    Authority::parse(text).unwrap()
}

/// `KEY` for api.example.com, where it goes into bodies beneath `/fill`, and `TOKEN` for
/// git.example.com.
fn credentials() -> Arc<Credentials> {
    static ALL: LazyLock<Arc<Credentials>> = LazyLock::new(made);
    Arc::clone(&ALL)
}

fn made() -> Arc<Credentials> {
    let bind = |host: &str, path: Option<&str>, placement| Binding {
        host: Host::parse(host).unwrap(),
        port: Port::new(443).unwrap(),
        path: path.map(str::to_owned),
        placement,
        rule: None,
    };
    let one = |name: &str, placeholder, bindings| Credential {
        name: name.to_owned(),
        placeholder,
        secret: Redacted::new("real".to_owned()),
        expires_ms: None,
        bindings,
    };
    let all = vec![
        one(
            "a/KEY",
            key(),
            vec![
                bind("api.example.com", Some("/v1/**"), Placement::Authorization),
                bind("api.example.com", Some("/fill"), Placement::Body),
            ],
        ),
        one("b/TOKEN", token(), vec![bind("git.example.com", None, Placement::Authorization)]),
    ];
    Arc::new(Credentials::new(CredentialSet { epoch: 1, mark: Redacted::new(MARK), all }))
}

fn going<'a>(to: &'a Authority, path: &'a str) -> Going<'a> {
    Going { to, path, bound: &[] }
}

fn elsewhere(name: &str) -> Misuse {
    Misuse::Elsewhere { name: name.to_owned(), place: Place::Body }
}

/// What passes of a body that comes in these parts, and how it ends.
fn streamed(mut search: BodySearch, parts: &[&[u8]]) -> (Vec<u8>, Option<Misuse>) {
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match search.pass(part, at + 1 == parts.len()) {
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(misuse) => return (out, Some(misuse)),
        }
    }
    (out, None)
}

fn search(host: &str) -> BodySearch {
    BodySearch::new(&credentials(), going(&to(host), "/v1/x")).unwrap()
}

#[test]
fn i02_a_placeholder_passes_to_the_server_of_its_credential_and_to_no_other() {
    let unknown = || Some(Misuse::Unknown { place: Place::Body });
    let (model, git, x) = ("api.example.com:443", "git.example.com:443", "x.example.com:443");
    for (host, text, misuse) in [
        (model, key(), None),
        (model, token(), Some(elsewhere("b/TOKEN"))),
        (model, other(), unknown()),
        ("api.example.com:8443", key(), Some(elsewhere("a/KEY"))),
        (git, token(), None),
        (git, key(), Some(elsewhere("a/KEY"))),
        (x, token(), Some(elsewhere("b/TOKEN"))),
        (x, other(), unknown()),
        // What is allowed hides nothing that is not.
        (model, format!("{} {}", key(), token()), Some(elsewhere("b/TOKEN"))),
        (model, format!("{} {}", key(), other()), unknown()),
        (x, "ghp_ and sk-ant-api03-".to_owned(), None),
    ] {
        let plain = format!(r#"{{"text":"KEY={text}\n"}}"#);
        let found = credentials().in_body(going(&to(host), "/v1/x"), plain.as_bytes());
        assert_eq!(found, misuse, "{host} {plain}");
        let packed = BASE64_STANDARD.encode(&plain);
        let found = credentials().in_body(going(&to(host), "/v1/x"), packed.as_bytes());
        let is_known = !matches!(misuse, Some(Misuse::Unknown { .. }));
        assert_eq!(found, misuse.filter(|_| is_known), "{host} {packed}");
    }
    // Where a value belongs into bodies, a placeholder that stays one is a mistake.
    let found = credentials().in_body(going(&to(model), "/fill"), key().as_bytes());
    assert!(matches!(found, Some(Misuse::Unfit { name, .. }) if name == "a/KEY"));
}

#[test]
fn what_was_printed_once_passes_to_the_models_of_vendors() {
    let all = credentials();
    for host in ["api.anthropic.com:443", "api.openai.com:443"] {
        assert!(BodySearch::new(&all, going(&to(host), "/v1/messages")).is_none(), "{host}");
        assert_eq!(
            all.in_body(going(&to(host), "/v1/messages"), token().as_bytes()),
            None,
            "{host}"
        );
    }
    assert!(BodySearch::new(&all, going(&to("api.anthropic.com:8443"), "/v1/messages")).is_some());
}

#[test]
fn without_credentials_nothing_is_searched() {
    let mark = Redacted::new(MARK);
    let none = Arc::new(Credentials::new(CredentialSet { epoch: 1, mark, all: Vec::new() }));
    assert!(BodySearch::new(&none, going(&to("x.example.com:443"), "/")).is_none());
    assert_eq!(none.in_body(going(&to("x.example.com:443"), "/"), other().as_bytes()), None);
}

#[test]
fn i07_nothing_of_a_placeholder_passes_however_it_is_split() {
    for text in [token(), BASE64_STANDARD.encode(format!("a{}", token()))] {
        let body = format!("before {text} after");
        let begin = "before ".len();
        for split in 0..=body.len() {
            let (one, two) = body.as_bytes().split_at(split);
            let (out, misuse) = streamed(search("x.example.com:443"), &[one, b"", two, b""]);
            assert_eq!(misuse, Some(elsewhere("b/TOKEN")), "{split}");
            // Of Base64 the first group is not the placeholder's alone.
            let most = begin + if text == token() { 0 } else { 4 };
            assert!(out.len() <= most, "{split}: {}", String::from_utf8_lossy(&out));
        }
        let each: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        let (_, misuse) = streamed(search("x.example.com:443"), &each);
        assert_eq!(misuse, Some(elsewhere("b/TOKEN")));
    }
}

#[test]
fn what_may_be_a_placeholder_waits_and_nothing_else() {
    let mut search = search("x.example.com:443");
    assert_eq!(&*search.pass(b"some text. ", false).unwrap(), b"some text. ");
    // It can be no longer.
    let half = &token()[..20];
    assert_eq!(&*search.pass(half.as_bytes(), false).unwrap(), b"");
    assert_eq!(&*search.pass(b"", false).unwrap(), b"");
    assert_eq!(&*search.pass(b"!", false).unwrap(), format!("{half}!").as_bytes());
    assert_eq!(&*search.pass(half.as_bytes(), true).unwrap(), half.as_bytes());
}

#[test]
fn messages_are_not_held_back_for_their_last_letters() {
    let token = token();
    let mut search = search("x.example.com:443").of_messages();
    assert_eq!(
        &*search.pass(&token.as_bytes()[..7], false).unwrap(),
        b"ghp_".as_ref().iter().chain(&token.as_bytes()[4..7]).copied().collect::<Vec<_>>()
    );
    assert_eq!(&*search.pass(&token.as_bytes()[7..8], false).unwrap(), b"");
    assert_eq!(&*search.pass(b".", false).unwrap(), format!("{}.", &token[7..8]).as_bytes());
    for split in 1..token.len() {
        let (one, two) = token.as_bytes().split_at(split);
        let search = self::search("x.example.com:443").of_messages();
        let (out, misuse) = streamed(search, &[one, two]);
        assert_eq!(
            (out.len(), misuse),
            (if split < 8 { split } else { 0 }, Some(elsewhere("b/TOKEN")))
        );
    }
}

#[test]
fn i07_an_unknown_one_that_is_split_ends_the_body() {
    let text = format!("x: \\u0022{}.\n", other());
    for split in 0..text.len() {
        let (one, two) = text.as_bytes().split_at(split);
        for more in [&b""[..], b"more text"] {
            let (out, misuse) = streamed(search("git.example.com:443"), &[one, two, more]);
            assert_eq!(misuse, Some(Misuse::Unknown { place: Place::Body }), "{split}");
            assert!(out.len() < text.len());
        }
    }
    let long = format!("{}{}", "a".repeat(5000), other());
    assert_eq!(
        streamed(search("git.example.com:443"), &[long.as_bytes(), b" ", other().as_bytes()]).1,
        Some(Misuse::Unknown { place: Place::Body })
    );
    assert_eq!(streamed(search("git.example.com:443"), &[long.as_bytes(), b"", b" "]).1, None);
}

/// Pieces of which bodies with something to find are made.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let cut = |text: String| {
        let length = text.len();
        (0..length, 0..=length).prop_map(move |(begin, end)| {
            text.as_bytes().get(begin..end).unwrap_or_default().to_vec()
        })
    };
    let packed = BASE64_STANDARD.encode(format!("..{}..", key()));
    prop_oneof![
        Just(key().into_bytes()),
        Just(token().into_bytes()),
        Just(other().into_bytes()),
        Just(packed.clone().into_bytes()),
        cut(key()),
        cut(token()),
        cut(other()),
        cut(packed),
        prop::sample::select(vec![
            &b" "[..],
            b"\"",
            b"\\",
            b"\\n",
            b"%22",
            b"-",
            b"..",
            b"\\u0022"
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn i07_parts_are_searched_as_the_whole_is(
        pieces in prop::collection::vec(piece(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        host in prop::sample::select(vec!["api.example.com:443", "x.example.com:443"]),
        of_messages in any::<bool>(),
    ) {
        let body = pieces.concat();
        let whole = credentials().in_body(going(&to(host), "/v1/x"), &body);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let search = search(host);
        let search = if of_messages { search.of_messages() } else { search };
        let (out, misuse) = streamed(search, &parts);
        prop_assert_eq!(misuse.is_some(), whole.is_some());
        prop_assert!(body.starts_with(&out));
        if misuse.is_none() {
            prop_assert_eq!(&out, &body);
        }
        if let (Some(Misuse::Elsewhere { name, .. }), false) = (misuse, of_messages) {
            let text = if name == "a/KEY" { key() } else { token() };
            let has_it = out.windows(text.len()).any(|window| window == text.as_bytes());
            prop_assert!(!has_it);
        }
    }
}
