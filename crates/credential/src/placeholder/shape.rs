//! The looks of secrets.

use super::jwt::Claims;
use super::minter::{MARK, RANDOM_LEAST};

/// How a placeholder is to look. Of a secret of a known kind it has the prefix that all of that kind
/// have, and the length; of any other the length alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub(super) Look);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A prefix and random characters.
    Plain {
        prefix: &'static str,
        alphabet: Alphabet,
        /// Of the random part, with its mark.
        length: usize,
    },
    /// A JSON Web Token (RFC 7519).
    Jwt(Claims),
}

/// The characters of a random part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Letters and digits.
    Word,
    /// Letters, digits, hyphens and underscores.
    Base64Url,
    /// Capitals and the digits from 2 to 7.
    Base32,
}

impl Alphabet {
    pub const fn characters(self) -> &'static [u8] {
        match self {
            Self::Word => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Base64Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Self::Base32 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        }
    }

    /// That of the mark: it ends in a letter or digit, so that what a text has behind it (a full
    /// stop, a hyphen) is known to be no part of it.
    pub const fn of_mark(self) -> Self {
        match self {
            Self::Word | Self::Base64Url => Self::Word,
            Self::Base32 => Self::Base32,
        }
    }
}

/// Longest placeholder that is no token, in characters.
const LONGEST: usize = 200;

/// The kinds that are known, by the prefix that says so. Of two that fit the first is taken.
const KINDS: [(&str, Alphabet); 40] = [
    ("sk-ant-api03-", Alphabet::Base64Url),
    ("sk-ant-oat01-", Alphabet::Base64Url),
    ("sk-ant-ort01-", Alphabet::Base64Url),
    ("sk-ant-admin01-", Alphabet::Base64Url),
    ("sk-ant-", Alphabet::Base64Url),
    ("sk-proj-", Alphabet::Base64Url),
    ("sk-svcacct-", Alphabet::Base64Url),
    ("sk-or-v1-", Alphabet::Word),
    ("sk_live_", Alphabet::Word),
    ("sk_test_", Alphabet::Word),
    ("rk_live_", Alphabet::Word),
    ("sk-", Alphabet::Word),
    ("ghp_", Alphabet::Word),
    ("gho_", Alphabet::Word),
    ("ghu_", Alphabet::Word),
    ("ghs_", Alphabet::Word),
    ("ghr_", Alphabet::Word),
    ("github_pat_", Alphabet::Word),
    ("glpat-", Alphabet::Base64Url),
    ("gldt-", Alphabet::Base64Url),
    ("glrt-", Alphabet::Base64Url),
    ("glcbt-", Alphabet::Base64Url),
    ("nvapi-", Alphabet::Base64Url),
    ("AIza", Alphabet::Base64Url),
    ("ya29.", Alphabet::Base64Url),
    ("GOCSPX-", Alphabet::Base64Url),
    ("AKIA", Alphabet::Base32),
    ("ASIA", Alphabet::Base32),
    ("xoxb-", Alphabet::Word),
    ("xoxp-", Alphabet::Word),
    ("xapp-", Alphabet::Word),
    ("hf_", Alphabet::Word),
    ("npm_", Alphabet::Word),
    ("pypi-", Alphabet::Base64Url),
    ("gsk_", Alphabet::Word),
    ("xai-", Alphabet::Word),
    ("pplx-", Alphabet::Word),
    ("r8_", Alphabet::Word),
    ("dop_v1_", Alphabet::Word),
    ("lin_api_", Alphabet::Word),
];

impl Shape {
    /// The shape of this secret.
    pub fn of(secret: &str) -> Self {
        if let Some(claims) = Claims::of(secret) {
            return Self(Look::Jwt(claims));
        }
        let (prefix, alphabet) = kind(secret).unwrap_or(("", Alphabet::Word));
        let wanted = secret.chars().count().min(LONGEST).saturating_sub(prefix.len());
        let length = wanted.max(RANDOM_LEAST);
        Self(Look::Plain { prefix, alphabet, length })
    }

    /// The shape when nothing is known of the secret.
    pub const fn unknown() -> Self {
        const LENGTH: usize = 40;
        Self(Look::Plain { prefix: "", alphabet: Alphabet::Word, length: LENGTH })
    }
}

fn kind(secret: &str) -> Option<(&'static str, Alphabet)> {
    KINDS.into_iter().find(|(prefix, _)| secret.starts_with(prefix))
}

/// Whether a text is a secret by its looks, real or not.
pub fn looks_secret(text: &str) -> bool {
    let long = |prefix: &str| text.len() >= prefix.len().saturating_add(MARK);
    kind(text).is_some_and(|(prefix, _)| long(prefix)) || Claims::of(text).is_some()
}
