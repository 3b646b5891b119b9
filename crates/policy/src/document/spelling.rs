//! The one spelling of a path: requests get it before they are judged, and patterns when they are
//! read, so that both can be compared byte by byte.

use std::fmt::Write as _;

use crate::pattern::escaped;

/// A pattern over paths in the spelling of requests: unreserved characters as they are, others
/// that cannot stand in a path as `%` and two upper-case digits. What is wrong with it, and what
/// would help, when it has none.
pub(super) fn canonical(pattern: &str) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        if character != '%' {
            push(&mut out, character);
            continue;
        }
        let digits = rest.as_bytes().first_chunk();
        let Some(byte) = digits.and_then(|[high, low]| escaped(*high, *low)) else {
            let help = "for a percent sign write `%25`".to_owned();
            return Err(("has a `%` without two hexadecimal digits behind it".to_owned(), help));
        };
        rest = rest.get(2..).unwrap_or_default();
        if byte.is_ascii_control() {
            return Err((
                format!("can never match: requests with `%{byte:02X}` are refused"),
                "remove the control character".to_owned(),
            ));
        }
        if is_unreserved(byte) { out.push(char::from(byte)) } else { push_escaped(&mut out, byte) }
    }
    Ok(out)
}

fn push(out: &mut String, character: char) {
    // What is special in a pattern stays, and so do the characters of RFC 3986, section 3.3.
    if character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/{}".contains(character) {
        out.push(character);
        return;
    }
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        push_escaped(out, byte);
    }
}

// Writing to a String cannot fail, so the result of `write!` is dropped.
fn push_escaped(out: &mut String, byte: u8) {
    let _ = write!(out, "%{byte:02X}");
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_get_the_spelling_of_requests() {
        for (pattern, wanted) in [
            ("/a/*/{b,c}/**", "/a/*/{b,c}/**"),
            ("/%61%2d%7E", "/a-~"),
            ("/a%2fb%3a", "/a%2Fb%3A"),
            ("/caf\u{e9} x", "/caf%C3%A9%20x"),
            ("/<a>|\"^`", "/%3Ca%3E%7C%22%5E%60"),
            ("/a:b@c;d", "/a:b@c;d"),
            ("/%2a%7b%7D", "/%2A%7B%7D"),
        ] {
            assert_eq!(canonical(pattern).unwrap(), wanted, "{pattern}");
        }
    }

    #[test]
    fn what_no_request_can_have_is_refused() {
        for bad in ["/%", "/a%2", "/%zz", "/%{41,42}", "/%00", "/%7f", "/%+1", "/%\u{e9}1"] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }
}
