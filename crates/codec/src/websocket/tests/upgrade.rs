use super::*;
use crate::http1::Version;

type Field<'a> = (&'a str, &'a str);

const REQUEST: [Field<'_>; 5] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

const ANSWER: [Field<'_>; 3] = [
    ("Upgrade", "WebSocket"),
    ("connection", "upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
];

fn octets<'a>(fields: &'a [Field<'a>]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    fields.iter().map(|(name, value)| (*name, value.as_bytes()))
}

/// Reads the request of the RFC with other fields in place of those of the same name; those without
/// a value go.
fn ask(changes: &[Field<'_>]) -> Result<Option<Upgrade>, UpgradeError> {
    Upgrade::parse("GET", Version::Http11, octets(&change(&REQUEST, changes)))
}

fn change<'a>(fields: &[Field<'a>], changes: &[Field<'a>]) -> Vec<Field<'a>> {
    let changed = |name: &str| changes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut all: Vec<_> = fields.iter().copied().filter(|(name, _)| !changed(name)).collect();
    all.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    all
}

fn asked(changes: &[Field<'_>]) -> Upgrade {
    ask(changes).unwrap().unwrap()
}

fn answer(upgrade: &Upgrade, changes: &[Field<'_>]) -> Result<Agreed, AnswerError> {
    upgrade.check(101, octets(&change(&ANSWER, changes)))
}

/// What is forwarded of an extension field.
fn forwarded(offers: &str) -> Option<String> {
    asked(&[("Sec-WebSocket-Extensions", offers)]).extensions()
}

/// What an answer to an offer agrees to.
fn agreed(offers: &str, to: &str) -> Result<Option<Deflate>, AnswerError> {
    let upgrade = asked(&[("Sec-WebSocket-Extensions", offers)]);
    answer(&upgrade, &[("Sec-WebSocket-Extensions", to)]).map(|agreed| agreed.deflate)
}

#[test]
fn reads_the_example_of_the_rfc() {
    // RFC 6455, section 1.3.
    let upgrade = asked(&[("Sec-WebSocket-Protocol", "chat, superchat")]);
    assert_eq!(upgrade.key(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(upgrade.protocols(), ["chat", "superchat"]);
    assert_eq!(upgrade.extensions(), None);
    let agreed = answer(&upgrade, &[("Sec-WebSocket-Protocol", "chat")]).unwrap();
    assert_eq!(agreed, Agreed { deflate: None, protocol: Some("chat".to_owned()) });
    let agreed = answer(&upgrade, &[]).unwrap();
    assert_eq!(agreed, Agreed { deflate: None, protocol: None });
}

#[test]
fn f07_an_upgrade_that_is_no_websocket_is_refused() {
    assert_eq!(ask(&[("Upgrade", "")]), Ok(None));
    for other in ["h2c", "websocket, h2c", "TLS/1.0", "websocket/13", "web socket", ","] {
        assert_eq!(ask(&[("Upgrade", other)]), Err(UpgradeError::Protocol), "{other}");
    }
    let twice = [("Upgrade", "websocket"), ("upgrade", "websocket")];
    assert_eq!(ask(&twice), Err(UpgradeError::Protocol));
}

#[test]
fn f07_a_websocket_is_asked_for_in_one_form() {
    for method in ["POST", "get", "CONNECT"] {
        let result = Upgrade::parse(method, Version::Http11, octets(&REQUEST));
        assert_eq!(result, Err(UpgradeError::Method));
    }
    let result = Upgrade::parse("GET", Version::Http10, octets(&REQUEST));
    assert_eq!(result, Err(UpgradeError::Version));
    for (field, error) in [
        (("Connection", ""), UpgradeError::Connection),
        (("Connection", "keep-alive, xupgrade"), UpgradeError::Connection),
        (("Content-Length", "4"), UpgradeError::Body),
        (("Content-Length", "00"), UpgradeError::Body),
        (("Transfer-Encoding", "chunked"), UpgradeError::Body),
        (("Sec-WebSocket-Version", ""), UpgradeError::WebSocketVersion),
        (("Sec-WebSocket-Version", "8"), UpgradeError::WebSocketVersion),
        (("Sec-WebSocket-Version", "13, 8"), UpgradeError::WebSocketVersion),
        (("Sec-WebSocket-Version", "013"), UpgradeError::WebSocketVersion),
        (("Sec-WebSocket-Key", ""), UpgradeError::Key),
        (("Sec-WebSocket-Key", "AAAA"), UpgradeError::Key),
        (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"), UpgradeError::Key),
        (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR=="), UpgradeError::Key),
        (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE="), UpgradeError::Key),
        (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j_Q=="), UpgradeError::Key),
    ] {
        assert_eq!(ask(&[field]), Err(error), "{field:?}");
    }
    let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(ask(&[key, key]), Err(UpgradeError::Key));
    assert!(ask(&[("Content-Length", "0")]).unwrap().is_some());
    assert!(ask(&[("Connection", "close"), ("Connection", "UPGRADE")]).unwrap().is_some());
}

#[test]
fn only_known_offers_are_forwarded() {
    for (offers, expected) in [
        ("permessage-deflate", Some("permessage-deflate")),
        (
            "permessage-deflate ;client_max_window_bits",
            Some("permessage-deflate; client_max_window_bits"),
        ),
        (
            "permessage-deflate;client_max_window_bits=\"10\", x-webkit-deflate-frame,,",
            Some("permessage-deflate; client_max_window_bits=10"),
        ),
        (
            "permessage-deflate; server_max_window_bits=8; server_no_context_takeover; \
             client_no_context_takeover, permessage-deflate",
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=8, permessage-deflate",
            ),
        ),
        ("x; y=\"permessage-deflate\"", None),
        ("Permessage-Deflate", None),
        ("permessage-deflate; more", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=08", None),
        ("permessage-deflate; server_max_window_bits=+9", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", None),
        ("permessage-deflate; client_max_window_bits=8; client_max_window_bits=9", None),
    ] {
        assert_eq!(forwarded(offers).as_deref(), expected, "{offers}");
    }
}

#[test]
fn malformed_or_endless_offers_are_refused() {
    let long = "a,".repeat(Upgrade::LONGEST_OFFERS / 2 + 1);
    for offers in [
        "a b",
        "a;",
        "a; b=",
        "a; b=\"c",
        "a; b=\"\"",
        "a; b=\"c,d\"",
        ";",
        "a=b",
        "é",
        "a\0",
        &long,
    ] {
        let result = ask(&[("Sec-WebSocket-Extensions", offers)]);
        assert_eq!(result, Err(UpgradeError::Extensions), "{offers}");
    }
    let many = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        names.join(",")
    };
    assert_eq!(asked(&[("Sec-WebSocket-Protocol", &many(32))]).protocols().len(), 32);
    let long = "a".repeat(Upgrade::LONGEST_OFFERS + 1);
    for offers in ["a b", "a,,b", "a, a", "a;q=1", "é", &many(33), &long] {
        let result = ask(&[("Sec-WebSocket-Protocol", offers)]);
        assert_eq!(result, Err(UpgradeError::Subprotocols), "{offers}");
    }
    let fields = [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")];
    assert_eq!(asked(&fields).protocols(), ["a", "b"]);
}

#[test]
fn f07_an_answer_belongs_to_the_request() {
    let upgrade = asked(&[("Sec-WebSocket-Protocol", "chat")]);
    for status in [200, 100, 426] {
        assert_eq!(upgrade.check(status, octets(&ANSWER)), Err(AnswerError::Status));
    }
    let accept = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (fields, error) in [
        (&[("Upgrade", "")][..], AnswerError::Protocol),
        (&[("Upgrade", "h2c")], AnswerError::Protocol),
        (&[("Connection", "close")], AnswerError::Protocol),
        (&[("Transfer-Encoding", "chunked")], AnswerError::Protocol),
        (&[("Content-Length", "5")], AnswerError::Protocol),
        (&[("Sec-WebSocket-Accept", "")], AnswerError::Accept),
        (&[("Sec-WebSocket-Accept", "s3pplmbitxaq9kygzzhzrbk+xoo=")], AnswerError::Accept),
        (&[accept, accept], AnswerError::Accept),
        (&[("Sec-WebSocket-Protocol", "Chat")], AnswerError::Subprotocol),
        (&[("Sec-WebSocket-Protocol", "chat, chat")], AnswerError::Subprotocol),
        (&[("Sec-WebSocket-Protocol", " ")], AnswerError::Subprotocol),
        (&[("Sec-WebSocket-Extensions", "permessage-deflate")], AnswerError::Extension),
    ] {
        assert_eq!(answer(&upgrade, fields), Err(error), "{fields:?}");
    }
}

#[test]
fn an_agreed_extension_keeps_to_an_offer() {
    let plain = Deflate::default();
    let window = |bits| Deflate { client_max_window_bits: Some(bits), ..plain };
    for (offers, to, expected) in [
        ("permessage-deflate", "", None),
        ("permessage-deflate", "permessage-deflate", Some(plain)),
        (
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
            Some(Deflate {
                client_no_context_takeover: true,
                server_max_window_bits: Some(12),
                ..plain
            }),
        ),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=9",
            Some(window(9)),
        ),
        (
            "permessage-deflate; client_max_window_bits=10, permessage-deflate",
            "permessage-deflate; client_max_window_bits=10",
            Some(window(10)),
        ),
    ] {
        assert_eq!(agreed(offers, to), Ok(expected), "{offers} / {to}");
        if let Some(deflate) = expected {
            assert_eq!(agreed(offers, &deflate.to_string()), Ok(Some(deflate)));
        }
    }
    for (offers, to) in [
        ("x-deflate", "x-deflate"),
        ("permessage-deflate", "permessage-deflate, permessage-deflate"),
        ("permessage-deflate", "permessage-deflate; client_max_window_bits=9"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=10",
        ),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate"),
        (
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=11",
        ),
        ("permessage-deflate", "permessage-deflate; more"),
        ("permessage-deflate", "permessage-deflate;"),
    ] {
        assert_eq!(agreed(offers, to), Err(AnswerError::Extension), "{offers} / {to}");
    }
}
