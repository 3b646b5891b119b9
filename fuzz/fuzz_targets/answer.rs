//! However an answer is cut, no value of a credential passes, and nothing else changes its length.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use openshell_credential::{EchoSearch, Echoes};
use openshell_types::Redacted;

const VALUE: &str = "sk-test/0+\"value\"=";
/// The same within Base64, and as a string of JSON.
const FORMS: [&str; 3] = [VALUE, "c2stdGVzdC8wKyJ2YWx1ZSI9", "sk-test/0+\\\"value\\\"="];

static ECHOES: LazyLock<Arc<Echoes>> = LazyLock::new(|| {
    let value = Redacted::new(VALUE.to_owned());
    Arc::new(Echoes::of_one("own", &value).expect("it is long enough"))
});

fuzz_target!(|input: (u8, bool, bool, &[u8])| {
    let (part, of_messages, releases, bytes) = input;
    let mut text = Vec::new();
    for byte in bytes {
        // Some stand for forms, whole or cut.
        match *byte {
            form @ 0xf0..=0xf2 => {
                text.extend_from_slice(FORMS[usize::from(form - 0xf0)].as_bytes())
            }
            length @ 0xe0..=0xef => {
                text.extend_from_slice(&VALUE.as_bytes()[..usize::from(length - 0xe0)]);
            }
            own => text.push(own),
        }
    }
    let search = EchoSearch::new(Arc::clone(&ECHOES));
    let mut search = if of_messages { search.of_messages() } else { search };
    let mut out = Vec::new();
    let mut parts = text.chunks(usize::from(part) + 1).peekable();
    while let Some(part) = parts.next() {
        out.extend_from_slice(&search.pass(part, parts.peek().is_none()));
        if releases && search.is_short() {
            out.extend_from_slice(&search.late());
        }
    }
    assert_eq!(out.len(), text.len());
    for form in FORMS {
        let passed = out.windows(form.len()).any(|own| own == form.as_bytes());
        assert!(!passed, "{}", String::from_utf8_lossy(&out));
    }
});
