//! Making placeholders, and knowing them again.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use openshell_types::Redacted;

use super::Placeholder;
use super::shape::{Alphabet, Look, Shape};

/// Characters of the mark at the end; the last of them checks those before it.
pub(super) const MARK: usize = 10;
/// Least characters of a random part, its mark included: some 80 bits, and 53 of the mark.
pub(super) const RANDOM_LEAST: usize = 24;
/// Those of a token: what RSA with 2048 bits signs, in whole groups of Base64, because strict
/// readers ask for zero bits at the end of others.
const SIGNATURE: usize = 344;
/// Longest placeholder, in bytes: a token with both its claims.
const LONGEST: usize = 1024;
/// Longest run of such characters in which one is looked for, with what may stand around it.
pub(crate) const LONGEST_RUN: usize = LONGEST + 64;

/// Makes placeholders, and tells those of its key from everything else. All sandboxes of a gateway
/// have the same key.
pub struct Minter {
    characters: hmac::Key,
    mark: hmac::Key,
}

impl Minter {
    /// Takes the marking key of a gateway.
    pub fn new(key: [u8; 32]) -> Self {
        let key = Redacted::new(key);
        let root = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        // One key for each use: nothing that is a mark can be asked for as characters.
        let derived =
            |use_: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, use_).as_ref());
        Self {
            characters: derived(b"openshell placeholder v1: characters"),
            mark: derived(b"openshell placeholder v1: mark"),
        }
    }

    /// The placeholder of a credential: the same for the same seed, name and shape. Each sandbox has
    /// a seed of its own.
    pub fn mint(&self, seed: &[u8; 16], credential: &str, shape: &Shape) -> Placeholder {
        let (mut text, alphabet, length) = match &shape.0 {
            Look::Plain { prefix, alphabet, length } => ((*prefix).to_owned(), *alphabet, *length),
            Look::Jwt(claims) => (claims.unsigned(), Alphabet::Base64Url, SIGNATURE),
        };
        // The shape is in it, too: of a new value of another kind nothing is known from the old.
        let mut about = seed.to_vec();
        about.extend_from_slice(&credential.len().to_be_bytes());
        about.extend_from_slice(credential.as_bytes());
        about.extend_from_slice(&length.to_be_bytes());
        about.extend_from_slice(text.as_bytes());
        self.extend(&mut text, alphabet, &about, length.saturating_sub(MARK));
        let mark = self.marks(text.as_bytes()).in_alphabet(alphabet.of_mark());
        text.extend(mark.iter().map(|byte| char::from(*byte)));
        Placeholder(text)
    }

    /// Appends `count` characters, each as likely as any other: HMAC-SHA256 with a counter.
    fn extend(&self, text: &mut String, alphabet: Alphabet, about: &[u8], count: usize) {
        let characters = alphabet.characters();
        // Bytes from here on would make the first characters likelier.
        let fair = 256_usize.saturating_sub(256_usize.checked_rem(characters.len()).unwrap_or(0));
        let blocks = (0_u32..).map(|counter| {
            let mut context = hmac::Context::with_key(&self.characters);
            context.update(about);
            context.update(&counter.to_be_bytes());
            context.sign()
        });
        let bytes = blocks.flat_map(|block| block.as_ref().to_vec()).map(usize::from);
        let chosen = bytes
            .filter(|byte| *byte < fair)
            .filter_map(|byte| characters.get(byte.checked_rem(characters.len())?))
            .map(|character| char::from(*character));
        text.extend(chosen.take(count));
    }

    fn marks(&self, body: &[u8]) -> Marks {
        let tag = hmac::sign(&self.mark, body);
        Marks(tag.as_ref().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)))
    }

    /// Whether this is a placeholder of ours, of whichever sandbox.
    pub fn is_ours(&self, token: &str) -> bool {
        self.is_marked(token.as_bytes())
    }

    fn is_marked(&self, token: &[u8]) -> bool {
        if !(RANDOM_LEAST..=LONGEST).contains(&token.len()) {
            return false;
        }
        let Some((body, mark)) = token.split_last_chunk::<MARK>() else { return false };
        let mut alphabets = MARKED.into_iter().filter(|alphabet| is_checked(mark, *alphabet));
        // Of what is no placeholder few come so far: the rest would cost each of them a hash.
        let Some(first) = alphabets.next() else { return false };
        let marks = self.marks(body);
        std::iter::once(first)
            .chain(alphabets)
            .any(|alphabet| verify_slices_are_equal(&marks.in_alphabet(alphabet), mark).is_ok())
    }

    /// The first placeholder of ours in a field's value, a target or a body: among its longest runs
    /// of `A-Z a-z 0-9 _ . -`. Runs that are too short or too long cost nothing but the look.
    pub fn find_ours(&self, bytes: &[u8]) -> Option<Range<usize>> {
        LongRuns { bytes, at: 0 }.find_map(|run| {
            let before = run.start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
            let (skipped, length) = self.find_in(bytes.get(run.clone())?, before)?;
            let begin = run.start.saturating_add(skipped);
            Some(begin..begin.saturating_add(length))
        })
    }

    /// Where a placeholder begins in a run, and its length.
    fn find_in(&self, run: &[u8], before: Option<u8>) -> Option<(usize, usize)> {
        // Behind these the run begins with what is left of an escape: `%22`, `\n` or `\u0022`.
        let escapes: &[usize] = match before {
            Some(b'%') => &[0, 2],
            Some(b'\\') => &[0, 1, 5],
            _ => &[0],
        };
        let end = run.iter().rposition(|byte| byte.is_ascii_alphanumeric())?.saturating_add(1);
        escapes.iter().find_map(|skipped| {
            let rest = run.get(*skipped..end)?;
            // Every placeholder begins with a letter or digit.
            let stray = rest.iter().position(u8::is_ascii_alphanumeric)?;
            // A random part may begin with a hyphen, but only behind a prefix.
            let token = rest.get(stray..)?;
            self.is_marked(token).then(|| (skipped.saturating_add(stray), token.len()))
        })
    }
}

