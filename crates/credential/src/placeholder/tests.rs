//! What placeholders have of secrets, and how they are known again.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SEED: [u8; 16] = [7; 16];

fn minter() -> Minter {
    Minter::new([1; 32])
}

fn of(secret: &str) -> String {
    minter().mint(&SEED, "KEY", &Shape::of(secret)).into_string()
}

fn token(payload: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({ "alg": "RS256", "kid": "secret-key-id", "typ": "JWT" });
    format!("{}.{}.{}", part(&head), part(payload), "s".repeat(342))
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn known_kinds_keep_their_prefix_and_length() {
    for (prefix, length) in [
        ("sk-ant-api03-", 108),
        ("sk-ant-oat01-", 108),
        ("sk-proj-", 164),
        ("sk-or-v1-", 73),
        ("sk-", 51),
        ("ghp_", 40),
        ("gho_", 40),
        ("ghu_", 40),
        ("ghs_", 40),
        ("github_pat_", 93),
        ("glpat-", 30),
        ("nvapi-", 70),
        ("AIza", 39),
        ("xoxb-", 56),
        ("hf_", 37),
        ("npm_", 40),
        ("pypi-", 179),
    ] {
        let secret = format!("{prefix}{}", "Q".repeat(length - prefix.len()));
        let made = of(&secret);
        assert!(made.starts_with(prefix), "{made}");
        assert_eq!(made.len(), length, "{made}");
        assert!(minter().is_ours(&made), "{made}");
        assert!(looks_secret(&made) && looks_secret(&secret), "{made}");
    }
    // Shorter than what can be known again.
    let made = of("AKIAIOSFODNN7EXAMPLE");
    assert_eq!((made.get(..4), made.len()), (Some("AKIA"), 28));
    assert!(made.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)), "{made}");
    assert!(minter().is_ours(&made));
}

#[test]
fn of_a_token_nobody_learns_more_than_clients_need() {
    let real = token(&json!({
        "exp": 1_700_000_000, "iat": 1, "jti": "unique", "sub": "auth0|person", "email": "p@x.test",
        "https://api.openai.com/auth": {
            "chatgpt_account_id": "0b1c-4d", "chatgpt_plan_type": "pro", "user_id": "user-1",
            "organizations": [{ "id": "org-1" }],
        },
    }));
    let made = of(&real);
    assert!(made.starts_with("eyJ") && made.split('.').count() == 3, "{made}");
    assert_eq!(
        payload(&made),
        json!({
            "exp": 4_102_444_800_u64,
            "https://api.openai.com/auth":
                { "chatgpt_account_id": "0b1c-4d", "chatgpt_plan_type": "pro" },
        })
    );
    let head = made.split('.').next().unwrap();
    let head: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    assert_eq!(head, json!({ "alg": "RS256", "typ": "JWT" }));
    let signature = made.split('.').nth(2).unwrap();
    assert!(BASE64_URL_SAFE_NO_PAD.decode(signature).is_ok(), "{signature}");
    assert!(minter().is_ours(&made));
    assert_eq!(minter().find_ours(format!("Bearer {made}").as_bytes()), Some(7..7 + made.len()));
}

#[test]
fn claims_that_could_be_anything_are_not_copied() {
    for odd in [json!("a b"), json!("x".repeat(65)), json!(5), json!({ "a": 1 }), json!("")] {
        let claims = json!({ "chatgpt_account_id": odd.clone() });
        let real = token(&json!({ "https://api.openai.com/auth": claims }));
        assert_eq!(payload(&of(&real)), json!({ "exp": 4_102_444_800_u64 }), "{odd}");
    }
    // No token: one part too many, another payload, no algorithm.
    let real = token(&json!({}));
    for none in [format!("{real}.x"), "eyJ.a.b".to_owned(), "eyJ9.e30.c2ln".to_owned()] {
        assert_eq!(Shape::of(&none), Shape(shape_of_length(none.len())), "{none}");
    }
}

fn shape_of_length(length: usize) -> shape::Look {
    let length = length.clamp(24, 200);
    shape::Look::Plain { prefix: "", alphabet: shape::Alphabet::Word, length }
}

