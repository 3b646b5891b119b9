//! Values are found in what servers say, however it comes.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Host, Placement, Port, Redacted,
};
use proptest::prelude::*;

use super::*;
use crate::Credentials;
use crate::limits::FORMER;

const SECRET: &str = r#"sk-live-q/A+b"z\9 grün-0123456789"#;
const OTHER: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
const HELD: &str = "ghp_PLACEHOLDERPLACEHOLDERPLACEHOLDER000";

fn echoes() -> Arc<Echoes> {
    let (secret, other) = (Redacted::new(SECRET.to_owned()), Redacted::new(OTHER.to_owned()));
    let values = [
        Value { name: "own/KEY", secret: &secret, placeholder: "short" },
        Value { name: "git/TOKEN", secret: &other, placeholder: HELD },
    ];
    Arc::new(Echoes::of(&values).unwrap())
}

/// What passes of these parts.
fn passed(mut search: EchoSearch, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        out.extend_from_slice(&search.pass(part, at + 1 == parts.len()));
    }
    out
}

fn masked(text: &str) -> (String, Option<Arc<str>>) {
    let mut bytes = text.as_bytes().to_vec();
    let name = echoes().mask(&mut bytes);
    (String::from_utf8(bytes).unwrap(), name)
}

#[test]
fn i03_a_value_is_masked_by_as_many_octets_and_by_its_placeholder_where_that_fits() {
    let (text, name) = masked(&format!("Bearer {OTHER}!"));
    assert_eq!((text.as_str(), name.as_deref()), (&*format!("Bearer {HELD}!"), Some("git/TOKEN")));
    let (text, name) = masked(&format!("<{SECRET}>"));
    let stars = "*".repeat(SECRET.len());
    assert_eq!((text.as_str(), name.as_deref()), (&*format!("<{stars}>"), Some("own/KEY")));
    assert_eq!(masked("sk-live-q/A+b"), ("sk-live-q/A+b".to_owned(), None));
    for user in ["", "x", "me", "git", "user"] {
        let pair = |secret: &str| BASE64_STANDARD.encode(format!("{user}:{secret}"));
        let (text, name) = masked(&pair(OTHER));
        assert_eq!(name.as_deref(), Some("git/TOKEN"), "{user}");
        let told = BASE64_STANDARD.decode(&text).unwrap();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(!told.contains(&OTHER[1..OTHER.len() - 1]), "{told}");
        assert!(told.contains(&HELD[1..HELD.len() - 1]), "{told}");
    }
}

#[test]
fn i03_a_value_is_found_in_each_form_in_which_it_comes_back() {
    let spelt = |text: &str| serde_json::Value::from(text).to_string();
    let ascii = r#"sk-live-q/A+b\"z\\9 gr\u00fcn-0123456789"#;
    for text in [
        spelt(SECRET),
        spelt(SECRET).replace('/', "\\/"),
        ascii.to_owned(),
        r"sk-live-q/A\u002Bb\u0022z\\9 gr\u00FCn-0123456789".to_owned(),
        BASE64_STANDARD.encode(SECRET).replace('+', r"\u002B"),
        crate::place::encoded(SECRET),
        "sk-live-q%2FA%2Bb%22z%5C9%20gr%C3%BCn-0123456789".to_owned(),
        "sk-live-q%2fA%2bb%22z%5c9%20gr%c3%bcn-0123456789".to_owned(),
        "sk-live-q/A%2Bb%22z%5C9%20gr%C3%BCn-0123456789".to_owned(),
        BASE64_STANDARD.encode(format!("a{SECRET}b")),
        BASE64_STANDARD.encode(format!("Bearer {SECRET}")).replace('/', "\\/"),
        BASE64_URL_SAFE_NO_PAD.encode(format!("ab{SECRET}")),
        crate::place::encoded(&BASE64_STANDARD.encode(SECRET)),
    ] {
        let (told, name) = masked(&text);
        assert_eq!(name.as_deref(), Some("own/KEY"), "{text}");
        assert_eq!(told.len(), text.len());
        assert!(echoes().stands_in(text.as_bytes()) && !echoes().stands_in(told.as_bytes()));
    }
}