/// The longest runs of characters of placeholders that are long enough to be one. Of what lies
/// between them few bytes are looked at: such a run has one of its characters at each place that is
/// as far behind the last as it is long at least.
struct LongRuns<'a> {
    bytes: &'a [u8],
    /// Where the next may begin: at the start, or behind a byte that is in none.
    at: usize,
}

impl Iterator for LongRuns<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let (least, more) = rest.split_at_checked(RANDOM_LEAST)?;
            if let Some(last) = least.iter().rposition(|byte| !is_of_token(*byte)) {
                self.at = self.at.saturating_add(last).saturating_add(1);
                continue;
            }
            let length = more.iter().position(|byte| !is_of_token(*byte)).unwrap_or(more.len());
            let run = self.at..self.at.saturating_add(RANDOM_LEAST).saturating_add(length);
            self.at = run.end.saturating_add(1);
            return Some(run);
        }
    }
}

/// The marks of a body, one for each alphabet.
struct Marks(u128);

/// The alphabets that marks are written in.
const MARKED: [Alphabet; 2] = [Alphabet::Word, Alphabet::Base32];

impl Marks {
    /// SECURITY: of 2^128 numbers the remainders by 62^9 are as good as equally likely.
    fn in_alphabet(&self, alphabet: Alphabet) -> [u8; MARK] {
        let characters = alphabet.characters();
        let count = u128::try_from(characters.len()).unwrap_or(1);
        let mut rest = self.0;
        let mut mark = [(); MARK].map(|()| {
            let digit = rest.checked_rem(count).and_then(|digit| usize::try_from(digit).ok());
            rest = rest.checked_div(count).unwrap_or(0);
            digit.and_then(|digit| characters.get(digit)).copied().unwrap_or(b'A')
        });
        let [before @ .., last] = &mut mark;
        *last = check(before, alphabet);
        mark
    }
}

/// The character that checks those of a mark before it. No secret: it only tells in no time most of
/// what is no mark.
fn check(before: &[u8], alphabet: Alphabet) -> u8 {
    let characters = alphabet.characters();
    let sum = before.iter().fold(0_u64, |sum, byte| {
        // Nine bytes by less than 2^7 each: it does not overflow.
        sum.wrapping_mul(67).wrapping_add(u64::from(*byte))
    });
    let digit = usize::try_from(sum).ok().and_then(|sum| sum.checked_rem(characters.len()));
    digit.and_then(|digit| characters.get(digit)).copied().unwrap_or(b'A')
}

fn is_checked(mark: &[u8; MARK], alphabet: Alphabet) -> bool {
    let [before @ .., last] = mark;
    check(before, alphabet) == *last
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minter([redacted])")
    }
}

/// Whether placeholders have such characters.
pub(crate) const fn is_of_token(byte: u8) -> bool {
    /// A bit for each: bodies are searched, where a comparison for each range is dear.
    const ALL: u128 = {
        let (mut all, mut byte) = (0, 0_u8);
        while byte < 128 {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
                all |= 1 << byte;
            }
            byte += 1;
        }
        all
    };
    byte < 128 && (ALL >> byte) & 1 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_long_runs_are_found_and_no_others(
            parts in prop::collection::vec(("[A-Za-z0-9_.-]{0,60}", "[ /+\u{e9}]{0,30}"), 0..12),
        ) {
            let text: String = parts.into_iter().flat_map(|(run, rest)| [run, rest]).collect();
            let found: Vec<&str> =
                LongRuns { bytes: text.as_bytes(), at: 0 }.map(|run| &text[run]).collect();
            let all = text.split(|c| !u8::try_from(c).is_ok_and(is_of_token));
            let long: Vec<&str> = all.filter(|run| run.len() >= RANDOM_LEAST).collect();
            prop_assert_eq!(found, long);
        }
    }
}
