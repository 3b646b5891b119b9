//! Finding placeholders, as they are and as programs write them.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// All forms of some texts: as they are, and within Base64 (RFC 4648) at each of the three places
/// where they can begin in a group.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    automaton: Option<AhoCorasick>,
    /// Which text each pattern is a form of.
    of: Vec<usize>,
}

impl Forms {
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut patterns, mut of) = (Vec::new(), Vec::new());
        for (at, text) in texts.enumerate().filter(|(_, text)| !text.is_empty()) {
            let mut forms = vec![text.to_owned()];
            forms.extend((0..3).map(|offset| encoded(text, offset)));
            of.extend(forms.iter().map(|_| at));
            patterns.extend(forms);
        }
        // Only patterns of some gigabytes are an error.
        let automaton = AhoCorasick::new(&patterns).ok().filter(|_| !patterns.is_empty());
        Self { automaton, of }
    }

    /// The first text that stands in these bytes in one of its forms.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let found = self.automaton.as_ref()?.find(bytes)?;
        self.of.get(found.pattern().as_usize()).copied()
    }
}

/// What of the Base64 of some bytes that contain `text`, `offset` into a group of three, depends on
/// nothing but the text.
fn encoded(text: &str, offset: usize) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(text.as_bytes());
    let whole = bytes.len() / 3 * 3;
    bytes.truncate(whole);
    let encoded = BASE64_STANDARD_NO_PAD.encode(&bytes);
    // The first letters also depend on the bytes before: those of the first group that is not ours
    // alone.
    let skipped = if offset == 0 { 0 } else { 4 };
    encoded.get(skipped..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 2] = ["sk-ant-api03-AAAABBBBCCCCDDDD", "ghp_0123456789abcdef0123456789"];

    #[test]
    fn i02_texts_are_found_as_they_are_and_within_base64() {
        let forms = Forms::of(TEXTS.into_iter());
        for (at, text) in TEXTS.into_iter().enumerate() {
            for before in ["", "a", "ab", "abc", "user:", "x=1&key="] {
                let plain = format!("{before}{text} and more");
                assert_eq!(forms.find(plain.as_bytes()), Some(at), "{plain}");
                let packed = BASE64_STANDARD_NO_PAD.encode(&plain);
                assert_eq!(forms.find(packed.as_bytes()), Some(at), "{packed}");
            }
        }
        assert_eq!(forms.find(b"sk-ant-api03-AAAABBBBCCCCDDD"), None);
        assert_eq!(Forms::default().find(b"sk-ant-api03-AAAABBBBCCCCDDDD"), None);
    }
}