#[test]
fn i03_a_value_is_found_as_html_and_json_of_many_writers_have_it() {
    let secret = Redacted::new(r#"p&s<w>'d" k+y/=0123é!"#.to_owned());
    let value = Value { name: "own/KEY", secret: &secret, placeholder: "" };
    let echoes = Echoes::of(&[value]).unwrap();
    for text in [
        "p&amp;s&lt;w&gt;'d\" k+y/=0123é!",
        "p&amp;s&lt;w&gt;&#x27;d&quot; k+y/=0123é!",
        "p&amp;s&lt;w&gt;&#39;d&#34; k+y/=0123é!",
        "p&amp;s&lt;w&gt;&#039;d&quot; k+y/=0123é!",
        "p&amp;s&lt;w&gt;&#x27;d&quot; k&#x2B;y/=0123é!",
        "p&amp;s&lt;w&gt;&#x27;d&quot; k+y/&#x3D;0123é!",
        r#"p\u0026s\u003cw\u003e'd\" k+y/=0123é!"#,
        r#"p\u0026s\u003cw\u003e\u0027d\" k+y/\u003d0123é!"#,
        r"p\u0026s\u003Cw\u003E\u0027d\u0022 k\u002By/=0123\u00E9!",
        r#"p&s<w>'d\" k+y\/=0123\u00e9!"#,
        "p%26s%3Cw%3E'd%22%20k%2By%2F%3D0123%C3%A9!",
        "p&s%3Cw%3E'd%22%20k+y/=0123%C3%A9!",
        "p%26s%3Cw%3E%27d%22+k%2By%2F%3D0123%C3%A9%21",
    ] {
        let mut bytes = format!("<b>{text}</b>").into_bytes();
        assert!(echoes.mask(&mut bytes).is_some(), "{text}");
        let stars = "*".repeat(text.len());
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("<b>{stars}</b>"), "{text}");
    }
}

#[test]
fn i03_a_value_of_which_some_octets_are_missing_is_masked() {
    // A server that takes seven letters for `Bearer ` off a field, and one that tells the first forty.
    for (begin, end) in [(0, 39), (0, 31), (1, 40), (7, 40), (9, 40), (3, 38)] {
        let told = &OTHER[begin..end.min(OTHER.len())];
        for text in [told.to_owned(), format!("<{told}>"), format!("key={told}&b")] {
            let (out, name) = masked(&text);
            assert_eq!(name.as_deref(), Some("git/TOKEN"), "{text}");
            assert!(!out.contains(&told[..8]) && out.len() == text.len(), "{out}");
            for cut in 0..=text.len() {
                let (one, two) = text.as_bytes().split_at(cut);
                let out = passed(EchoSearch::new(echoes()), &[one, two]);
                assert!(!String::from_utf8_lossy(&out).contains(&told[..8]), "{cut}");
            }
        }
    }
    // A public prefix, or half of a token, is none.
    for text in [&OTHER[..24], &OTHER[20..], "ghp_0123456789 and more"] {
        assert_eq!(masked(text), (text.to_owned(), None));
    }
}

#[test]
fn i03_values_that_overlap_are_covered_both() {
    let (one, other) =
        (Redacted::new("abcdefgh12345678".to_owned()), Redacted::new("12345678zzzz".to_owned()));
    let value = |name, secret| Value { name, secret, placeholder: "" };
    let echoes = Arc::new(Echoes::of(&[value("a", &one), value("b", &other)]).unwrap());
    let text = b"<abcdefgh12345678zzzz>";
    for split in 0..=text.len() {
        let (first, second) = text.split_at(split);
        let out = passed(EchoSearch::new(Arc::clone(&echoes)), &[first, second]);
        assert_eq!(out, b"<********************>", "{split}");
    }
}

