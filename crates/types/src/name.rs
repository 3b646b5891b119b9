//! Names and ids of the things that a gateway keeps.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A label of at most 19 characters: lower-case letters, digits and single hyphens, with a letter
/// or digit at both ends. It goes into host names of the form `workspace--sandbox`, hence the
/// length (three of them and two separators fit the 63 octets of RFC 1035) and no double hyphen.
fn check_label(text: &str) -> Result<(), NameError> {
    const LONGEST: usize = 19;
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > LONGEST {
        return Err(NameError::TooLong { longest: LONGEST });
    }
    if let Some(bad) =
        text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return Err(NameError::Character(bad));
    }
    if text.starts_with('-') || text.ends_with('-') || text.contains("--") {
        return Err(NameError::Hyphen);
    }
    Ok(())
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than the limit, in characters.
    #[error("a name has at most {longest} characters")]
    TooLong {
        /// The limit, in characters.
        longest: usize,
    },
    /// A character outside of lower-case letters, digits and hyphens.
    #[error("a name has only lower-case letters, digits and hyphens, not {0:?}")]
    Character(char),
    /// A hyphen at an end, or two in a row.
    #[error("a name has hyphens only between letters or digits, and never two in a row")]
    Hyphen,
    /// Not an id that a gateway gave out.
    #[error("an id is 36 characters of lower-case hexadecimal digits and hyphens")]
    Id,
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Reads a name, or says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(
    /// The name of a sandbox, unique in its workspace.
    SandboxName,
    check_label
);

text_newtype!(
    /// The name of a workspace, unique in its gateway.
    WorkspaceName,
    check_label
);

text_newtype!(
    /// The id of a sandbox: a lower-case UUID, never used again. It names folders and records.
    SandboxId,
    check_id
);

fn check_id(text: &str) -> Result<(), NameError> {
    let fits = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    if fits { Ok(()) } else { Err(NameError::Id) }
}

impl WorkspaceName {
    /// The workspace that always exists.
    pub fn default_workspace() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_dns_labels_and_nothing_else() {
        for good in ["a", "brave-otter", "x1", "a2345678901234567-9"] {
            assert_eq!(SandboxName::parse(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("a23456789012345678901", NameError::TooLong { longest: 19 }),
            ("Upper", NameError::Character('U')),
            ("../x", NameError::Character('.')),
            ("a\u{1b}[31m", NameError::Character('\u{1b}')),
            ("-a", NameError::Hyphen),
            ("a-", NameError::Hyphen),
            ("a--b", NameError::Hyphen),
        ] {
            assert_eq!(SandboxName::parse(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn takes_uuids_as_ids() {
        assert!(SandboxId::parse("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001").is_ok());
        for bad in ["", "..", "0B6A3B1E-58a7-4b11-9d3c-0f54d1f0a001", "0b6a3b1e"] {
            assert_eq!(SandboxId::parse(bad), Err(NameError::Id));
        }
    }
}
