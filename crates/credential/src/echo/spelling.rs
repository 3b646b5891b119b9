//! How a value that was put on the wire may be written when it comes back.

use openshell_types::Redacted;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::forms::encoded;
use crate::limits::ECHOED_BYTES;

/// A text as it is and within Base64, each of them also percent-encoded and as a string of JSON; of
/// each text as many, in the same order.
pub(super) fn all(text: &str) -> Vec<Redacted<String>> {
    let mut all = written(text);
    for offset in 0..3 {
        let standard = encoded(text, offset);
        // RFC 4648, section 5.
        let for_urls = Redacted::new(standard.expose().replace('+', "-").replace('/', "_"));
        all.extend(written(standard.expose()));
        all.extend(written(for_urls.expose()));
    }
    all
}

/// The ends of a text that are shorter by up to so many octets, as they are and with what stands for
/// each.
pub(super) fn ends<'a>(
    text: &'a str,
    instead: &'a str,
    most: usize,
) -> impl Iterator<Item = (Redacted<String>, Redacted<String>)> + 'a {
    let end = |from: usize| Some((text.get(from..)?, instead.get(from..).unwrap_or_default()));
    let long = |(end, _): &(&str, &str)| end.len() >= ECHOED_BYTES;
    let own = |(end, instead): (&str, &str)| written(end).into_iter().zip(written(instead));
    (1..=most).filter_map(end).filter(long).flat_map(own)
}

fn written(text: &str) -> Vec<Redacted<String>> {
    let json = in_json(text);
    let slashes = Redacted::new(json.expose().replace('/', "\\/"));
    let ascii = with_escapes(&json, "", false);
    let (lower, upper) = (with_escapes(&json, "&<>", false), with_escapes(&json, "&<>", true));
    // The quote has an escape of its own there.
    let backslashes = Redacted::new(text.replace('\\', "\\\\"));
    let careful = with_escapes(&backslashes, "\"&'+<>`", true);
    let mut all = vec![Redacted::new(text.to_owned()), json, slashes, ascii];
    all.extend([lower, upper, careful]);
    for kept in [NON_ALPHANUMERIC, UNRESERVED, IN_PATHS] {
        let upper = Redacted::new(utf8_percent_encode(text, kept).to_string());
        all.push(in_lower_case(&upper));
        all.push(upper);
    }
    all
}

/// As a string of JSON has it, without the quotes. Values have no control characters.
fn in_json(text: &str) -> Redacted<String> {
    let first = Redacted::new(text.replace('\\', "\\\\"));
    Redacted::new(first.expose().replace('"', "\\\""))
}

/// The same with the escapes of four digits (RFC 8259, section 7) that other writers have for what is
/// no ASCII, and some for what HTML reads, too.
fn with_escapes(json: &Redacted<String>, of: &str, is_upper: bool) -> Redacted<String> {
    let written = json.expose();
    let mut out = String::with_capacity(written.len().saturating_mul(6));
    let mut units = [0; 2];
    for character in written.chars() {
        if character.is_ascii() && !of.contains(character) {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let digits = if is_upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            out.push_str(&digits);
        }
    }
    Redacted::new(out)
}

/// With the digits of what is percent-encoded in lower case.
fn in_lower_case(encoded: &Redacted<String>) -> Redacted<String> {
    let mut digits = 0;
    let lower = |character: char| match character {
        '%' => {
            digits = 2;
            character
        }
        _ if digits > 0 => {
            digits -= 1;
            character.to_ascii_lowercase()
        }
        _ => character,
    };
    Redacted::new(encoded.expose().chars().map(lower).collect())
}

/// What RFC 3986, section 2.3, lets stand.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, of writers that think of paths.
const IN_PATHS: &AsciiSet = &UNRESERVED.remove(b'/');