#[test]
fn i03_what_may_go_on_waits_and_nothing_more() {
    let mut search = EchoSearch::new(echoes());
    assert_eq!(&*search.pass(b"data: x\n\n", false), b"data: x\n\n");
    assert!(matches!(search.pass(b"data: nothing\n\n", false), Cow::Borrowed(_)));
    assert_eq!(&*search.pass(b"token: ghp_01", false), b"token: ");
    assert_eq!(search.waiting(), 6);
    assert_eq!(&*search.pass(b"no", false), b"ghp_01no");
    assert_eq!(&*search.pass(b"ghp", false), b"");
    assert_eq!(&*search.pass(b"", true), b"ghp");
    assert_eq!(search.found(), None);
    let mut messages = EchoSearch::new(echoes()).of_messages();
    let (begun, rest) = OTHER.as_bytes().split_at(3);
    assert_eq!(&*messages.pass(begun, false), begun);
    assert_eq!(&*messages.pass(rest, false), &HELD.as_bytes()[3..]);
    assert_eq!(messages.found().map(|name| &**name), Some("git/TOKEN"));
}

#[test]
fn i03_of_a_value_that_comes_slowly_no_more_than_its_beginning_passes() {
    let mut search = EchoSearch::new(echoes());
    let mut out = Vec::new();
    for octet in OTHER.as_bytes().chunks(1) {
        out.extend_from_slice(&search.pass(octet, false));
        if search.is_short() {
            out.extend_from_slice(&search.late());
            assert!(!search.is_short() && search.waiting() == 0);
        }
    }
    out.extend_from_slice(&search.pass(b"", true));
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with(&format!("{}{}", &OTHER[..7], &HELD[7..39])), "{out}");
    assert_eq!(out.len(), OTHER.len());
}

#[test]
fn i03_of_a_value_that_is_cut_by_messages_one_part_passes() {
    for cut in 1..OTHER.len() {
        let (one, two) = OTHER.as_bytes().split_at(cut);
        let mut search = EchoSearch::new(echoes());
        let (one, two) = (search.pass_end(one).into_owned(), search.pass_end(two).into_owned());
        assert_eq!((one.len(), two.len()), (cut, OTHER.len() - cut));
        // So much of its beginning is as good as all of it.
        assert_eq!(one == OTHER.as_bytes()[..cut], cut < OTHER.len() - SPARE, "{cut}");
        // Both begin with what all tokens of that kind do.
        let same = two.iter().zip(&OTHER.as_bytes()[cut..]).filter(|(told, own)| told == own);
        assert!(same.count() < 4, "{cut}");
        assert_eq!(&*search.pass_end(b"next"), b"next");
    }
}

#[test]
fn n06_a_long_value_in_small_parts_takes_as_long_as_it_is() {
    let secret: String = (0..4000).map(|at| format!("{at:04}")).collect();
    let secret = Redacted::new(secret);
    let value = Value { name: "own/KEY", secret: &secret, placeholder: "" };
    let mut search = EchoSearch::new(Arc::new(Echoes::of(&[value]).unwrap()));
    let begun = std::time::Instant::now();
    let mut out = Vec::new();
    for octet in secret.expose().as_bytes().chunks(1) {
        out.extend_from_slice(&search.pass(octet, false));
    }
    out.extend_from_slice(&search.pass(b"!", true));
    assert!(out.iter().rev().skip(1).all(|octet| *octet == b'*') && out.len() == 16_001);
    // Looked through at each octet it takes most of a minute.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn i03_only_what_is_sent_to_a_server_is_looked_for_there() {
    let bind = |host: &str, placement: &str| Binding {
        host: Host::parse(host).unwrap(),
        port: Port::new(443).unwrap(),
        path: None,
        placement: Placement::parse(placement).unwrap(),
        rule: None,
    };
    let one = |secret: &str, bindings| Credential {
        name: "a/KEY".to_owned(),
        placeholder: "held".to_owned(),
        secret: Redacted::new(secret.to_owned()),
        expires_ms: None,
        bindings,
    };
    let all = vec![
        one("first-value", vec![bind("a.example.com", "authorization")]),
        one("second-value", vec![bind("b.example.com", "query:key")]),
        one("short", vec![bind("c.example.com", "authorization")]),
        one("AKIDAKID", vec![bind("s3.example.com", "sigv4:key:s3:eu-central-1")]),
        one("never-sent", vec![bind("s3.example.com", "sigv4:secret:s3:eu-central-1")]),
        one("goes-along", vec![bind("s3.example.com", "sigv4:token:s3:eu-central-1")]),
        one("unbound-value", Vec::new()),
    ];
    let set = CredentialSet { epoch: 1, mark: Redacted::new([7; 32]), all };
    let credentials = Credentials::new(set);
    let at = |host: &str| credentials.echoes(&Authority::parse(host).unwrap());
    let text = b"first-value second-value short AKIDAKID never-sent goes-along unbound-value";
    for (host, told) in [
        (
            "a.example.com:443",
            "*********** second-value short AKIDAKID never-sent goes-along unbound-value",
        ),
        (
            "b.example.com:443",
            "first-value ************ short AKIDAKID never-sent goes-along unbound-value",
        ),
        (
            "s3.example.com:443",
            "first-value second-value short AKIDAKID never-sent ********** unbound-value",
        ),
    ] {
        let mut bytes = text.to_vec();
        at(host).unwrap().mask(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), told);
    }
    for host in ["a.example.com:8443", "c.example.com:443", "d.example.com:443"] {
        assert!(at(host).is_none(), "{host}");
    }
    let shown = format!("{credentials:?}");
    assert!(!shown.contains("value") && !shown.contains("along"), "{shown}");
}

