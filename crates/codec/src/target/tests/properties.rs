//! What holds of every target.

use proptest::prelude::*;

use super::*;

/// Pieces of which hostile targets are made.
const PIECES: [&str; 40] = [
    "/",
    "/",
    "/",
    "//",
    ".",
    ".",
    "..",
    "%2e",
    "%2E",
    "%252e",
    ";",
    "%3b",
    "\\",
    "%5c",
    "%2f",
    "%2F",
    "%252f",
    "a",
    "B",
    "%61",
    "%41",
    "%25",
    "%",
    "%00",
    "%0a",
    "%c0%ae",
    "%c3%a4",
    "%ef%bc%8e",
    "%ef%bc%8f",
    "%20",
    "[",
    "]",
    "?",
    "&",
    "=",
    "+",
    "#",
    "*",
    ":",
    "http://a.com",
];

fn options() -> impl Strategy<Value = Options> {
    let doubtful = || prop_oneof![Just(Doubtful::Refused), Just(Doubtful::Allowed)];
    (doubtful(), doubtful()).prop_map(|(encoded_slash, query)| Options { encoded_slash, query })
}

fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..14)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn verb() -> impl Strategy<Value = Method> {
    prop::sample::select(&["GET", "OPTIONS", "CONNECT"][..]).prop_map(method)
}

/// A naive decoder, unlike the one under test: it works on text and from the front.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if text[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Whether some server, however often it decodes and whatever it splits at, walks up from here.
fn walks_up(path: &str) -> bool {
    let mut reading = path.as_bytes().to_vec();
    for _ in 0..6 {
        let walks = reading.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        });
        if walks {
            return true;
        }
        reading = decode(&reading);
    }
    false
}

fn is_canonical(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\;[]".contains(&byte))
        && !path.contains("//")
        && !["%2e", "%00", "%0a", "%61", "%41", "%5c", "%252e"].iter().any(|x| lower.contains(x))
        && !walks_up(path)
}

fn holds(verb: &Method, raw: &[u8], options: Options) -> Result<bool, TestCaseError> {
    let Ok(target) = Target::parse(verb, raw, options) else {
        return Ok(false);
    };
    let bytes = target.to_bytes();
    prop_assert!(bytes.len() <= Target::LONGEST);
    prop_assert!(
        target.authority().is_some() || target.path() == "*" || is_canonical(target.path())
    );
    prop_assert!(options.encoded_slash == Doubtful::Allowed || !target.path().contains("%2F"));
    let again = Target::parse(verb, &bytes, options);
    let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(again.to_bytes(), bytes);
    prop_assert_eq!(again.path(), target.path());
    prop_assert_eq!(again.query(), target.query());
    prop_assert_eq!(pairs(&again), pairs(&target));
    prop_assert!(target.origin().is_some() || again == target);
    Ok(true)
}

/// Segments that mean one thing only.
fn plain() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zA-Z0-9_~-]{1,6}", 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_break_it(
        verb in verb(), raw in prop::collection::vec(any::<u8>(), 0..60), options in options(),
    ) {
        holds(&verb, &raw, options)?;
    }

    #[test]
    fn a_canonical_target_is_read_as_itself(
        verb in verb(), raw in hostile(), options in options(),
    ) {
        holds(&verb, raw.as_bytes(), options)?;
        holds(&verb, format!("http://a.com{raw}").as_bytes(), options)?;
    }

    #[test]
    fn graphic_text_is_canonical_or_refused(raw in "/[!-~]{0,24}", options in options()) {
        holds(&method("GET"), raw.as_bytes(), options)?;
    }

    #[test]
    fn every_spelling_of_a_path_is_the_same_path(
        segments in plain(),
        spelling in prop::collection::vec((0..4_u8, 0..6_u8), 40),
    ) {
        let canonical = format!("/{}", segments.join("/"));
        let mut how = spelling.into_iter().cycle();
        let mut raw = String::new();
        for segment in &segments {
            raw.push_str(match how.next().map(|(_, between)| between) {
                Some(0) => "//",
                Some(1) => "/./",
                Some(2) => "/x/../",
                Some(3) => "/%2e/",
                Some(4) => "/x/%2E./",
                _ => "/",
            });
            for c in segment.chars() {
                raw.push_str(&match how.next().map(|(spelled, _)| spelled) {
                    Some(0) => format!("%{:02x}", u32::from(c)),
                    Some(1) => format!("%{:02X}", u32::from(c)),
                    _ => c.to_string(),
                });
            }
        }
        prop_assert_eq!(forwarded(&raw, Options::default()), Ok(canonical), "{}", raw);
    }

    #[test]
    fn pairs_are_what_a_form_was_filled_with(
        filled in prop::collection::vec((r"[^\x00]{0,5}", r"[^\x00]{0,5}"), 1..5),
    ) {
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| match byte {
                    b' ' => "+".to_owned(),
                    b'a'..=b'z' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect()
        };
        let query: Vec<String> =
            filled.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        let options = Options { query: Doubtful::Allowed, ..Options::default() };
        let raw = format!("/?{}", query.join("&"));
        let target = Target::parse(&method("GET"), raw.as_bytes(), options).unwrap();
        let expected: Vec<(&str, &str)> =
            filled.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        prop_assert_eq!(pairs(&target), expected);
    }
}

#[test]
fn hostile_targets_are_not_all_refused() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let passed = (0..2000)
        .filter(|_| {
            let raw = hostile().new_tree(&mut runner).unwrap().current();
            holds(&method("GET"), raw.as_bytes(), WANTED).unwrap()
        })
        .count();
    assert!(passed > 50, "{passed}");
}
