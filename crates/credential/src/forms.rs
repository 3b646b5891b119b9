//! Finding placeholders, as they are and as programs write them.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use openshell_types::Redacted;
use zeroize::Zeroizing;

/// All forms of some texts: as they are, and within Base64 (RFC 4648) at each of the three places
/// where they can begin in a group.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    automaton: Option<AhoCorasick>,
    /// Says quickly that there is none, as nearly always.
    quick: Option<AhoCorasick>,
    /// All patterns, sorted.
    sorted: Vec<String>,
    longest: usize,
    /// Which text each pattern is a form of.
    of: Vec<usize>,
}

impl Forms {
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut patterns, mut of) = (Vec::new(), Vec::new());
        for (at, text) in texts.enumerate().filter(|(_, text)| !text.is_empty()) {
            let mut forms = vec![text.to_owned()];
            forms.extend((0..3).map(|offset| encoded(text, offset).expose().clone()));
            of.extend(forms.iter().map(|_| at));
            patterns.extend(forms);
        }
        // Only patterns of some gigabytes are an error.
        let build = |kind| {
            let built = AhoCorasick::builder().match_kind(kind).build(&patterns).ok();
            built.filter(|_| !patterns.is_empty())
        };
        // The library has a vectorised search for the one, and finds those that overlap by the other.
        let (quick, automaton) = (build(MatchKind::LeftmostFirst), build(MatchKind::Standard));
        let longest = patterns.iter().map(String::len).max().unwrap_or(0);
        let mut sorted = patterns;
        sorted.sort_unstable();
        Self { automaton, quick, sorted, longest, of }
    }

    /// The first text that stands in these bytes in one of its forms.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let found = self.quick.as_ref()?.find(bytes)?;
        self.of.get(found.pattern().as_usize()).copied()
    }

    /// Each text that stands in these bytes, in each of its forms, as often as it does.
    pub(crate) fn all(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let is_any = self.quick.as_ref().is_some_and(|quick| quick.is_match(bytes));
        let automaton = self.automaton.iter().filter(move |_| is_any);
        automaton
            .flat_map(move |automaton| automaton.find_overlapping_iter(bytes))
            .filter_map(|found| self.of.get(found.pattern().as_usize()).copied())
    }

    /// How many of the last of these bytes are the beginning of a form whose end may follow.
    pub(crate) fn open(&self, bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |rest: &[u8]| {
            let first = self.sorted.partition_point(|form| form.as_bytes() < rest);
            let fits = self.sorted.iter().skip(first);
            fits.take_while(|form| form.as_bytes().starts_with(rest))
                .any(|form| form.len() > rest.len())
        };
        (from..bytes.len())
            .find_map(|at| bytes.get(at..).filter(|rest| begins(rest)))
            .map_or(0, <[u8]>::len)
    }
}

/// What of the Base64 of some bytes that contain `text`, `offset` into a group of three, depends on
/// nothing but the text.
pub(crate) fn encoded(text: &str, offset: usize) -> Redacted<String> {
    let before = offset.min(2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(before.saturating_add(text.len())));
    bytes.resize(before, 0);
    bytes.extend_from_slice(text.as_bytes());
    let all = Redacted::new(BASE64_STANDARD_NO_PAD.encode(&*bytes));
    // A letter stands for six bits: the first and the last may have some of what is beside the text.
    let first = before.saturating_mul(8).div_ceil(6);
    let last = bytes.len().saturating_mul(8) / 6;
    Redacted::new(all.expose().get(first..last).unwrap_or_default().to_owned())
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

    #[test]
    fn what_may_go_on_is_told_and_nothing_more() {
        let forms = Forms::of(TEXTS.into_iter());
        for (text, open) in [
            ("", 0),
            ("No.", 0),
            ("nothing", 1),
            ("token: ghp_0123", 8),
            ("token: ghp_0123 ", 0),
            ("xsk-ant-api03-AAAABBBBCCCCDDD", 28),
            // One that has ended does not go on.
            ("sk-ant-api03-AAAABBBBCCCCDDDD", 0),
            ("sk-ant-api03-AAAAg", 1),
        ] {
            assert_eq!(forms.open(text.as_bytes()), open, "{text}");
        }
        assert_eq!(Forms::default().open(b"sk-ant"), 0);
        let both = format!("{} {} {}", TEXTS[1], TEXTS[0], TEXTS[1]);
        assert_eq!(forms.all(both.as_bytes()).collect::<Vec<_>>(), [1, 0, 1]);
    }
}
