//! Why a credential was not renewed, as its owner sees it.

use std::fmt;

/// Why a credential was not renewed. SECURITY: I8; it is stored and shown, so nothing secret is in
/// it, and nothing of an answer but what [`super::token`] lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One word.
    pub(crate) code: String,
    pub(crate) message: String,
    /// What helps.
    pub(crate) recovery: Recovery,
}

/// What helps against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Time, maybe.
    Retry,
    /// A person has to sign in again.
    Reauthorize,
    /// What was configured is wrong.
    FixConfiguration,
    /// It is not known what.
    Investigate,
}

impl Recovery {
    const WORDS: [(&str, Self); 4] = [
        ("retry", Self::Retry),
        ("reauthorize", Self::Reauthorize),
        ("fix_configuration", Self::FixConfiguration),
        ("investigate", Self::Investigate),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, one)| *one == self).map_or("investigate", |(word, _)| word)
    }

    pub(crate) fn parse(word: &str) -> Self {
        Self::WORDS.iter().find(|(own, _)| *own == word).map_or(Self::Investigate, |(_, one)| *one)
    }
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>, recovery: Recovery) -> Self {
        Self { code: code.to_owned(), message: message.into(), recovery }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