#[test]
fn i03_a_value_that_was_replaced_or_taken_away_is_still_looked_for() {
    let set = |epoch, values: &[&str]| {
        let one = |secret: &&str| Credential {
            name: "a/KEY".to_owned(),
            placeholder: "held-value".to_owned(),
            secret: Redacted::new((*secret).to_owned()),
            expires_ms: None,
            bindings: vec![Binding {
                host: Host::parse("a.example.com").unwrap(),
                port: Port::new(443).unwrap(),
                path: None,
                placement: Placement::parse("authorization").unwrap(),
                rule: None,
            }],
        };
        let all = values.iter().map(one).collect();
        Credentials::new(CredentialSet { epoch, mark: Redacted::new([7; 32]), all })
    };
    let to = Authority::parse("a.example.com:443").unwrap();
    let told = |credentials: &Credentials, text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        credentials.echoes(&to).unwrap().mask(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let second = set(2, &["second-one"]).after(&set(1, &["first-good"]));
    assert_eq!(told(&second, "first-good second-one"), "held-value held-value");
    let none = set(3, &[]).after(&second);
    assert_eq!(told(&none, "first-good second-one"), "held-value held-value");
    let other = Authority::parse("b.example.com:443").unwrap();
    assert!(none.echoes(&other).is_none() && set(1, &[]).echoes(&to).is_none());
    // So many, and the latest of them.
    let name =
        |at: usize| char::from_digit(u32::try_from(at).unwrap(), 36).unwrap().to_string().repeat(9);
    let mut all = set(1, &[&name(0)]);
    for at in 1..FORMER + 4 {
        all = set(1, &[&name(at)]).after(&all);
    }
    for at in 0..FORMER + 4 {
        let is_found = told(&all, &name(at)) != name(at);
        assert_eq!(is_found, at >= 3, "{at}");
    }
}

/// Texts that are made of values, of parts of them and of others.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let forms: Vec<String> = [SECRET, OTHER]
        .into_iter()
        .flat_map(|text| spelling::all(text).into_iter().map(|form| form.expose().clone()))
        .collect();
    let part = (prop::sample::select(forms), 0.0..1.0_f64, any::<bool>()).prop_map(
        |(form, share, is_whole)| {
            let bytes = form.into_bytes();
            let length = (bytes.len() as f64 * share) as usize;
            if is_whole { bytes } else { bytes[..length].to_vec() }
        },
    );
    let other = prop::collection::vec(any::<u8>().prop_map(|byte| byte | 0x80), 0..9);
    prop::collection::vec(prop_oneof![3 => part, 1 => other], 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn i03_nothing_of_a_value_passes_however_it_is_cut(
        text in said(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let parts: Vec<&[u8]> = at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let out = passed(EchoSearch::new(echoes()), &parts);
        prop_assert_eq!(out.len(), text.len());
        prop_assert!(!echoes().stands_in(&out));
        let mut whole = text.clone();
        let is_found = echoes().mask(&mut whole).is_some();
        prop_assert_eq!(is_found, echoes().stands_in(&text));
        if !is_found {
            prop_assert_eq!(out, text);
        }
    }
}