#[test]
fn each_sandbox_credential_kind_and_gateway_has_its_own() {
    let shape = Shape::of("ghp_0123456789abcdefghij0123456789abcdef");
    let first = minter().mint(&SEED, "KEY", &shape);
    assert_eq!(minter().mint(&SEED, "KEY", &shape), first);
    let others = [
        minter().mint(&[8; 16], "KEY", &shape),
        minter().mint(&SEED, "KEY2", &shape),
        minter().mint(&SEED, "KEY", &Shape::unknown()),
        Minter::new([2; 32]).mint(&SEED, "KEY", &shape),
    ];
    let all: HashSet<_> = others.iter().chain([&first]).collect();
    assert_eq!(all.len(), 5);
    let [other_sandbox, _, _, other_gateway] = &others;
    assert!(minter().is_ours(other_sandbox.as_str()));
    assert!(!minter().is_ours(other_gateway.as_str()));
    // A random part has nothing of the one in another shape.
    let random = first.as_str().strip_prefix("ghp_").unwrap().get(..12).unwrap();
    assert!(!others[2].as_str().contains(random));
}

#[test]
fn i02_placeholders_are_found_in_what_surrounds_them() {
    let secret = format!("sk-ant-api03-{}", "Q".repeat(95));
    for secret in [secret.as_str(), "ghp_0123456789abcdefghij0123456789abcdef", "short", "AKIA"] {
        let made = of(secret);
        for (before, after) in [
            ("", ""),
            ("Bearer ", ""),
            ("/bot/", "/send"),
            ("a=1&key=", "&b=2"),
            ("{\"key\":\"", "\"}"),
            ("the key is ", "."),
            ("--", "--"),
            ("%22", "%22"),
            ("\\n", "\\n"),
            ("\\u0022", "\\u0022"),
            ("\u{e9}", "\u{e9}"),
        ] {
            let text = format!("{before}{made}{after}");
            let wanted = before.len()..before.len() + made.len();
            assert_eq!(minter().find_ours(text.as_bytes()), Some(wanted), "{text}");
        }
        let cut = made.get(..made.len() - 1).unwrap();
        assert_eq!(minter().find_ours(cut.as_bytes()), None, "{cut}");
        assert_eq!(minter().find_ours(format!("{made}x").as_bytes()), None);
    }
    for nothing in ["", "a", "no placeholder in here", &"a".repeat(100_000), &"-".repeat(64)] {
        assert_eq!(minter().find_ours(nothing.as_bytes()), None);
    }
}

#[test]
fn i08_a_minter_never_prints_its_key() {
    assert_eq!(format!("{:?}", minter()), "Minter([redacted])");
}

#[test]
fn every_character_is_as_likely_as_any_other() {
    let minter = minter();
    let mut counts = std::collections::HashMap::new();
    for number in 0..1000_u32 {
        let mut seed = [0; 16];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        for byte in minter.mint(&seed, "KEY", &Shape::unknown()).as_str().bytes() {
            *counts.entry(byte).or_insert(0_u32) += 1;
        }
    }
    // 40,000 characters of 62: 645 each, and 25 is the standard deviation.
    assert_eq!(counts.len(), 62);
    assert!(counts.values().all(|count| (500..800).contains(count)), "{counts:?}");
}

proptest! {
    #[test]
    fn i01_of_an_unknown_secret_only_its_length_is_kept(secret in "[ -~]{1,300}") {
        // What is known to begin otherwise: `~` begins no known kind.
        let secret = format!("~{secret}");
        let other = "~".repeat(secret.len());
        prop_assert_eq!(of(&secret), of(&other));
        let made = of(&secret);
        prop_assert_eq!(made.len(), secret.len().clamp(24, 200));
        prop_assert!(made.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn i01_of_a_known_secret_only_its_prefix_and_length_are_kept(
        prefix in prop::sample::select(&["sk-ant-api03-", "ghp_", "glpat-", "AIza"][..]),
        pairs in prop::collection::vec(("[a-z0-9]", "[a-z0-9]"), 0..300),
    ) {
        let (one, two): (String, String) = pairs.into_iter().unzip();
        prop_assert_eq!(of(&format!("{prefix}{one}")), of(&format!("{prefix}{two}")));
    }

    #[test]
    fn nothing_else_is_ours(text in "[A-Za-z0-9_.-]{0,120}", bytes: Vec<u8>) {
        prop_assert!(!minter().is_ours(&text));
        prop_assert_eq!(minter().find_ours(&bytes), None);
    }

    #[test]
    fn one_changed_character_makes_it_another(at: prop::sample::Index, by in 1..62_usize) {
        let made = of("ghp_0123456789abcdefghij0123456789abcdef");
        let mut bytes = made.clone().into_bytes();
        let at = at.index(bytes.len());
        let characters = shape::Alphabet::Word.characters();
        let old = characters.iter().position(|byte| *byte == bytes[at]);
        bytes[at] = characters[(old.unwrap_or(0) + by) % 62];
        prop_assert!(!minter().is_ours(std::str::from_utf8(&bytes).unwrap()));
    }
}
