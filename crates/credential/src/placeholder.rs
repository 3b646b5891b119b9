//! What stands for a credential in the jail: it looks like the real thing, so that programs which
//! check a key's form take it, and it is no secret.

use std::ops::Range;

use aws_lc_rs::hmac;

/// Beginnings by which kinds of credentials are told; the longest that fits is meant.
const KINDS: [&str; 22] = [
    "sk-ant-api03-",
    "sk-ant-oat01-",
    "sk-proj-",
    "sk-svcacct-",
    "sk-or-v1-",
    "sk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "nvapi-",
    "AIza",
    "AKIA",
    "ASIA",
    "hf_",
    "npm_",
    "pypi-",
    "xoxb-",
    "xoxp-",
];

/// Letters of the part that differs. All kinds of keys have them.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many letters at the end tell that the rest was minted here: 59 bits.
const MARK: usize = 10;

/// The shortest part that differs: 24 letters of its own, and the mark.
const SHORTEST: usize = 24 + MARK;

/// The longest placeholder, in octets.
const LONGEST: usize = 256;

/// How a kind of credential looks. Of a kind that is not known nothing is kept but the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    prefix: &'static str,
    letters: usize,
}

impl Shape {
    /// How this one looks.
    pub fn of(secret: &str) -> Self {
        let prefix = prefix(secret).unwrap_or_default();
        let letters = secret.len().min(LONGEST).saturating_sub(prefix.len());
        Self { prefix, letters: letters.max(SHORTEST) }
    }
}

/// The beginning of a known kind.
fn prefix(secret: &str) -> Option<&'static str> {
    let fitting = KINDS.into_iter().filter(|kind| secret.starts_with(kind));
    fitting.max_by_key(|kind| kind.len())
}

/// Whether a text looks like a credential of a known kind.
pub(crate) fn looks_secret(text: &str) -> bool {
    prefix(text).is_some()
}

/// Makes placeholders, and tells those that it made from everything else.
#[derive(Debug)]
pub struct Minter {
    key: hmac::Key,
}

impl Minter {
    /// With the key of one gateway.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }

    /// The placeholder of one credential in the sandbox of `seed`: always the same.
    pub fn mint(&self, seed: &[u8], credential: &str, shape: Shape) -> String {
        let own = shape.letters.saturating_sub(MARK);
        let context = [seed, &[0], credential.as_bytes()].concat();
        let body = format!("{}{}", shape.prefix, self.letters(b"body", &context, own));
        let mark = self.letters(b"mark", body.as_bytes(), MARK);
        body + &mark
    }

    /// The first placeholder that some gateway's sandbox was given, if it was this gateway's.
    pub fn find_ours(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let mut start: usize = 0;
        for run in bytes.split(|b| !is_token(*b)) {
            let range = start..start.saturating_add(run.len());
            start = range.end.saturating_add(1);
            // Longer runs are no placeholders of ours, and would cost the more the longer they are.
            if (SHORTEST..=LONGEST + SHORTEST).contains(&run.len()) && self.is_ours(run) {
                return Some(range);
            }
        }
        None
    }

    fn is_ours(&self, token: &[u8]) -> bool {
        let Some((body, mark)) = token.split_at_checked(token.len().saturating_sub(MARK)) else {
            return false;
        };
        mark.iter().all(u8::is_ascii_alphanumeric)
            && self.letters(b"mark", body, MARK).as_bytes() == mark
    }

    /// Letters that only this key gives for this context.
    fn letters(&self, purpose: &[u8], context: &[u8], count: usize) -> String {
        let mut letters = String::with_capacity(count);
        let mut block: u32 = 0;
        while letters.len() < count {
            let mut context_of_block = hmac::Context::with_key(&self.key);
            for part in [purpose, &block.to_be_bytes(), context] {
                context_of_block.update(part);
            }
            let random = context_of_block.sign();
            // Beyond the largest multiple of 62 some letters would be likelier than others.
            let unbiased = random.as_ref().iter().filter(|byte| **byte < 248);
            let all = unbiased.filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()));
            letters.extend(all.map(|letter| char::from(*letter)));
            block = block.saturating_add(1);
        }
        letters.truncate(count);
        letters
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&str; 5] = [
        "sk-ant-api03-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz0123456789",
        "hunter2",
        "a secret of no kind, with: spaces & signs, and rather long as such things go",
    ];

    #[test]
    fn a_placeholder_has_the_look_and_nothing_else_of_the_real_one() {
        let minter = Minter::new([1; 32]);
        for secret in SECRETS {
            let placeholder = minter.mint(b"seed", "p/K", Shape::of(secret));
            let prefix = prefix(secret).unwrap_or_default();
            assert!(placeholder.starts_with(prefix), "{placeholder}");
            assert_eq!(placeholder.len(), secret.len().max(prefix.len() + SHORTEST));
            assert!(placeholder.bytes().all(is_token));
            let rest = &secret[prefix.len()..];
            assert!(rest.len() < 8 || !placeholder.contains(&rest[..8]));
        }
        assert_eq!(prefix("sk-ant-api03-x"), Some("sk-ant-api03-"));
    }

    #[test]
    fn placeholders_differ_by_sandbox_credential_and_gateway_and_stay() {
        let (minter, other) = (Minter::new([1; 32]), Minter::new([2; 32]));
        let shape = Shape::of(SECRETS[0]);
        let all = [
            minter.mint(b"a", "p/K", shape),
            minter.mint(b"b", "p/K", shape),
            minter.mint(b"a", "p/L", shape),
            minter.mint(b"a\0p", "K", shape),
            other.mint(b"a", "p/K", shape),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|two| one != two));
        }
        assert_eq!(all[0], Minter::new([1; 32]).mint(b"a", "p/K", shape));
    }

    #[test]
    fn ours_are_told_from_everything_else() {
        let minter = Minter::new([1; 32]);
        for secret in SECRETS {
            let placeholder = minter.mint(b"seed", "p/K", Shape::of(secret));
            for text in [
                placeholder.clone(),
                format!("Bearer {placeholder}"),
                format!("{{\"key\": \"{placeholder}\"}}"),
                format!("a=b&key={placeholder}&c=d"),
            ] {
                let found = minter.find_ours(text.as_bytes()).unwrap();
                assert_eq!(text[found], placeholder);
            }
            let mut other = placeholder.clone().into_bytes();
            let last = other.last_mut().unwrap();
            *last = if *last == b'a' { b'b' } else { b'a' };
            assert_eq!(minter.find_ours(&other), None);
            assert_eq!(minter.find_ours(secret.as_bytes()), None);
            assert_eq!(Minter::new([2; 32]).find_ours(placeholder.as_bytes()), None);
        }
    }
}
