//! How a value that was put on the wire may be written when it comes back.

use openshell_types::Redacted;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::forms::encoded;
use crate::limits::ECHOED_BYTES;

/// A text as it is and within Base64, each of them also percent-encoded and as a string of JSON; of
/// each text as many, in the same order.
pub(super) fn all(text: &str) -> Vec<Redacted<String>> {
    let mut all = written(text);
    // Names of fields are told in lower case, and of variables in upper case.
    all.push(Redacted::new(text.to_ascii_lowercase()));
    all.push(Redacted::new(text.to_ascii_uppercase()));
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
    let (ascii, both) = (in_ascii(&json), in_ascii(&slashes));
    let mut all = vec![Redacted::new(text.to_owned()), json, slashes, ascii, both];
    all.extend(JSON.iter().map(|escapes| escaped(text, escapes)));
    // .NET's writers escape what is not ASCII, too, in digits of upper case.
    all.push(in_ascii_with(&escaped(text, DOTNET), true));
    all.extend(HTML.iter().map(|escapes| escaped(text, escapes)));
    for kept in [NON_ALPHANUMERIC, UNRESERVED, IN_PATHS, IN_COMPONENTS, IN_URIS, IN_FORMS] {
        let upper = Redacted::new(utf8_percent_encode(text, kept).to_string());
        for percent in [in_lower_case(&upper), upper] {
            // WHATWG URL, section 5.2: what is a form has `+` for a space.
            all.push(Redacted::new(percent.expose().replace("%20", "+")));
            all.push(percent);
        }
    }
    all
}

/// What stands for a character.
type Escapes = [(char, &'static str)];

fn escaped(text: &str, escapes: &Escapes) -> Redacted<String> {
    let mut out = String::with_capacity(text.len().saturating_mul(6));
    for character in text.chars() {
        match escapes.iter().find(|(own, _)| *own == character) {
            Some((_, escape)) => out.push_str(escape),
            None => out.push(character),
        }
    }
    Redacted::new(out)
}

/// As a string of JSON has it, without the quotes. Values have no control characters.
fn in_json(text: &str) -> Redacted<String> {
    let first = Redacted::new(text.replace('\\', "\\\\"));
    Redacted::new(first.expose().replace('"', "\\\""))
}

/// The same from a writer that keeps to ASCII (RFC 8259, section 7).
fn in_ascii(json: &Redacted<String>) -> Redacted<String> {
    in_ascii_with(json, false)
}

fn in_ascii_with(json: &Redacted<String>, is_upper: bool) -> Redacted<String> {
    let written = json.expose();
    let mut out = String::with_capacity(written.len().saturating_mul(6));
    let mut units = [0; 2];
    for character in written.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let escape = if is_upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            out.push_str(&escape);
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
/// What `encodeURIComponent` of JavaScript lets stand.
const IN_COMPONENTS: &AsciiSet =
    &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
/// The same of `encodeURI`.
const IN_URIS: &AsciiSet = &IN_COMPONENTS
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');
/// The same of forms (WHATWG URL, section 1.3).
const IN_FORMS: &AsciiSet = &UNRESERVED.remove(b'*').add(b'~');

/// How libraries write JSON that may stand in HTML: Go's, and Java's Gson.
const JSON: [&Escapes; 2] = [
    &[('\\', r"\\"), ('"', "\\\""), ('<', r"\u003c"), ('>', r"\u003e"), ('&', r"\u0026")],
    &[
        ('\\', r"\\"),
        ('"', "\\\""),
        ('<', r"\u003c"),
        ('>', r"\u003e"),
        ('&', r"\u0026"),
        ('=', r"\u003d"),
        ('\'', r"\u0027"),
    ],
];
/// The same of .NET.
const DOTNET: &Escapes = &[
    ('\\', r"\\"),
    ('"', r"\u0022"),
    ('<', r"\u003C"),
    ('>', r"\u003E"),
    ('&', r"\u0026"),
    ('+', r"\u002B"),
    ('\'', r"\u0027"),
    ('`', r"\u0060"),
];
/// How libraries write text in HTML: none of the quotes; Python's; Go's; PHP's; what many do; .NET's;
/// and that of templates with braces.
const HTML: [&Escapes; 7] = [
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#x27;")],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#039;")],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#x27;"),
        ('+', "&#x2B;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#x27;"),
        ('`', "&#x60;"),
        ('=', "&#x3D;"),
    ],
];
